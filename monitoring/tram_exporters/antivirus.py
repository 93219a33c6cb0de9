"""The exporter `antivirus`: what role antivirus says of itself (`tram-antivirus status --json`), as numbers."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

from tram_exporters.machine import Machine
from tram_exporters.textfile import EARLIEST, Page, Unreadable

TIME = "tram_antivirus_signatures_timestamp_seconds"


def collect(machine: Machine | None = None) -> Page:
    """One run."""
    machine = machine or Machine()
    page = Page("antivirus")
    status: dict[str, Any] = {}
    with page.reading("status"):
        said = machine.run(["tram-antivirus", "status", "--json"], 60)
        if said.code:
            raise Unreadable(f"tram-antivirus: {said.stderr.strip()[-80:]}")
        status = json.loads(said.stdout)
    for name, read in (("signatures", _signatures), ("engine", _engine), ("scan", _scan), ("findings", _findings)):
        with page.reading(name):
            if status:
                read(page, status)
    return page


def _moment(said: object) -> float:
    found = datetime.fromisoformat(str(said)).timestamp()
    if found < EARLIEST:
        raise Unreadable(f"{said} is no time")
    return found


def _signatures(page: Page, status: dict[str, Any]) -> None:
    """ClamAV's sets are as old as they are. The province's are made when there is something to find: they are old when
    nobody knows whether the hub has newer ones, or when what it has is not in effect.
    """
    text = "Up to when the signatures in effect are known to be the newest, by set; absent when there is none."
    if status["made"]:
        resident = status["profile"] != "on-demand"
        in_effect = status["error"] is None and (status["active"] == status["installed"] or not resident)
        current = status["asked"] if in_effect and status["asked"] else status["made"]
        page.gauge(TIME, text, _moment(current), set="province")
    official = status["official"]
    for name, one in official.items() if isinstance(official, dict) else ():
        made = one.get("built") if isinstance(one, dict) else None
        if made:
            page.gauge(TIME, text, _moment(made), set=str(name))


def _engine(page: Page, status: dict[str, Any]) -> None:
    """On a host whose profile keeps no scanner in memory there is no engine that could be down."""
    if status["profile"] == "on-demand":
        return
    up = status["active"] is not None
    page.gauge("tram_antivirus_engine_up", "1 when the scanner answers with signatures in effect.", up)


def _scan(page: Page, status: dict[str, Any]) -> None:
    ended = (status["scanned"] or {}).get("ended")
    if ended:
        text = "When the last scan of the whole host ended; absent before the first."
        page.gauge("tram_antivirus_last_scan_timestamp_seconds", text, _moment(ended))


def _findings(page: Page, status: dict[str, Any]) -> None:
    counts = Counter(str(one["action"]) for one in status["findings"])
    for state in sorted({"quarantined", "reported", *counts}):
        page.gauge(
            "tram_antivirus_findings", "Findings that are kept, by what became of them.", counts[state], state=state
        )
