"""What `tram-antivirus status` says: docs/contracts/signatures.md, "State on a host"."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tram_antivirus import install, official, state, update, watch
from tram_antivirus.clamd import Clamd
from tram_antivirus.settings import Failed, Settings


def status(settings: Settings) -> dict[str, Any]:
    """One object; what is not known is null."""
    release, facts = install.installed(settings), update.facts(settings)
    heard = state.read(settings.heard)
    age = state.seconds_since(release.made) if release else None
    return {
        "host": settings.host,
        "engine": _engine(settings),
        "profile": settings.profile,
        "profile_why": settings.profile_why,
        "installed": release.serial if release else None,
        "active": update.active(settings),
        "made": release.made if release else None,
        "age_seconds": None if age is None else round(age),
        "official": official.installed(settings.database),
        "heard": heard.get("heard"),
        "asked": facts.get("asked"),
        "error": facts.get("error") or state.read(settings.release / "official.json").get("error"),
        "scanned": state.read(settings.scans / "scanned.json") or None,
        "findings": state.read(settings.scans / "findings.json").get("findings", []),
        "clamd": _clamd(settings),
        "on_access": settings.on_access,
    }


def _engine(settings: Settings) -> str | None:
    """As clamd says it, else the program: `1.4.6`."""
    said = ""
    if settings.resident:
        try:
            said = Clamd(settings.socket).version()
        except Failed:
            said = ""
    if not said:
        try:
            said = subprocess.run(
                ["clamscan", "--version", f"--database={settings.database}"],
                capture_output=True, text=True, timeout=60, check=False,
            ).stdout  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
    words = said.split("/")[0].split()
    return words[1] if len(words) > 1 else None


def _clamd(settings: Settings) -> dict[str, Any]:
    if not settings.resident:
        return {"rss_bytes": None, "started": None, "answers": False}
    pid = watch.scanner()
    rss = started = None
    try:
        rss = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        ticks = int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        started = time.strftime(state.TIME, time.gmtime(booted + ticks / os.sysconf("SC_CLK_TCK")))
    except OSError:
        pass
    return {"rss_bytes": rss, "started": started, "answers": Clamd(settings.socket).ping()}
