#!/usr/bin/python
"""Ansible module: use a mail server as a person with a mailbox would, and say what was seen."""

from __future__ import annotations

import contextlib
import email
import email.policy
import email.utils
import hashlib
import imaplib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: mail_probe
short_description: Send, receive and be refused by a mail server, over its public ports
description:
  - Talks SMTP submission and IMAP over TLS verified against the province's CA, with one account. A probe that sees
    something else than it should gives a proof with ok=false; the task itself does not fail, so that all is reported.
options:
  site: {description: Site the proofs are about., type: str, required: true}
  server: {description: Name of the server, as in its certificate., type: str, required: true}
  address: {description: Where it listens., type: str, required: true}
  domain: {description: Mail domain of the account., type: str, required: true}
  ca_file: {description: The province's CA., type: path, required: true}
  user: {description: Local part of the account., type: str, required: true}
  password: {description: Its password., type: str, required: true}
  probes: {description: What to do. Each has C(kind) and what the function of that name below takes., type: list,
           elements: dict, required: true}
author: [Tram]
"""

EXAMPLES = r"""
- name: Write to another site
  mail_probe:
    site: so-noi-vu
    server: mail.so-noi-vu.tinh.example
    address: 198.51.100.10
    domain: so-noi-vu.tinh.example
    ca_file: /etc/ssl/tram/ca.crt
    user: kiem-tra
    password: "{{ password }}"
    probes: [{kind: send, to: kiem-tra@tinh.example, id: run1-so-noi-vu-trung-tam}]
"""

RETURN = r"""
proofs: {description: 'One {site, service, proof, ok} a probe.', type: list, returned: always}
"""

SUBJECT = "Công văn số 12/CV: đề nghị họp giao ban"
TEXT = "Kính gửi Ông/Bà,\n\nĐề nghị dự họp giao ban đầu tuần. Tệp đính kèm: lịch họp.\n\nTrân trọng."
ATTACHMENT = "lịch họp tuần.bin"
ATTACHMENT_BYTES = 20_000
Proof = tuple[str, bool]


def attachment(seed: str, size: int) -> bytes:
    """Bytes that sender and receiver can both make, and nobody else sends."""
    block = b"".join(hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(32))
    return (block * (size // len(block) + 1))[:size]


class Server:
    """The server under test and the account used on it."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.name, self.host = params["server"], params["address"]
        self.user, self.password = f"{params['user']}@{params['domain']}", params["password"]
        self.domain = params["domain"]
        self.tls = ssl.create_default_context(cafile=params["ca_file"])

    @contextlib.contextmanager
    def smtp(self, port: int = 587, login: bool = True) -> Iterator[smtplib.SMTP]:
        """Connect to a port; with login, over verified TLS as the account."""
        if port == 465:
            session: smtplib.SMTP = smtplib.SMTP_SSL(timeout=60, context=self.tls)
            session._host = self.name  # type: ignore[attr-defined]  # the name to verify, while the address is dialled
            session._get_socket = lambda host, port, timeout: self.tls.wrap_socket(  # type: ignore[attr-defined]
                socket.create_connection((host, port), timeout), server_hostname=self.name
            )
        else:
            session = smtplib.SMTP(timeout=60)
        session.connect(self.host, port)
        session._host = self.name  # type: ignore[attr-defined]
        try:
            if login:
                if port != 465:
                    session.starttls(context=self.tls)
                session.login(self.user, self.password)
            yield session
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                session.quit()

    @contextlib.contextmanager
    def imap(self, password: str | None = None) -> Iterator[imaplib.IMAP4_SSL]:
        """Open the mailbox over verified TLS."""
        server = self

        class Dialled(imaplib.IMAP4_SSL):
            def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
                raw = socket.create_connection((server.host, 993), timeout)
                return server.tls.wrap_socket(raw, server_hostname=server.name)

        session = Dialled(timeout=60)
        try:
            session.login(self.user, password or self.password)
            session.select("INBOX")
            yield session
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                session.logout()

    def wait_for(self, criteria: list[str], within: float) -> list[tuple[EmailMessage, float]]:
        """Return the messages that match, with their arrival in seconds since the epoch, and remove them."""
        deadline = time.monotonic() + within
        while True:
            with self.imap() as session:
                numbers = session.search(None, *criteria)[1][0].split()
                # A doubled message comes at once after the first: look again before believing in one.
                if numbers and time.monotonic() < deadline:
                    time.sleep(1)
                    session.noop()
                    numbers = session.search(None, *criteria)[1][0].split()
                found = []
                for number in numbers:
                    parts: Any = session.fetch(number, "(INTERNALDATE BODY.PEEK[])")[1][0]
                    arrived = time.mktime(imaplib.Internaldate2tuple(parts[0]) or time.localtime(0))
                    found.append((email.message_from_bytes(parts[1], policy=email.policy.default), arrived))
                    session.store(number, "+FLAGS", r"(\Deleted)")
                session.expunge()
            if found or time.monotonic() > deadline:
                return found
            time.sleep(2)


def send(server: Server, to: str, id: str, *, port: int = 587, size: int = ATTACHMENT_BYTES, claim: str = "") -> Proof:
    """Submit a Vietnamese message with an attachment; with `claim`, under that name instead of the account's."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = claim or server.user, to, SUBJECT
    message["Message-ID"], message["Date"] = f"<{id}@{server.domain}>", email.utils.localtime()
    message.set_content(TEXT)
    message.add_attachment(attachment(id, size), maintype="application", subtype="octet-stream", filename=ATTACHMENT)
    with server.smtp(port) as session:
        session.send_message(message, from_addr=server.user)
    return f"gửi {to} qua cổng {port} · submitted for {to} by port {port}", True


def received(server: Server, sender: str, id: str, within: float, dkim: str = "") -> Proof:
    """Find the message of `send` once, whole, and with the sender's domain vouched for when dkim is that domain."""
    found = server.wait_for(["HEADER", "Message-ID", f"<{id}@"], within)
    if len(found) != 1:
        return f"thư từ {sender}: tới {len(found)} lần trong {within:.0f} s · came {len(found)} times", False
    message, arrived = found[0]
    text = message.get_body(("plain",))
    content = text.get_content() if text else ""
    files = {part.get_filename(): part.get_payload(decode=True) for part in message.iter_attachments()}
    wrong = [
        name
        for name, same in (
            ("subject", message["Subject"] == SUBJECT),
            ("text", content.replace("\r\n", "\n").strip() == TEXT),
            ("attachment", files == {ATTACHMENT: attachment(id, ATTACHMENT_BYTES)}),
        )
        if not same
    ]
    results = " ".join(str(value) for value in message.get_all("Authentication-Results", []))
    if dkim and not re.search(rf"dkim=pass\b[^;]*header\.d={re.escape(dkim)}\b", results):
        wrong.append(f"DKIM ({results or 'no Authentication-Results'})")
    seconds = max(0.0, arrived - email.utils.parsedate_to_datetime(message["Date"]).timestamp())
    if wrong:
        return f"thư từ {sender}: sai · wrong: {', '.join(wrong)}", False
    signed = ", DKIM pass" if dkim else ""
    return (
        f"thư từ {sender} nguyên vẹn sau {seconds:.0f} s{signed} · mail from {sender} intact in {seconds:.0f} s",
        True,
    )


def bounced(server: Server, id: str, code: str, within: float) -> Proof:
    """Find the bounce of a message, in both languages, with the reason."""
    found = server.wait_for(["FROM", "MAILER-DAEMON", "TEXT", f"<{id}@"], within)
    if len(found) != 1:
        return f"thư báo lỗi: {len(found)} · bounces for {code}: {len(found)} in {within:.0f} s", False
    text = "".join(str(part.get_content()) for part in found[0][0].walk() if part.get_content_type() == "text/plain")
    good = "KHÔNG đến được" in text and "could NOT be delivered" in text and code in text
    return f"thư báo lỗi {code} dễ hiểu · readable bounce for {code}" + ("" if good else f": {text[:300]}"), good


def refused(server: Server, what: str, size: int = 0) -> Proof:
    """Try what must not work; `what` names one of the attempts, with a size it is the size that is too much."""
    code, reply = _sized(server, size) if size else REFUSALS[what](server)
    wanted, meaning = MEANINGS[what]
    return f"{meaning}: {code} {reply[:80]}", bool(re.fullmatch(wanted, str(code)))


def _rcpt(session: smtplib.SMTP, sender: str, to: str, size: int = 0) -> tuple[int, str]:
    """Go as far as RCPT and return the first refusal."""
    session.ehlo_or_helo_if_needed()
    code, reply = session.mail(sender, [f"size={size}"] if size else [])
    if code < 400:
        code, reply = session.rcpt(to)
    return code, reply.decode(errors="replace")


def _open_relay(server: Server) -> tuple[int, str]:
    with server.smtp(25, login=False) as session:
        session.ehlo()
        if session.has_extn("starttls"):
            session.starttls(context=server.tls)
        return _rcpt(session, "a@stranger.example", "b@elsewhere.example")


def _plain_auth(server: Server) -> tuple[int, str]:
    with server.smtp(login=False) as session:
        session.ehlo()
        if session.has_extn("auth"):
            return 0, "AUTH is offered without TLS"
        for port in (110, 143):
            with contextlib.suppress(OSError), socket.create_connection((server.host, port), 5):
                return 0, f"port {port} is open"
        code, reply = session.docmd("AUTH", "PLAIN AAAA")
        return code, reply.decode(errors="replace")


def _wrong_password(server: Server) -> tuple[int, str]:
    with contextlib.suppress(imaplib.IMAP4.error), server.imap("not the password"):
        return 0, "IMAP took a wrong password"
    with server.smtp(login=False) as session:
        session.starttls(context=server.tls)
        try:
            code, reply = session.login(server.user, "not the password")
        except smtplib.SMTPAuthenticationError as error:
            code, reply = error.smtp_code, error.smtp_error  # type: ignore[assignment]
        return code, bytes(reply).decode(errors="replace")


def _foreign_sender(server: Server) -> tuple[int, str]:
    with server.smtp() as session:
        return _rcpt(session, f"postmaster@{server.domain}", server.user)


def _sized(server: Server, size: int) -> tuple[int, str]:
    with server.smtp() as session:
        return _rcpt(session, server.user, server.user, size)


def _vrfy(server: Server) -> tuple[int, str]:
    with server.smtp(25, login=False) as session:
        session.starttls(context=server.tls)
        code, reply = session.verify(server.user)
        return code, reply.decode(errors="replace")


def _malware(server: Server) -> tuple[int, str]:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = server.user, server.user, SUBJECT
    message["Date"] = email.utils.localtime()
    message.set_content(TEXT)
    # The test file every scanner knows, in two halves: this module itself must not be found.
    test_file = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    message.add_attachment(test_file.encode(), maintype="application", subtype="octet-stream", filename="thử.com")
    with server.smtp() as session:
        try:
            session.send_message(message)
        except smtplib.SMTPDataError as error:
            return error.smtp_code, bytes(error.smtp_error).decode(errors="replace")  # type: ignore[arg-type]
    return 250, "a file with malware was taken"


REFUSALS: dict[str, Callable[[Server], tuple[int, str]]] = {
    "open relay": _open_relay,
    "plain auth": _plain_auth,
    "wrong password": _wrong_password,
    "foreign sender": _foreign_sender,
    "vrfy": _vrfy,
    "malware": _malware,
}
MEANINGS = {
    "open relay": ("55[0-9]", "không chuyển thư hộ người lạ · no open relay"),
    "plain auth": ("5[0-9][0-9]", "không nhận mật khẩu khi chưa mã hóa · no password without TLS"),
    "wrong password": ("535", "từ chối mật khẩu sai · wrong password refused"),
    "foreign sender": ("553", "không gửi thay người khác · no sending as another"),
    "too large": ("552", "từ chối thư quá lớn · too large refused"),
    "over quota": ("552", "báo hộp thư đầy · full mailbox refused"),
    "vrfy": ("5[0-9][0-9]", "không cho dò địa chỉ · no address probing"),
    "malware": ("55[0-9]", "từ chối mã độc · malware refused"),
}
KINDS: dict[str, tuple[str, Callable[..., Proof]]] = {
    "send": ("mail", send),
    "received": ("mail", received),
    "bounced": ("mail", bounced),
    "refused": ("mail-safety", refused),
}


def main() -> None:
    """Do the probes in turn."""
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "domain": {"type": "str", "required": True},
            "ca_file": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "probes": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=False,
    )
    server = Server(module.params)
    proofs = []
    for probe in module.params["probes"]:
        arguments = dict(probe)
        service, function = KINDS[arguments.pop("kind")]
        try:
            proof, good = function(server, **arguments)
        except (OSError, smtplib.SMTPException, imaplib.IMAP4.error) as error:
            proof, good = f"{probe['kind']} {probe.get('what', '')}: {type(error).__name__}: {error}", False
        proofs.append({"site": module.params["site"], "service": service, "proof": proof, "ok": good})
    module.exit_json(changed=False, proofs=proofs)


if __name__ == "__main__":
    main()
