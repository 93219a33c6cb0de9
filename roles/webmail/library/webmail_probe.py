#!/usr/bin/python
"""Ansible module: use a Roundcube webmail as a person with a browser would, and say what was seen."""

from __future__ import annotations

import contextlib
import http.cookiejar
import imaplib
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: webmail_probe
short_description: Log in to Roundcube, write to oneself, find the message in the list
description:
  - Over HTTPS verified against the province's CA, by the forms a browser sends. Removes what it wrote, over IMAP.
    A probe that sees something else than it should gives a proof with ok=false; the task itself does not fail.
options:
  site: {description: Site the proofs are about., type: str, required: true}
  name: {description: Name of the webmail, as in its certificate., type: str, required: true}
  mail_name: {description: 'Name of the mail server, as in its certificate.', type: str, required: true}
  address: {description: Where both listen., type: str, required: true}
  ca_file: {description: The province's CA., type: path, required: true}
  user: {description: Local part of the account., type: str, required: true}
  domain: {description: Mail domain of the account., type: str, required: true}
  password: {description: Its password., type: str, required: true}
  language: {description: 'Language the first page must be in (html lang).', type: str, default: vi}
  password_length:
    description: 'Shortest password the page for changing it takes; 0: there is no such page.'
    type: int
    default: 0
  within_seconds: {description: How long a message may take., type: int, default: 60}
author: [Tram]
"""

EXAMPLES = r"""
- name: Use the webmail
  webmail_probe:
    site: so-noi-vu
    name: webmail.so-noi-vu.tinh.example
    mail_name: mail.so-noi-vu.tinh.example
    address: 198.51.100.10
    ca_file: /etc/ssl/tram/ca.crt
    user: kiem-tra
    domain: so-noi-vu.tinh.example
    password: "{{ password }}"
"""

RETURN = r"""
proofs: {description: 'One {site, service, proof, ok} a step.', type: list, returned: always}
"""

SUBJECT = "Thử webmail: lịch công tác tuần"


class Unexpected(Exception):
    """A page that is not what a person would need to see."""


class Browser:
    """A cookie-keeping HTTPS client that dials a fixed address and verifies the name."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.base = f"https://{params['name']}/"
        context = ssl.create_default_context(cafile=params["ca_file"])
        address = params["address"]

        class Dialled(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> Any:
                return self.do_open(FixedConnection, request, context=context)

        class FixedConnection(urllib.request.http.client.HTTPSConnection):  # type: ignore[name-defined,misc]
            def connect(self) -> None:
                raw = socket.create_connection((address, 443), 30)
                self.sock = context.wrap_socket(raw, server_hostname=self.host)

        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(Dialled(), urllib.request.HTTPCookieProcessor(jar))
        self.token = ""

    def ask(self, query: dict[str, str], form: dict[str, str] | None = None) -> str:
        """Fetch a page (with a form: post it) and remember the request token it carries."""
        url = self.base + ("?" + urllib.parse.urlencode(query) if query else "")
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        headers = {"X-Roundcube-Request": self.token} if self.token else {}
        request = urllib.request.Request(url, data, headers)  # noqa: S310  # the scheme is written above
        with self.opener.open(request, timeout=30) as answer:
            page: str = answer.read().decode()
        token = re.search(r'name="_token" value="([^"]+)"', page) or re.search(r'"request_token":"([^"]+)"', page)
        if token:
            self.token = token[1]
        return page


def log_in(browser: Browser, user: str, password: str, language: str) -> str:
    """Fill in the login form."""
    first = browser.ask({})
    if f'lang="{language}"' not in first:
        raise Unexpected(f"the login page is not in {language}")
    form = {"_task": "login", "_action": "login", "_timezone": "Asia/Ho_Chi_Minh", "_url": "", "_user": user}
    page = browser.ask({"_task": "login"}, form | {"_pass": password, "_token": browser.token})
    if '"task":"mail"' not in page:
        raise Unexpected("the login led to no mailbox")
    return page


def refuses_wrong_password(browser: Browser, user: str, language: str) -> None:
    """Try a wrong password."""
    try:
        log_in(browser, user, "not the password", language)
    except (Unexpected, urllib.error.HTTPError):
        return
    raise Unexpected("a wrong password was taken")


def write(browser: Browser, to: str, subject: str) -> None:
    """Compose and send a message."""
    page = browser.ask({"_task": "mail", "_action": "compose"})
    compose = re.search(r'"compose_id":"([^"]+)"', page)
    identity = re.search(r'<select[^>]*name="_from"[^>]*>.*?<option value="(\d+)"', page, re.DOTALL)
    if not compose or not identity:
        raise Unexpected("the page to write a message has no form")
    form = {"_token": browser.token, "_task": "mail", "_action": "send", "_id": compose[1], "_from": identity[1]}
    form |= {"_to": to, "_subject": subject, "_message": "Kính gửi Ông/Bà.", "_is_html": "0", "_draft": ""}
    answer = browser.ask({"_task": "mail", "_action": "send", "_framed": "1"}, form)
    if "sent_successfully" not in answer:
        shown = re.search(r'display_message\("([^"]*)', answer)
        raise Unexpected("not sent: " + (shown[1] if shown else answer[:200]))


def lists(browser: Browser, subject: str, within: float) -> None:
    """Wait until the inbox lists a message of that subject."""
    deadline = time.monotonic() + within
    while True:
        page = browser.ask({"_task": "mail", "_action": "list", "_mbox": "INBOX", "_remote": "1", "_refresh": "1"})
        if subject in json.loads(page).get("exec", "").encode().decode("unicode_escape").encode("latin-1").decode():
            return
        if time.monotonic() > deadline:
            raise Unexpected(f"the inbox does not list it after {within:.0f} s")
        time.sleep(1)


def refuses_short_password(browser: Browser, password: str, length: int) -> None:
    """Try to take a password that is too short; the page must say how long it has to be."""
    browser.ask({"_task": "settings", "_action": "plugin.password"})
    short = "ngan"
    form = {"_token": browser.token, "_curpasswd": password, "_newpasswd": short, "_confpasswd": short}
    page = browser.ask({"_task": "settings", "_action": "plugin.password-save"}, form)
    shown = re.search(r'display_message\("((?:[^"\\]|\\.)*)"', page)
    said = json.loads(f'"{shown[1]}"') if shown else "nothing"
    if f" {length} " not in said or "$" in said:
        raise Unexpected(f"a password that is too short was answered with: {said}")


def clean(params: dict[str, Any], mark: str) -> None:
    """Remove the messages of this run from every folder they can be in."""
    context = ssl.create_default_context(cafile=params["ca_file"])

    class Dialled(imaplib.IMAP4_SSL):
        def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
            raw = socket.create_connection((params["address"], 993), timeout)
            return context.wrap_socket(raw, server_hostname=params["mail_name"])

    session = Dialled(timeout=30)
    session.login(f"{params['user']}@{params['domain']}", params["password"])
    for folder in ("INBOX", "Sent", "Drafts"):
        if session.select(folder)[0] == "OK":
            for number in session.search(None, "SUBJECT", mark)[1][0].split():
                session.store(number, "+FLAGS", r"(\Deleted)")
            session.expunge()
    session.logout()


def main() -> None:
    """Do it all as one person would."""
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "mail_name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "ca_file": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "domain": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "language": {"type": "str", "default": "vi"},
            "password_length": {"type": "int", "default": 0, "no_log": False},
            "within_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=False,
    )
    params = module.params
    user, language = params["user"], params["language"]
    mark = f"tram-{time.time_ns()}"
    subject = f"{SUBJECT} {mark}"
    browser = Browser(params)
    steps = [
        (
            "từ chối mật khẩu sai · wrong password refused",
            lambda: refuses_wrong_password(Browser(params), user, language),
        ),
        ("đăng nhập qua HTTPS · login over HTTPS", lambda: log_in(browser, user, params["password"], language)),
        ("gửi thư · message sent", lambda: write(browser, f"{user}@{params['domain']}", subject)),
        ("hộp thư hiện thư · inbox lists it", lambda: lists(browser, subject, params["within_seconds"])),
    ]
    if params["password_length"]:
        steps.append(
            (
                "mật khẩu mới quá ngắn bị từ chối · too short a new password refused",
                lambda: refuses_short_password(browser, params["password"], params["password_length"]),
            )
        )
    proofs = []
    for meaning, step in steps:
        proof, good = f"{browser.base} {meaning}", True
        try:
            step()
        except (OSError, ValueError, Unexpected, urllib.error.URLError) as error:
            proof, good = f"{proof}: {type(error).__name__}: {error}", False
        proofs.append({"site": params["site"], "service": "webmail", "proof": proof, "ok": good})
        if not good:
            break
    with contextlib.suppress(OSError, imaplib.IMAP4.error):
        clean(params, mark)
    module.exit_json(changed=False, proofs=proofs)


if __name__ == "__main__":
    main()
