"""The programs of a directory server: whether it knows more than the hub, what a dump brings back."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from ...role_module import load

EARLY, LATE = (f"2026112209000{n}.000000Z#000000#000#000000" for n in (1, 2))


@pytest.mark.parametrize(
    ("own", "hub", "ahead"),
    [
        ([EARLY], [EARLY], False),
        ([EARLY], [LATE], False),
        ([LATE], [EARLY], True),
        ([LATE], None, None),
        ([LATE], [], None),
        ([], [EARLY], None),
        ([LATE], [EARLY.replace("#000#000000", "#001#000000")], False),
    ],
    ids=["in step", "behind", "ahead", "hub silent", "hub empty", "empty itself", "another server"],
)
def test_only_a_hub_that_answered_with_an_older_mark_of_its_own_has_gone_back(
    own: list[str], hub: list[str] | None, ahead: bool | None
) -> None:
    assert load("tram_directory_status", "directory/files/tram-directory-status").ahead(own, hub) is ahead


@pytest.mark.parametrize(
    ("script", "found"),
    [("printf 'dn: uid=a\\n\\ndn:: dWlkPcOp\\n'", 2), ("true", 0), ("exit 3", None)],
    ids=["two", "none", "no answer"],
)
def test_what_was_not_answered_is_not_nought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: int | None
) -> None:
    ldapsearch = tmp_path / "ldapsearch"
    ldapsearch.write_text(f"#!/bin/sh\n{script}\n")
    ldapsearch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert load("tram_directory_status", "directory/files/tram-directory-status").count("dc=x", "(a=*)") == found


def test_a_dump_comes_back_without_its_marks_of_changes_and_with_all_else() -> None:
    dump = load("tram_directory_dump", "directory/files/tram-directory-dump")
    text = b"dn: dc=x\nentryCSN: 1\n 2\ncn: a\n b\ncontextCSN: 3\n\ndn: ou=y,dc=x\nentryUUID: 4\n"
    assert b"".join(dump.without_marks(iter(text.splitlines(keepends=True)))) == (
        b"dn: dc=x\ncn: a\n b\n\ndn: ou=y,dc=x\nentryUUID: 4\n"
    )


def test_a_dump_that_was_cut_off_leaves_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = load("tram_directory_dump", "directory/files/tram-directory-dump")
    folder, programs = tmp_path / "dumps", tmp_path / "bin"
    programs.mkdir()
    slapcat = programs / "slapcat"
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    slapcat.write_text("#!/bin/sh\nprintf 'dn: dc=x\\nuserPassword:: abc\\n'\n")
    slapcat.chmod(0o755)
    for _ in range(2):
        file, count = dump.dump(folder, 1)
    assert (count, [*folder.iterdir()], file.stat().st_mode & 0o777) == (1, [file], 0o600)
    assert gzip.decompress(file.read_bytes()).startswith(b"dn: dc=x\n")
    slapcat.write_text("#!/bin/sh\nprintf 'dn: dc=x\\n'; echo 'no space' >&2; exit 1\n")
    with pytest.raises(dump.Failed, match="slapcat ended with 1 after 1 entries: no space"):
        dump.dump(folder, 1)
    assert [*folder.iterdir()] == [file]


def test_two_databases_change_their_names_in_one_step(tmp_path: Path) -> None:
    dump = load("tram_directory_dump", "directory/files/tram-directory-dump")
    for name in ("used", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.mdb").write_text(name, encoding="utf-8")
    dump.exchange(tmp_path / "new", tmp_path / "used")
    assert [(tmp_path / name / "data.mdb").read_text(encoding="utf-8") for name in ("used", "new")] == ["new", "used"]
    with pytest.raises(OSError, match="the directory is as it was"):
        dump.exchange(tmp_path / "none", tmp_path / "used")
    assert (tmp_path / "used/data.mdb").read_text(encoding="utf-8") == "new"
