"""Requests to Mayan's own socket: who is asked to wait waits, and not for ever."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from tram_documents import place, rest


@pytest.fixture
def mayan(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Answers, one a request; the last one again and again."""
    answers: list[int] = []

    class Socket:
        def __init__(self, _name: str) -> None: ...
        def request(self, *_: Any) -> None: ...
        def close(self) -> None: ...
        def getresponse(self) -> Any:
            status = answers.pop(0) if len(answers) > 1 else answers[0]
            return SimpleNamespace(status=status, read=io.BytesIO(b"{}").read, getheader=lambda *_: "1")

    monkeypatch.setattr(rest, "Local", Socket)
    monkeypatch.setattr(rest.time, "sleep", lambda _: None)
    return answers


def client() -> Any:
    found = rest.Client.__new__(rest.Client)
    found.name, found.token = "x", "t"
    return found


def test_a_request_that_is_put_off_is_made_again(mayan: list[int]) -> None:
    mayan += [429, 429, 200]
    assert client().ask("GET", "x/") == (200, {})


def test_a_request_that_is_always_put_off_ends_with_a_word(mayan: list[int]) -> None:
    mayan.append(429)
    with pytest.raises(place.Trouble, match="try again later"):
        client().ask("GET", "x/")
