"""A PDF that nobody can open is said so by name; what opens, and what is no PDF, passes."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tram_mayan import readable

PDF = b"%PDF-1.4\n..."


def answers(monkeypatch: pytest.MonkeyPatch, code: int, out: str = "", err: str = "") -> None:
    """What pdfinfo says."""

    def say(words: list[str], **_how: Any) -> subprocess.CompletedProcess[str]:
        assert Path(words[1]).read_bytes() == PDF
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr(subprocess, "run", say)


@pytest.mark.parametrize(
    ("code", "out", "err", "said"),
    [
        (0, "Pages:           3\n", "", ""),
        (0, "Pages:           3\n", "Syntax Error: mended", ""),
        (1, "", "Command Line Error: Incorrect password", "có mật khẩu"),
        (1, "", "Syntax Error: Couldn't find trailer dictionary", "bị hỏng"),
        (0, "Pages:           0\n", "", "bị hỏng"),
        (0, "Pages:           11\n", "", "11 trang, nhiều hơn 10"),
    ],
)
def test_what_is_said_of_a_pdf(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str, said: str) -> None:
    answers(monkeypatch, code, out, err)
    file = io.BytesIO(PDF)
    found = readable.complaint(file, "công văn.pdf", 10)
    assert said in found
    assert bool(said) == bool(found)
    assert not found or "công văn.pdf" in found
    assert file.tell() == 0


def test_one_that_takes_too_long_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(words: list[str], **_how: Any) -> None:
        raise subprocess.TimeoutExpired(words, 60)

    monkeypatch.setattr(subprocess, "run", wait)
    with pytest.raises(readable.Busy, match="gửi lại sau ít phút"):
        readable.complaint(io.BytesIO(PDF), "a.pdf", 10)


def test_what_is_no_pdf_passes_unless_it_says_it_is_one() -> None:
    assert readable.complaint(io.BytesIO(b"PK\x03\x04"), "a.docx", 10) == ""
    assert "bị hỏng" in readable.complaint(io.BytesIO(b"<html>"), "a.PDF", 10)
