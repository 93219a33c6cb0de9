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


def metrics(seen: dict[str, Any]) -> str:
    """The same for Prometheus; what is not known is not there (absent, never 0)."""
    labels = ",".join(f'{key}="{_escaped(seen[key])}"' for key in ("profile", "engine") if seen[key])
    scanned, clamd = seen["scanned"] or {}, seen["clamd"]
    values: list[tuple[str, str, Any]] = [
        ("tram_antivirus_info", "Profile and engine.", {labels: 1}),
        ("tram_antivirus_installed_serial", "Release on disk.", seen["installed"]),
        ("tram_antivirus_active_serial", "Release whose canary the scanner finds now.", seen["active"]),
        ("tram_antivirus_signatures_timestamp_seconds", "When the signatures on disk were made, by set.", _made(seen)),
        ("tram_antivirus_heard_timestamp_seconds", "When an announcement was last heard.", _epoch(seen["heard"])),
        ("tram_antivirus_asked_timestamp_seconds", "When the hub last answered.", _epoch(seen["asked"])),
        ("tram_antivirus_error", "Whether the last try failed.", int(seen["error"] is not None)),
        ("tram_antivirus_engine_up", "Whether the scanner answers with signatures in effect.", _up(seen)),
        ("tram_antivirus_clamd_rss_bytes", "Memory of clamd.", clamd["rss_bytes"]),
        ("tram_antivirus_last_scan_timestamp_seconds", "End of the last scan.", _epoch(scanned.get("ended"))),
        ("tram_antivirus_scan_files", "Files of the last scan.", scanned.get("files")),
        ("tram_antivirus_scan_bytes", "Bytes of the last scan.", scanned.get("bytes")),
        ("tram_antivirus_scan_interrupted", "Whether it was broken off.", _flag(scanned.get("interrupted"))),
        ("tram_antivirus_findings", "Findings that are kept.", _counted(seen["findings"])),
        ("tram_antivirus_official_version", "ClamAV's own sets.",
         {f'set="{name}"': one["version"] for name, one in (seen["official"] or {}).items()}),
        ("tram_antivirus_on_access", "Whether files are scanned as they are opened.", int(seen["on_access"] == "on")),
    ]  # fmt: skip
    lines = []
    for name, meaning, value in values:
        if value is None or value == {}:
            continue
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        rows = value if isinstance(value, dict) else {"": value}
        lines += [f"{name}{{{label}}} {number}" if label else f"{name} {number}" for label, number in rows.items()]
    return "\n".join(lines) + "\n"


def _up(seen: dict[str, Any]) -> int | None:
    """Nothing where no scanner is to be in memory: that it does not answer is no fault there."""
    return None if seen["profile"] == "on-demand" else int(seen["active"] is not None)


def _made(seen: dict[str, Any]) -> dict[str, int]:
    sets = {"province": seen["made"]} | {name: one["built"] for name, one in (seen["official"] or {}).items()}
    known = {f'set="{name}"': _epoch(made) for name, made in sets.items()}
    return {label: made for label, made in known.items() if made is not None}


def _counted(findings: list[dict[str, Any]]) -> dict[str, int]:
    counts = {f'state="{state}"': 0 for state in ("quarantined", "reported")}
    for one in findings:
        counts[f'state="{one["action"]}"'] += 1
    return counts


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _epoch(stamp: object) -> int | None:
    since = state.seconds_since(stamp)
    return None if since is None else round(time.time() - since)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
