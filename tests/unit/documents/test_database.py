"""What is no dump, or of a newer release, is refused before anything is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from tram_documents import database, place


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "this is no dump"),
        (b"-- PostgreSQL database dump\n", "this is no dump"),
        (b"-- release none; DROP\n", "this is no dump"),
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
