"""The package mirror this machine already uses, read from its own apt configuration and from nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from tram.core.errors import NotCapable
from tram.core.run import run


@dataclass(frozen=True, slots=True)
class Mirror:
    """Base addresses of the Debian archive (`http://host/path`), and apt's own options that must go with them."""

    main: str
    security: str | None
    proxy: str | None
    options: tuple[str, ...]

    @property
    def hosts(self) -> dict[str, str]:
        """Host name of each archive, with the scheme it is reached by."""
        urls = [urlsplit(url) for url in (self.main, self.security) if url]
        return {url.netloc: url.scheme for url in urls}

    def sources(self, suite: str) -> str:
        """`sources.list` of that suite, by the scheme the machine uses."""
        lines = [f"deb {self.main} {suite} main", f"deb {self.main} {suite}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return "\n".join(lines) + "\n"

    def cacheable_sources(self, suite: str) -> str:
        """The same by plain http, so that a cache at the hub can keep what passes (packages are signed); the lab's
        uplink reaches an https mirror by https all the same."""
        return self.sources(suite).replace("deb https://", "deb http://")


def machine_mirror() -> Mirror:
    """Read the mirror from `apt-get indextargets` and `apt-config`.

    Raises: NotCapable when the machine has no Debian source. Source: apt-get(8), apt-config(8).
    """
    listed = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]).stdout
    main = security = None
    for line in listed.splitlines():
        url, _, release = line.partition(" ")
        if urlsplit(url).scheme not in ("http", "https"):
            continue
        if release.endswith("-security"):
            security = security or url.rstrip("/")
        elif release in ("bookworm", "trixie"):
            main = main or url.rstrip("/")
    if main is None:
        raise NotCapable(
            "this machine's apt has no Debian 12 or 13 source, so the lab knows no mirror",
            hint="run on Debian 12 or 13, or add its source and run apt-get update",
        )
    dump = run(["apt-config", "dump"]).stdout.splitlines()
    kept = ("Acquire::Check-Valid-Until ", "Acquire::Check-Date ")
    proxy = next((ln.split('"')[1] for ln in dump if ln.startswith("Acquire::http::Proxy ")), None)
    return Mirror(main, security, proxy or None, tuple(line for line in dump if line.startswith(kept)))
