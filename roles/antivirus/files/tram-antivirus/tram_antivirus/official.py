"""ClamAV's own sets: which are installed, and freshclam from the hub when it has newer ones."""

from __future__ import annotations

import calendar
import os
import subprocess
import syslog
import time
from pathlib import Path
from typing import Any

from tram_antivirus import state
from tram_antivirus.release import Release
from tram_antivirus.settings import Failed, Settings

SETS = {"full": ("main", "daily", "bytecode"), "reduced": ("daily", "bytecode")}
"""Which sets a profile bears."""


def header(path: Path) -> tuple[int, str] | None:
    """Version and build time (ISO 8601) of a .cvd or .cld; None when it is none."""
    try:
        with path.open("rb") as file:
            parts = file.read(512).decode("ascii", "replace").split(":")
    except OSError:
        return None
    if len(parts) < 9 or parts[0] != "ClamAV-VDB" or not parts[2].isdigit():
        return None
    built = parts[8].strip()
    when = time.strftime(state.TIME, time.gmtime(int(built))) if built.isdigit() else parts[1]
    return int(parts[2]), when


def installed(database: Path) -> dict[str, dict[str, Any]] | None:
    """Version and build time of each set that is here; None when there is none."""
    found = {}
    for name in ("main", "daily", "bytecode"):
        for suffix in ("cld", "cvd"):
            if known := header(database / f"{name}.{suffix}"):
                found[name] = {"version": known[0], "built": known[1]}
                break
    return found or None


def newer(settings: Settings, wanted: dict[str, int] | None) -> list[str]:
    """Sets this host bears of which the hub has a newer one."""
    here = installed(settings.database) or {}
    return [
        name
        for name in SETS.get(settings.profile, ())
        if wanted and name in wanted and wanted[name] > here.get(name, {}).get("version", 0)
    ]


def want(settings: Settings, release: Release) -> None:
    """Leave word for the watch that the hub has newer sets: they are large, and spread over time."""
    path = settings.release / "official"
    if not newer(settings, release.official):
        path.unlink(missing_ok=True)
    elif not path.exists():
        spread = int.from_bytes(os.urandom(4), "big") / 2**32 * settings.official_spread_minutes * 60
        state.write(path, {"at": calendar.timegm(time.gmtime()) + int(spread), "official": release.official})


def bring(settings: Settings) -> None:
    """Have freshclam bring what is newer, differences first; it checks ClamAV's signature itself.

    Raises:
        Failed: it did not; said in the status and the journal before.
    """
    told = settings.release / "official.json"
    try:
        _bring(settings)
    except Failed as error:
        if state.read(told).get("error") != str(error):
            state.journal(syslog.LOG_ERR, event="official", error=str(error))
        state.write(told, {"error": str(error), "at": state.now()})
        raise
    state.write(told, {"error": None, "at": state.now()})
    state.journal(syslog.LOG_NOTICE, event="official", sets=installed(settings.database))


def _bring(settings: Settings) -> None:
    path = settings.release / "official"
    word = state.read(path)
    environment = {
        **os.environ,
        "FRESHCLAM_CLIENT_CERT": settings.chain_file,
        "FRESHCLAM_CLIENT_KEY": settings.key_file,
        "FRESHCLAM_CLIENT_KEY_PASSWD": "",
        "CURL_CA_BUNDLE": settings.ca_file,
    }
    # The next try in an hour, whatever becomes of this one.
    state.write(path, {**word, "at": int(time.time()) + 3600})
    try:
        seen = subprocess.run(
            ["freshclam", f"--config-file={settings.freshclam_conf}", "--foreground", "--stdout"],
            capture_output=True, text=True, errors="replace", timeout=6 * 3600, env=environment, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"freshclam: {error}") from error
    left = newer(settings, word.get("official"))
    if seen.returncode != 0 or left:
        said = [line for line in seen.stdout.splitlines() if line.startswith(("ERROR", "WARNING"))]
        raise Failed(f"freshclam ended with {seen.returncode}: {said[-1][:300] if said else f'without {left}'}")
    path.unlink(missing_ok=True)
