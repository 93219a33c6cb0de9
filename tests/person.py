"""A person at a desk in a site's LAN, with a mail program: submission and IMAP over verified TLS, nothing else."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import formatdate

from tram.lab.lab import Lab
from tram.lab.namespace import inside
from tram.lab.network import lan_of
from tram.register import Site

_PATIENCE_SECONDS = 30


class Person:
    """`user` at a site of the lab, whose mail server is the site's own."""

    def __init__(self, lab: Lab, site_code: str, user: str) -> None:
        self.site: Site = next(site for site in lab.province.sites if site.code == site_code)
        host = self.site.mail_host
        assert host is not None
        self.address = f"{user}@{self.site.domain}"
        self.server = str(host.address)
        self.server_name = f"mail.{self.site.domain}"
        self._namespace = lan_of(lab.paths, self.site).namespace
        self._password = (lab.province.secrets_dir / "mail" / self.site.domain / user).read_text().split()[0]
        authority = lab.machine(host.inventory_name).sh(["cat", "/etc/ssl/tram/ca.crt"]).stdout
        self._trust = ssl.create_default_context(cadata=authority)

    def dial(self, port: int) -> socket.socket:
        """A connection to the site's server from the site's LAN."""
        with inside(self._namespace):
            return socket.create_connection((self.server, port), _PATIENCE_SECONDS)

    def submit(
        self, to: str, subject: str, body: str = "Kính gửi,", *, message_id: str, size: int = 0, date: str = ""
    ) -> None:
        """Send one message, of now or another date. Raises: OSError, smtplib.SMTPException."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.address, to, subject
        message["Message-ID"], message["Date"] = message_id, date or formatdate()
        message.set_content(body + "x" * size)
        with self.smtp() as session:
            session.send_message(message)

    def smtp(self) -> smtplib.SMTP_SSL:
        """A logged-in submission session (RFC 8314, port 465)."""
        person = self

        class Session(smtplib.SMTP_SSL):
            def _get_socket(self, host: str, port: int, timeout: float) -> ssl.SSLSocket:
                return person._trust.wrap_socket(person.dial(port), server_hostname=host)

        session = Session(self.server_name, 465, timeout=_PATIENCE_SECONDS, context=self._trust)
        session.login(self.address, self._password)
        return session

    def imap(self) -> imaplib.IMAP4_SSL:
        """A logged-in IMAP session with the inbox open."""
        person = self

        class Session(imaplib.IMAP4_SSL):
            def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
                return person._trust.wrap_socket(person.dial(993), server_hostname=person.server_name)

        session = Session(self.server_name, 993, ssl_context=self._trust, timeout=_PATIENCE_SECONDS)
        session.login(self.address, self._password)
        session.select("INBOX")
        return session

    def received(self, token: str) -> Counter[str]:
        """How often each message whose subject carries the token is in the inbox, by Message-ID."""
        with self.imap() as session:
            found = session.search(None, "SUBJECT", token)[1][0].split()
            if not found:
                return Counter()
            rows = session.fetch(b",".join(found).decode(), "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
            parser = BytesHeaderParser()
            return Counter(parser.parsebytes(row[1])["Message-ID"] for row in rows if isinstance(row, tuple))

    def wait_received(self, token: str, expected: set[str], within: timedelta) -> Counter[str]:
        """Wait until all of these have come; returns what is there then, or when the time is up."""
        deadline = time.monotonic() + within.total_seconds()
        while True:
            there = self.received(token)
            if expected <= set(there) or time.monotonic() > deadline:
                return there
            time.sleep(1)

    def forget(self, token: str) -> None:
        """Delete the messages whose subject carries the token."""
        with self.imap() as session:
            found = session.search(None, "SUBJECT", token)[1][0].split()
            if found:
                session.store(b",".join(found).decode(), "+FLAGS", "\\Deleted")
                session.expunge()


def wait_until(what: str, condition: Callable[[], bool], within: timedelta, every_seconds: float = 0.5) -> None:
    """Wait for something to come true. Raises: AssertionError that says what did not, and how long we waited."""
    deadline = time.monotonic() + within.total_seconds()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within.total_seconds():.0f} s"
        time.sleep(every_seconds)


def queued(lab: Lab, host: str) -> int:
    """Messages in a host's mail queue."""
    return len(lab.sh(host, ["postqueue", "-j"]).stdout.splitlines())
