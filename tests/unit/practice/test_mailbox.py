"""Addresses a document is sent to, as a clerk writes them."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from ...role_module import load

mailbox = load("tram_practice_mailbox", "documents/files/tram-mayan/tram_practice/mailbox.py")


@pytest.mark.parametrize("said", ["a.b@x.tinh.example, c@d.example", "a.b@x.tinh.example; c@d.example;"])
def test_comma_and_semicolon_part_addresses(said: str) -> None:
    assert mailbox.addresses(said) == ["a.b@x.tinh.example", "c@d.example"]


@pytest.mark.parametrize("said", ["<", "a@@b.example", "Lan <a@b.example>", "a@b.example\nBcc: x@y.example", "a@["])
def test_what_is_no_address_is_refused_before_it_stands_in_the_way(said: str) -> None:
    with pytest.raises(ValueError, match="is no mail address"):
        mailbox.addresses(f"c@d.example, {said}")


def test_who_is_refused_while_others_get_the_letter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        def __init__(self, *_: Any, **__: Any) -> None: ...
        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None: ...
        def login(self, _user: str, _password: str) -> None: ...
        def send_message(self, _message: EmailMessage) -> dict[str, tuple[int, bytes]]:
            return {"no@b.example": (550, b"unknown")}

    monkeypatch.setattr(mailbox.smtplib, "SMTP_SSL", Server)
    monkeypatch.setattr(mailbox, "tls", lambda _box: None)
    box = {"host": "mail", "user": "a@b.example", "password": "x"}
    assert mailbox.send(box, EmailMessage()) == ["no@b.example"]
