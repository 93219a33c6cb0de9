"""An agency's dispatch mailbox: read by IMAP, written from by submission, both over TLS by the province's CA."""

from __future__ import annotations

import imaplib
import json
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/mayan/dispatch.json")
SECONDS = 60


def boxes() -> dict[str, dict[str, Any]]:
    """What the role wrote, by agency; empty where no agency has one."""
    if not SETTINGS.exists():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(SETTINGS.read_text(encoding="utf-8"))
    return found


def addresses(said: str) -> list[str]:
    """Addresses as people write them, between commas or semicolons.

    Raises ValueError with the first that is none.
    """
    found = [part.strip() for part in re.split("[,;]", said) if part.strip()]
    for one in found:
        if not re.fullmatch(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", one):
            raise ValueError(
                f"“{one}” không phải địa chỉ thư, hãy viết như van-thu@so-noi-vu.tinh.example · is no mail address"
            )
    return found


def tls(box: dict[str, Any]) -> ssl.SSLContext:
    """TLS that knows the province's CA and no other."""
    return ssl.create_default_context(cafile=box["ca"])


@contextmanager
def reading(box: dict[str, Any]) -> Iterator[imaplib.IMAP4_SSL]:
    """The mailbox's inbox."""
    connection = imaplib.IMAP4_SSL(box["host"], 993, ssl_context=tls(box), timeout=SECONDS)
    try:
        connection.login(box["user"], box["password"])
        connection.select("INBOX")
        yield connection
    finally:
        with suppress(imaplib.IMAP4.error, OSError):
            connection.logout()


def send(box: dict[str, Any], message: EmailMessage) -> list[str]:
    """Hand a letter in as the mailbox's owner; the addresses that were refused while others were taken.

    Raises OSError, smtplib.SMTPException.
    """
    with smtplib.SMTP_SSL(box["host"], 465, context=tls(box), timeout=SECONDS) as connection:
        connection.login(box["user"], box["password"])
        return sorted(connection.send_message(message))
