"""A person at a desk in a site's LAN with a browser: the documents' pages and REST API over verified TLS."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tram.lab.lab import Lab
from tram.lab.namespace import inside
from tram.lab.network import lan_of

from .role_module import load

_probe = load("documents_probe", "documents/library/documents_probe.py")
page_with: Callable[[str], bytes] = _probe.page_with
Unexpected: type[Exception] = _probe.Unexpected
BUSY = (502, 503, 504)


class Desk(_probe.Client):  # type: ignore[misc,name-defined]
    """Somebody's browser and programs, before the host of that name which has a site's documents."""

    def __init__(self, lab: Lab, host: str) -> None:
        machine = lab.machine(host)
        site = next(one for one in lab.province.sites if host in [h.inventory_name for h in one.hosts])
        found = next(h for h in site.hosts if h.inventory_name == host)
        self.name, self.address, self.token = f"documents.{site.domain}", str(found.address), ""
        self.context = ssl.create_default_context(cadata=machine.sh(["cat", "/etc/ssl/tram/ca.crt"]).stdout)
        self.cookies: SimpleCookie = SimpleCookie()
        self._namespace = lan_of(lab.paths, site).namespace
        self._secrets = lab.province.secrets_dir / "documents" / host

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str]:
        """One request from the LAN; status and text."""
        with inside(self._namespace):
            return super().ask(method, path, body, kind)  # type: ignore[no-any-return]

    def log_in(self, user: str, password: str = "") -> tuple[int, str]:
        """A token for a program, kept if there is one; without a password that of an account the role makes."""
        form = {"username": user, "password": password or (self._secrets / user).read_text(encoding="utf-8").strip()}
        status, text = self.ask("POST", "/api/v4/auth/token/obtain/", json.dumps(form).encode(), "application/json")
        if status == 200:
            self.token = json.loads(text)["token"]
        return status, text

    def at_the_form(self, user: str, password: str) -> tuple[int, str]:
        """Type name and password into the page; 302 is in, and the session is kept. What the page says otherwise."""
        _, page = self.browse("GET", "/authentication/login/")
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        fields |= dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*type="hidden"[^>]*value="([^"]*)"', page))
        form = re.search(r'name="([^"]*)username"', page)
        prefix = form[1] if form else ""
        fields |= {f"{prefix}username": user, f"{prefix}password": password}
        return self.browse("POST", "/authentication/login/", urlencode(fields).encode())

    def browse(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        """A page, with the session's cookies."""
        with inside(self._namespace):
            connection = http.client.HTTPSConnection(self.address, timeout=120, context=self.context)
            connection.connect = self._dial(connection)  # type: ignore[method-assign]
            headers = {"Host": self.name, "Referer": f"https://{self.name}/"}
            headers["Cookie"] = "; ".join(f"{name}={one.value}" for name, one in self.cookies.items())
            if body:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.cookies.load(line)
            return answer.status, answer.read().decode("utf-8", "replace")

    def _dial(self, connection: http.client.HTTPSConnection) -> Callable[[], None]:
        def dial() -> None:
            http.client.HTTPConnection.connect(connection)
            connection.sock = self.context.wrap_socket(connection.sock, server_hostname=self.name)

        return dial

    def kind(self, label: str) -> int:
        """A type of documents by its name; made where it is missing (administrator)."""
        for one in self.api("GET", "document_types/?page_size=200")["results"]:
            if one["label"] == label:
                return int(one["id"])
        return int(self.api("POST", "document_types/", {"label": label})["id"])

    def labels(self, kind: int) -> Counter[str]:
        """The documents of a type that are there, by their names."""
        found: Counter[str] = Counter()
        page = f"document_types/{kind}/documents/?page_size=100"
        while page:
            said = self.api("GET", page)
            found.update(one["label"] for one in said["results"])
            page = said["next"].split("/api/v4/")[1] if said["next"] else ""
        return found

    def files(self, document: int) -> int:
        """How many files a document has; more than one is a doubled one."""
        return int(self.api("GET", f"documents/{document}/files/")["count"])

    def pages(self, document: int) -> int:
        """Pages of a document's active version; 0 while there is none."""
        version = self.api("GET", f"documents/{document}/").get("version_active")
        if not version:
            return 0
        return int(self.api("GET", f"documents/{document}/versions/{version['id']}/pages/")["count"])

    def wait(self, what: str, look: Callable[[], Any], seconds: float = 300) -> Any:
        """Look until there is something; a server that is just starting is asked again."""
        end = time.monotonic() + seconds
        while True:
            try:
                if found := look():
                    return found
                said = "no"
            except (Unexpected, OSError, http.client.HTTPException) as error:
                said = str(error)[:300]
            assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s: {said}"
            time.sleep(2)
