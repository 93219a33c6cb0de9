"""People of an office at their documents: by the REST API, and in a browser, from the hub's own network."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont

from tram.lab.lab import Lab
from tram.lab.namespace import NETNS, inside
from tram.lab.network import lan_of

from .role_module import load

probe = load("documents_probe", "documents/library/documents_probe.py")
PICTURES = Path(__file__).parent.parent / "build/practice"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


class Office:
    """An instance of documents in a lab: where it is, and how its people get at it."""

    def __init__(self, lab: Lab, host: str, folder: Path) -> None:
        self.lab, self.host = lab, host
        site = next(one for one in lab.province.sites if any(h.inventory_name == host for h in one.hosts))
        found = next(one for one in site.hosts if one.inventory_name == host)
        self.name, self.address = f"documents.{site.domain}", str(found.address)
        self.namespace = lan_of(lab.paths, site).namespace
        self.ca = folder / "ca.crt"
        self.ca.write_text(lab.machine(host).sh(["cat", "/etc/ssl/tram/ca.crt"]).stdout, encoding="utf-8")
        self.administrator = (lab.province.secrets_dir / "documents" / host / "quan-tri").read_text().split()[0]
        self.passwords = {"quan-tri": self.administrator}
        self.users: dict[str, int] = {}

    def person(self, user: str) -> Person:
        """Somebody who is logged in."""
        return Person(self, user)

    def password(self, user: str, email: str = "") -> str:
        """Give an account a password and an address, as the directory would."""
        if user not in self.passwords:
            if not self.users:
                self.boss = self.person("quan-tri")
                self.users = {one["username"]: one["id"] for one in self.boss.every("users/")}
            word = secrets.token_urlsafe(12)
            self.boss.api("PATCH", f"users/{self.users[user]}/", {"password": word, "email": email})
            self.passwords[user] = word
        return self.passwords[user]

    @contextmanager
    def browser(self, folder: Path) -> Iterator[Any]:
        """Debian's Chromium in the site's network; one Vietnamese window."""
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  # takes a second, and only this needs it

        starter = folder / "chromium"
        starter.write_text(
            f'#!/bin/sh\nexec nsenter --net={NETNS / self.namespace} /usr/bin/chromium "$@"\n', encoding="utf-8"
        )
        starter.chmod(0o755)
        rules = f"--host-resolver-rules=MAP {self.name} {self.address}"
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=starter, args=["--no-sandbox", rules])
            try:
                yield started
            finally:
                started.close()


class Person(probe.Client):  # type: ignore[misc, name-defined]  # loaded by path
    """A person with a token."""

    def __init__(self, office: Office, user: str) -> None:
        super().__init__({"name": office.name, "address": office.address, "ca_file": str(office.ca)})
        self.office, self.user = office, user
        form = {"username": user, "password": office.password(user)}
        self.token = self.api("POST", "auth/token/obtain/", form)["token"]

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str]:
        """One request, from the site's network."""
        while True:
            try:
                with inside(self.office.namespace):
                    status, text = super().ask(method, path, body, kind)
            except TimeoutError:
                # A page may be asked for again; an upload may not.
                if method != "GET" and "token" not in path:
                    raise
                continue
            if status != 429:
                return int(status), str(text)
            time.sleep(1)  # so many a second are let through

    def every(self, path: str) -> list[dict[str, Any]]:
        """A list of at most a hundred."""
        found: list[dict[str, Any]] = self.api("GET", f"{path}{'&' if '?' in path else '?'}page_size=100")["results"]
        return found

    def type(self, label: str) -> int:
        """A type of documents by its name. Raises: StopIteration for who does not see it."""
        return int(next(one["id"] for one in self.every("document_types/") if one["label"] == label))

    def upload(self, label: str, name: str, content: bytes) -> int:
        """A new document of a type."""
        status, text = self.send(self.type(label), name, content)
        assert status == 201, text
        return int(json.loads(text)["id"])

    def stub(self, label: str, subject: str) -> int:
        """A new document whose pages are still at the scanner."""
        return int(self.api("POST", "documents/", {"document_type_id": self.type(label), "label": subject})["id"])

    def flow(self, document: int) -> dict[str, Any]:
        """The document's flow; {} before it is there."""
        found = self.api("GET", f"documents/{document}/workflow_instances/")["results"]
        return found[0] if found else {}

    def step(self, document: int, label: str, **filled: str) -> tuple[int, str]:
        """Take a step; status and what was said."""
        top = f"documents/{document}/workflow_instances/{self.flow(document)['id']}/log_entries/"
        steps = self.api("GET", f"{top}transitions/")["results"]
        chosen = [one["id"] for one in steps if one["label"] == label]
        if not chosen:
            return 404, f"no step {label}"
        form = {"transition_id": chosen[0], "extra_data": json.dumps(filled)}
        status, text = self.ask("POST", f"/api/v4/{top}", json.dumps(form).encode(), "application/json")
        return int(status), str(text)

    def noted(self, document: int) -> dict[str, str]:
        """What is written down of a document."""
        found = self.every(f"documents/{document}/metadata/")
        return {one["metadata_type"]["name"]: one["value"] for one in found}


class Desk:
    """A person at a browser; what is only looked up goes by the REST API."""

    def __init__(self, office: Office, browser: Any, user: str) -> None:
        self.office, self.person, self.base = office, office.person(user), f"https://{office.name}"
        # The province's CA is not in Chromium's store; that TLS is right is proven by every request of the API.
        window = browser.new_context(ignore_https_errors=True, locale="vi-VN", viewport={"width": 1280, "height": 900})
        self.page = window.new_page()
        self.page.set_default_timeout(180_000)
        self.page.goto(f"{self.base}/authentication/login/")
        self.page.fill("form input[name=username]", user)
        self.page.fill("form input[name=password]", office.password(user))
        self.page.keyboard.press("Enter")
        self.page.wait_for_url("**/#/**")

    def submit(self) -> None:
        """The form's own button."""
        self.page.locator(".btn-hotkey-default").last.click()

    def shoot(self, name: str) -> None:
        """Keep what is on the screen."""
        self.page.screenshot(path=PICTURES / f"{name}.png", timeout=180_000)

    def register(self, label: str, file: Path, fields: dict[str, str]) -> None:
        """Through the pages: type, fields, file."""
        self.page.goto(f"{self.base}/#/sources/sources/documents/wizard/")
        self.page.locator('[name="document_type_selection-document_type"]').select_option(label=label)
        self.submit()
        self.page.locator('[name="metadata_entry-0-metadata_type_id"]').wait_for(state="attached")
        names = self.page.locator('[name$="-metadata_type_name"]').evaluate_all("all => all.map(one => one.value)")
        for place, name in enumerate(names):
            value = next((said for field, said in fields.items() if name.startswith(field)), "")
            if value:
                self.page.fill(f'[name="metadata_entry-{place}-value"]', value)
        self.shoot("0-dang-ky")
        self.submit()
        step = "metadata_entry"
        while not self.page.locator(".dropzone").count():
            now = self.page.locator('[name="document_create_wizard-current_step"]')
            if now.count() and (name := now.first.input_value()) != step:
                step = name
                self.submit()
            self.page.wait_for_timeout(500)
        self.page.locator("input.dz-hidden-input").last.set_input_files(file)
        self.page.locator(".dz-success").wait_for(state="attached")

    def documents(self, name: str) -> list[int]:
        """Whose name it is."""
        return [int(one["id"]) for one in self.person.every("documents/") if one["label"] == name]

    def found(self, word: str) -> list[int]:
        """What a search finds."""
        path = f"search/documents.documentsearchresult/?q={quote(word)}"
        return [int(one["id"]) for one in self.person.every(path)]

    def step(self, document: int, label: str, **filled: str) -> None:
        """Choose a step, fill in what is asked, send."""
        instance = self.person.flow(document)["id"]
        top = f"documents/{document}/workflow_instances/{instance}/log_entries/"
        steps = self.person.api("GET", f"{top}transitions/")["results"]
        chosen = next(one["id"] for one in steps if one["label"] == label)
        where = f"workflows/documents/workflows/{instance}/transitions/{chosen}/execute/"
        self.page.goto(f"{self.base}/#/{where}")
        self.page.locator('[name="comment"]').wait_for(state="attached")
        for name, value in filled.items():
            field = self.page.locator(f'[name="{name}"]')
            if field.evaluate("one => one.tagName") == "SELECT":
                field.select_option(value, force=True)
            else:
                field.fill(value)
        self.submit()
        self.page.wait_for_url(lambda url: "/execute/" not in url)

    def picture(self, document: int, name: str) -> str:
        """The flow's picture; kept, and its source."""
        self.page.goto(f"{self.base}/api/v4/tram/flow/{document}/")
        self.shoot(name)
        return str(self.page.content())

    def search(self, word: str, name: str) -> None:
        """Search as a person does; kept."""
        self.page.goto(f"{self.base}/#/search/results/documents.documentsearchresult/?q={quote(word)}")
        self.page.wait_for_timeout(8000)
        self.shoot(name)


def scanned(*lines: str) -> bytes:
    """A page as a scanner gives it: a picture in a PDF, with no text in it."""
    page = Image.new("L", (1240, 900), 255)
    pen, font = ImageDraw.Draw(page), ImageFont.truetype(FONT, 38)
    for number, line in enumerate(lines):
        pen.text((90, 90 + 70 * number), line, fill=20, font=font)
    held = BytesIO()
    page.save(held, "PDF", resolution=150)
    return held.getvalue()
