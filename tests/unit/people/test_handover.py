"""A mailbox is taken along: what Dovecot links is one message more, not a way out of the mailbox."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ...role_module import load

OLD, NEW = "khai@huong-khe.tinh.example", "khai@tinh.example"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with mailboxes of its own and a Dovecot that takes everything."""
    module = load("tram_mail_handover", "mail/files/tram-mail-handover")
    monkeypatch.setattr(module, "MAILBOXES", tmp_path)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(module, "pwd", SimpleNamespace(getpwnam=lambda _name: SimpleNamespace(pw_uid=0, pw_gid=0)))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    return module


def test_a_copied_message_comes_as_a_message(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("cur", ".Luu/cur"):
        (program.home(OLD) / "Maildir" / folder).mkdir(parents=True)
    letter = program.home(OLD) / "Maildir/cur/1:2,S"
    letter.write_text("a letter", encoding="utf-8")
    os.link(letter, program.home(OLD) / "Maildir/.Luu/cur/2:2,S")
    out = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
        program.give(OLD)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(out.getvalue())))
    program.take(NEW)
    assert "2 messages came" in capsys.readouterr().out
