"""Requests to Mayan's REST API, many in one go: the centre sends a batch over its own connection, the token never
leaves the host."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
import time
from contextlib import closing
from typing import Any

from .place import ETC, Trouble, settings

SOCKET = "/run/mayan-web/web.sock"
SECONDS = 180
ADMINISTRATOR = "quan-tri"


class Local(http.client.HTTPConnection):
    """HTTP to Mayan's own socket; only root and nginx get there."""

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(SOCKET)


class Client:
    """Asks as the administrator."""

    def __init__(self) -> None:
        self.name = settings()["fqdn"]
        self.token = ""
        password = json.loads((ETC / "accounts.json").read_text(encoding="utf-8"))["administrator"]
        form = {"username": ADMINISTRATOR, "password": password}
        status, answer = self.ask("POST", "auth/token/obtain/", form)
        if status != http.HTTPStatus.OK:
            raise Trouble(f"Mayan does not let its administrator in ({status})")
        self.token = answer["token"]

    def ask(self, method: str, path: str, body: Any = None, tries: int = 60) -> tuple[int, Any]:
        """One request; status and what was answered.

        Raises Trouble when nobody answers, or it is put off `tries` times.
        """
        headers = {
            "Accept": "application/json",
            "Accept-Language": "en",
            # As nginx would say it: Mayan counts wrong passwords by address.
            "X-Forwarded-Proto": "https",
            "X-Real-IP": "127.0.0.1",
            "X-Forwarded-For": "127.0.0.1",
        }
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        sent = None
        if body is not None:
            headers["Content-Type"], sent = "application/json", json.dumps(body).encode()
        try:
            with closing(Local(self.name)) as connection:
                connection.request(method, f"/api/v4/{path}", sent, headers)
                answer = connection.getresponse()
                text = answer.read().decode("utf-8", "replace")
                wait = answer.getheader("Retry-After", "1")
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"Mayan does not answer: {error} (systemctl status mayan-web)") from error
        if answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
            if tries <= 0:
                raise Trouble("Mayan wants fewer requests a second, and still did after many pauses: try again later")
            # Mayan bounds how many requests a second one account may make.
            time.sleep(min(int(wait) if wait.isdigit() else 1, 10))
            return self.ask(method, path, body, tries - 1)
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, text[:500]

    def every(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            joint = "&" if "?" in path else "?"
            status, answer = self.ask("GET", f"{path}{joint}page={page}&page_size=100")
            if status != http.HTTPStatus.OK:
                raise Trouble(f"GET {path}: {status} {json.dumps(answer, ensure_ascii=False)[:300]}")
            found += answer["results"]
            if not answer["next"]:
                return found
            page += 1

    def walk(self, path: str, each: dict[str, Any]) -> list[dict[str, Any]]:
        """A list, and lists below each of its members: {"key": {"path": "…/{id}/…", "each": {…}}}."""
        found = self.every(path)
        for item in found:
            for key, below in each.items():
                item[key] = self.walk(fill(below["path"], item), below.get("each", {}))
        return found


def fill(text: str, values: dict[str, Any]) -> str:
    """Names in braces replaced; a.b is b of a."""

    def one(match: re.Match[str]) -> str:
        value: Any = values
        for part in match[1].split("."):
            value = value[part]
        return str(value)

    return re.sub(r"\{([^{}]+)\}", one, text)


def batch(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Do them in their order and stop at the first that is refused; what each ended with.

    `as` names an answer; `<name>` as a value of a later body, or within a path, is the id of what was so named.
    """
    client, answers, ids = Client(), [], dict[str, Any]()
    for request in requests:
        if request["method"] == "WALK":
            answers.append({"status": 200, "body": client.walk(request["path"], request.get("each", {}))})
            continue
        path = re.sub(r"<([^<>]+)>", lambda match: str(ids[match[1]]), request["path"])
        body = {key: named(value, ids) for key, value in request["body"].items()} if request.get("body") else None
        status, answer = client.ask(request["method"], path, body)
        answers.append({"status": status, "body": answer})
        if not 200 <= status < 300:
            break
        if request.get("as"):
            ids[request["as"]] = answer["id"]
    return answers


def named(value: Any, ids: dict[str, Any]) -> Any:
    """A value, or the id it stands for."""
    match = re.fullmatch(r"<([^<>]+)>", value) if isinstance(value, str) else None
    return ids[match[1]] if match else value


def main() -> int:
    """Read a batch from standard input, print what was answered."""
    json.dump(batch(json.load(sys.stdin)), sys.stdout, ensure_ascii=False)
    return 0
