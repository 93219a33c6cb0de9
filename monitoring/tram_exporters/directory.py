"""The exporter `directory`: what role directory says of itself (`tram-directory-status`), as numbers."""

from __future__ import annotations

import json
from typing import Any

from tram_exporters.machine import Machine
from tram_exporters.textfile import Absent, Page, Unreadable

COMPARED = "/run/tram-directory-status.json"
"""What tram-directory-heal.timer saw when it last asked the hub: nothing here asks it once more over the line."""
LONGEST = 3 * 3600


def collect(machine: Machine | None = None) -> Page:
    """One run."""
    machine = machine or Machine()
    page = Page("directory")
    status: dict[str, Any] = {}
    with page.reading("status"):
        said = machine.run(["tram-directory-status", "--local"], 60)
        status = json.loads(said.stdout or "{}")
        up = said.code == 0 and "role" in status
        page.gauge("tram_directory_up", "1: this host's directory answers.", up)
    with page.reading("dump"):
        if status.get("role") == "provider":
            text = "When the directory was last dumped; 0 for never."
            page.gauge("tram_directory_dumped_timestamp_seconds", text, status["dumped"] or 0)
    with page.reading("compared"):
        if status.get("role") == "replica":
            _compared(page, machine)
    return page


def _compared(page: Page, machine: Machine) -> None:
    """How this copy was when it was last compared with the hub's; a hub that did not answer leaves nothing."""
    path = machine.at(COMPARED)
    if not path.exists() and float(machine.text("/proc/uptime").split()[0]) <= LONGEST:
        raise Absent("not compared since the start")
    if not path.exists() or not 0 <= machine.now - path.stat().st_mtime <= LONGEST:
        raise Unreadable(f"{COMPARED} is old or missing: tram-directory-heal.timer does not run")
    seen = json.loads(machine.text(COMPARED))
    if seen.get("in_step") is None:
        raise Absent("the hub did not answer")
    text = "1: this copy of the directory had all that the hub has."
    page.gauge("tram_directory_in_step", text, bool(seen["in_step"]))
    text = "1: this copy has changes that the hub does not know."
    page.gauge("tram_directory_ahead", text, bool(seen["ahead"]))
