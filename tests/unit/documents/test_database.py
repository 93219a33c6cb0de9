"""What is no dump, or of a newer release, is refused before anything is stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tram_documents import database, place


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "this is no dump"),
        (b"-- PostgreSQL database dump\n", "this is no dump"),
        (b"-- release none; DROP\n", "this is no dump"),
        (b"-- release 4.9.1-0123\nCOPY a FROM stdin;\n1\n2\n", "the dump is cut off"),
        (b"-- release 4.10-0123\nCREATE", "is of 4.10-0123, newer than 4.9.2-abcd here: apply the newer role first"),
    ],
)
def test_what_cannot_be_taken_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, why: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(database, "wanted", lambda: "4.9.2-abcd")
    monkeypatch.setattr(database, "run", lambda argv, **_: asked.append(argv[0]))
    file = tmp_path / "mayan.sql"
    file.write_bytes(content)
    with file.open("rb", buffering=0) as sql, pytest.raises(place.Trouble, match=why):
        database.take_back(sql)
    assert asked == []


def test_versions_are_compared_as_numbers() -> None:
    assert place.number("4.9.2-abcd") < place.number("4.10-0123") < place.number("4.10.1-0")


@pytest.mark.parametrize("there", [True, False], ids=["beside one in use", "the first"])
def test_a_database_takes_the_others_name_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(database, "wanted", lambda: "4.9.2-abcd")
    monkeypatch.setattr(database, "there", lambda _name: there)
    monkeypatch.setattr(database, "psql", lambda sql, *_: asked.append(sql) or "1")
    for name in ("stop", "recover", "create", "write"):
        monkeypatch.setattr(database, name, lambda *_: None)
    loaded: list[bytes] = []
    monkeypatch.setattr(database, "run", lambda *_, stdin, **__: loaded.append(stdin.read()))
    text = b"CREATE\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
    file = tmp_path / "mayan.sql"
    file.write_bytes(b"-- release 4.9.1-0123\n" + text)
    with file.open("rb", buffering=0) as sql:
        database.take_back(sql)
    assert loaded == [text]
    before = "ALTER DATABASE mayan RENAME TO mayan_before; " if there else ""
    assert asked[-1] == f"{before}ALTER DATABASE mayan_loading RENAME TO mayan"


def test_a_pipe_is_refused() -> None:
    out, into = os.pipe()
    with os.fdopen(into, "wb") as given, os.fdopen(out, "rb", buffering=0) as sql:
        given.write(b"x")
        given.flush()
        with pytest.raises(place.Trouble, match="not from a pipe"):
            database.is_whole(sql)
