"""Fetches what a release is made of from the hub: each file once, whole, and only if it is the very one named."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from .place import CACHE, ETC, Trouble, settings

LINE = re.compile(r"([a-z0-9.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})  # (\S+)")
TRIES = 5


@dataclass(frozen=True)
class Named:
    """A file of a release: its package, its SHA-256, its name."""

    package: str
    digest: str
    file: str

    def here(self) -> Path:
        """Where it is kept."""
        return CACHE / self.file

    def is_whole(self) -> bool:
        """Whether it is there and the very one."""
        path = self.here()
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == self.digest


def packages() -> list[Named]:
    """The Python packages of the release."""
    lines = (ETC / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
    return [Named(match[1], match[3], match[4]) for match in found if match]


@dataclass(frozen=True)
class Script:
    """A package of scripts: the file it comes in and where it belongs below mayan/apps."""

    named: Named
    place: str


def scripts() -> list[Script]:
    """The scripts of the pages."""
    lines = (ETC / "scripts.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split() for line in lines if line and not line.startswith("#")]
    return [Script(Named(name, digest, file), f"{app}/node_modules/{name}") for name, _, digest, file, app in parts]


class Links(HTMLParser):
    """The links of a page of an index (PEP 503): file name to address."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base, self.found = base, dict[str, str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember where a link leads."""
        for name, value in attrs if tag == "a" else []:
            if name == "href" and value:
                address = urldefrag(urljoin(self.base, value)).url
                self.found[address.rsplit("/", 1)[-1]] = address


def fetch_all() -> int:
    """Bring everything of the release into the cache; how many files had to be fetched.

    Raises Trouble with the name of what could not be had; what was fetched stays, a broken file goes on where it broke.
    """
    config = settings()
    wheels = [named for named in packages() if not named.is_whole()]
    rest = [script.named for script in scripts() if not script.named.is_whole()]
    addresses = {named: config["scripts_url"] + named.file for named in rest}
    addresses.update(locate(config["wheels_url"], wheels))
    for number in range(TRIES):
        download({named.here().with_name(f"{named.file}.part"): url for named, url in addresses.items()}, resume=True)
        for named in list(addresses):
            part = named.here().with_name(f"{named.file}.part")
            if part.exists() and hashlib.sha256(part.read_bytes()).hexdigest() == named.digest:
                part.rename(named.here())
                del addresses[named]
        if not addresses:
            break
        print(f"{len(addresses)} files are not whole yet, try {number + 1} of {TRIES}", file=sys.stderr)
        if number == TRIES - 2:
            for named in addresses:
                named.here().with_name(f"{named.file}.part").unlink(missing_ok=True)
    if addresses:
        first, url = next(iter(addresses.items()))
        raise Trouble(
            f"{len(addresses)} files of the release could not be had, among them {first.file} from {url}: not there, "
            f"or not the one whose SHA-256 is {first.digest}. What was fetched is kept; run again to go on"
        )
    return len(wheels) + len(rest)


def locate(base: str, wheels: list[Named]) -> dict[Named, str]:
    """Where each package is: beside the others in a directory, or where the index says."""
    if base.startswith("file:"):
        return {named: base + named.file for named in wheels}
    pages = {CACHE / f"{name}.html": f"{base}{name}/" for name in {named.package for named in wheels}}
    download(pages, resume=False)
    found: dict[Named, str] = {}
    for named in wheels:
        page = CACHE / f"{named.package}.html"
        links = Links(f"{base}{named.package}/")
        links.feed(page.read_text(encoding="utf-8") if page.exists() else "")
        # Not in the index: asked for beside it, so that the error names what is missing.
        found[named] = links.found.get(named.file, f"{base}{named.package}/{named.file}")
    for page in pages:
        page.unlink(missing_ok=True)
    return found


def download(files: dict[Path, str], *, resume: bool) -> None:
    """Fetch many files over one connection, with the host's certificate; what fails is simply not there."""
    if not files:
        return
    tls = settings()["tls"]
    common = [
        "--silent",
        "--show-error",
        "--fail",
        "--connect-timeout",
        "30",
        "--speed-limit",
        "1",
        "--speed-time",
        "120",
    ]
    common += ["--cacert", tls["ca"], "--cert", tls["chain"], "--key", tls["key"]]
    common += ["--continue-at", "-"] if resume else []
    for path, url in files.items():
        if url.startswith("file:"):
            source = Path(url.removeprefix("file://"))
            if source.is_file():
                path.write_bytes(source.read_bytes())
    far = {path: url for path, url in files.items() if not url.startswith("file:")}
    lines = "".join(f'url = "{url}"\noutput = "{path}"\n' for path, url in far.items())
    if lines:
        subprocess.run(
            ["curl", *common, "--config", "-"], input=lines, text=True, check=False, stderr=subprocess.DEVNULL
        )
