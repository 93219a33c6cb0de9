#!/usr/bin/python
"""Ansible module: use Mayan as a person and a program would, and say what was seen."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import ssl
import time
import uuid
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: documents_probe
short_description: Upload a document, find it by a word inside, be refused malware, delete it
description:
  - Over HTTPS verified against the province's CA, through the pages and the REST API. Removes what it made.
    A probe that sees something else than it should gives a proof with ok=false; the task itself does not fail.
options:
  site: {description: Site the proofs are about., type: str, required: true}
  name: {description: 'Name of the service, as in its certificate.', type: str, required: true}
  address: {description: Where it listens., type: str, required: true}
  ca_file: {description: The province's CA., type: path, required: true}
  user: {description: Account., type: str, required: true}
  password: {description: Its password., type: str, required: true}
  document_type: {description: Type of the document it makes., type: str, required: true}
  within_seconds: {description: How long reading and recognising one page may take., type: int, default: 240}
author: [Tram]
"""

EXAMPLES = r"""
- name: Use the documents
  documents_probe:
    site: so-noi-vu
    name: documents.so-noi-vu.tinh.example
    address: 198.51.100.10
    ca_file: /etc/ssl/tram/ca.crt
    user: kiem-tra
    password: "{{ password }}"
    document_type: Kiểm tra hệ thống
"""

RETURN = r"""
proofs: {description: 'One {site, service, proof, ok} a step.', type: list, returned: always}
"""

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


class Unexpected(Exception):
    """An answer that is not what a person would need to see."""


class Client:
    """HTTPS to a fixed address, the name verified; with a token once there is one."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.name, self.address = params["name"], params["address"]
        self.context = ssl.create_default_context(cafile=params["ca_file"])
        self.token = ""

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str]:
        """One request; status and text."""
        raw = socket.create_connection((self.address, 443), 30)
        # An upload is answered when it is scanned, and a scanner may take its time.
        raw.settimeout(180)
        connection = http.client.HTTPSConnection(self.name)
        connection.sock = self.context.wrap_socket(raw, server_hostname=self.name)
        with contextlib.closing(connection):
            headers = {"Accept": "application/json", "Accept-Language": "en"}
            headers.update({"Content-Type": kind} if kind else {})
            headers.update({"Authorization": f"Token {self.token}"} if self.token else {})
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")

    def api(self, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
        """One request to the REST API; its JSON. Raises Unexpected for any other status than success."""
        body = json.dumps(form).encode() if form is not None else b""
        status, text = self.ask(method, f"/api/v4/{path}", body, "application/json" if form is not None else "")
        if not 200 <= status < 300:
            raise Unexpected(f"{method} {path}: {status} {text[:300]}")
        return json.loads(text) if text.strip() else None

    def send(self, kind: int, name: str, content: bytes) -> tuple[int, str]:
        """Upload a document of a type."""
        line = uuid.uuid4().hex
        parts = [f'--{line}\r\nContent-Disposition: form-data; name="document_type_id"\r\n\r\n{kind}\r\n'.encode()]
        head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts += [f"{head}Content-Type: application/octet-stream\r\n\r\n".encode(), content]
        parts += [f"\r\n--{line}--\r\n".encode()]
        return self.ask("POST", "/api/v4/documents/upload/", b"".join(parts), f"multipart/form-data; boundary={line}")


def page_with(word: str) -> bytes:
    """A PDF of one page that says a word."""
    drawn = f"BT /F1 40 Tf 60 700 Td (Tram {word}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + end


class Probe:
    """The steps, in order; what one learns the next uses."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params, self.client = params, Client(params)
        self.kind = self.document = 0
        # Letters that text recognition does not mistake for one another.
        self.word = "".join(secrets.choice("ABEHKMNPRTX") for _ in range(12))

    def wait(self, what: str, look: Any) -> Any:
        """Look until there is something."""
        end = time.monotonic() + self.params["within_seconds"]
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(2)
        raise Unexpected(f"{what}: not within {self.params['within_seconds']} s")

    def page(self) -> None:
        """The first page."""
        # Just started, it takes its time over the first one.
        status, text = self.wait("an answer", self.first)
        if status != 200 or 'lang="vi"' not in text or "Đăng nhập" not in text:
            raise Unexpected(f"the login page ({status}) is not Vietnamese")

    def first(self) -> tuple[int, str] | None:
        """The login page, or nothing while there is nobody to answer."""
        try:
            status, text = self.client.ask("GET", "/authentication/login/")
        except TimeoutError:
            return None
        return None if status in (502, 503, 504) else (status, text)

    def log_in(self) -> None:
        """A stranger, then the account. Not the account with a wrong password: it would be locked by its own proofs."""
        form = {"username": f"nguoi-la-{self.word.lower()}", "password": "not the password"}
        status, _ = self.client.ask("POST", "/api/v4/auth/token/obtain/", json.dumps(form).encode(), "application/json")
        if status != 400:
            raise Unexpected(f"a stranger was answered with {status}")
        form = {"username": self.params["user"], "password": self.params["password"]}
        self.client.token = self.client.api("POST", "auth/token/obtain/", form)["token"]

    def upload(self) -> None:
        """A page."""
        types = self.client.api("GET", "document_types/?page_size=100")["results"]
        mine = [kind["id"] for kind in types if kind["label"] == self.params["document_type"]]
        if not mine:
            raise Unexpected(f"there is no document type {self.params['document_type']}")
        self.kind = mine[0]
        status, text = self.client.send(self.kind, "tram.pdf", page_with(self.word))
        if status != 201:
            raise Unexpected(f"an upload was answered with {status} {text[:300]}")
        self.document = json.loads(text)["id"]

    def read(self) -> None:
        """Its text, as parsed and as recognised from the picture."""
        top = f"documents/{self.document}/"

        def content(where: str, what: str) -> str:
            for version in self.client.api("GET", f"{top}{where}/")["results"]:
                for page in self.client.api("GET", f"{top}{where}/{version['id']}/pages/")["results"]:
                    path = f"{top}{where}/{version['id']}/pages/{page['id']}/{what}/"
                    with contextlib.suppress(Unexpected):
                        return str(self.client.api("GET", path)["content"])
            return ""

        self.wait("the text is parsed", lambda: self.word in content("files", "content"))
        self.wait("the picture is read", lambda: self.word in content("versions", "ocr").replace(" ", ""))

    def find(self) -> None:
        """By a word inside."""
        path = f"search/documents.documentsearchresult/?q={self.word}"
        self.wait(
            "it is found by a word inside",
            lambda: [hit for hit in self.client.api("GET", path)["results"] if hit["id"] == self.document],
        )

    def malware(self) -> None:
        """The test virus."""
        before = self.client.api("GET", "documents/")["count"]
        status, text = self.client.send(self.kind, "eicar.pdf", EICAR)
        if status != 422 or "mã độc" not in text:
            raise Unexpected(f"the test virus was answered with {status} {text[:300]}")
        if self.client.api("GET", "documents/")["count"] != before:
            raise Unexpected("the test virus was refused, but left a document behind")

    def delete(self) -> None:
        """What it made."""
        self.client.api("DELETE", f"documents/{self.document}/")
        trashed = f"trashed_documents/{self.document}/"
        self.wait("it is in the bin", lambda: self.client.ask("GET", f"/api/v4/{trashed}")[0] == 200)
        self.client.api("DELETE", trashed)
        self.wait("it is gone", lambda: self.client.ask("GET", f"/api/v4/{trashed}")[0] == 404)
        self.document = 0


STEPS = [
    ("page", "Trang đăng nhập tiếng Việt qua TLS · Vietnamese login page over TLS"),
    ("log_in", "Người lạ bị từ chối, tài khoản thì vào · a stranger is refused, the account is taken"),
    ("upload", "Tải lên một văn bản · a document is uploaded"),
    ("read", "Đọc chữ trong văn bản và trong ảnh · its text is parsed and recognised"),
    ("find", "Tìm thấy bằng một từ trong văn bản · found by a word inside"),
    ("malware", "Tệp có mã độc bị từ chối · malware is refused"),
    ("delete", "Xóa văn bản thử · the document is deleted"),
]


def main() -> None:
    """Take the steps; after the first that fails only clean up."""
    words = ("site", "name", "address", "user", "document_type")
    spec: dict[str, Any] = {name: {"type": "str", "required": True} for name in words}
    spec["ca_file"] = {"type": "path", "required": True}
    spec["password"] = {"type": "str", "required": True, "no_log": True}
    spec["within_seconds"] = {"type": "int", "default": 240}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    probe, proofs = Probe(module.params), []
    for step, said in STEPS:
        proof = {"site": module.params["site"], "service": "documents", "proof": said, "ok": True}
        try:
            getattr(probe, step)()
        except (Unexpected, OSError, http.client.HTTPException, KeyError, ValueError) as error:
            proof |= {"proof": f"{said}: {error}", "ok": False}
        proofs.append(proof)
        if not proof["ok"]:
            break
    if probe.document:
        with contextlib.suppress(Exception):
            probe.delete()
    module.exit_json(changed=False, proofs=proofs)


if __name__ == "__main__":
    main()
