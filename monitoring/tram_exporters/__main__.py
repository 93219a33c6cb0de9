"""Run the exporters that are due, one after the other in one process: a start of Python is most of what a run costs.

    tram-exporters.pyz --settings FILE [--to DIR] [--state DIR] [--all]

Settings: {"every_seconds": {"hardware": 120, …}, "smart_devices": [["/dev/sda", "megaraid,0"]], "targets": [{"name",
"address"}], "dns_name": "…"}. Ends with 0 when each wrote its file, 1 when one could not, 2 for wrong settings.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

# Nothing of ours is loaded up here: a minute in which nothing is due costs a start of Python and no more.
if TYPE_CHECKING:
    from tram_exporters.textfile import Page

FOLDER = Path("/var/lib/prometheus/node-exporter")
"""Where Debian's node_exporter looks."""

ORDER = ("link", "units", "mail", "directory", "antivirus", "hardware")
"""Hardware last: a dying disk can hold a process beyond any patience, and the others have written by then."""


def constants() -> Any:
    """The numbers of risk.yml, as the artefact carries them. Raises: FileNotFoundError outside of it."""
    data = pkgutil.get_data("tram_exporters", "risk.json")
    from tram_exporters.risk import Constants  # noqa: PLC0415 (only what is due is loaded)

    return Constants(json.loads(data or b"{}"))


def exporter(name: str, settings: dict[str, Any], state: Path) -> Callable[[], Page]:
    """What runs the exporter of that name; its module is loaded now. Raises: KeyError for an unknown name."""
    if name not in ORDER:
        raise KeyError(name)
    module = importlib.import_module(f"tram_exporters.{name}")
    if name == "hardware":
        devices = [(str(device), str(kind)) for device, kind in settings.get("smart_devices", [])]
        return lambda: cast("Page", module.collect(constants(), state, devices=devices))
    if name == "link":
        targets = [module.Target(str(one["name"]), str(one["address"])) for one in settings.get("targets", [])]
        return lambda: cast("Page", module.collect(targets, state, name=settings.get("dns_name", "")))
    if name == "mail":
        return lambda: cast("Page", module.collect(state))
    return cast("Callable[[], Page]", module.collect)


def due(target: Path, every: float, now: float) -> bool:
    """Whether a file is older than its interval, less what a timer is late; a file from the future is."""
    try:
        age = now - target.stat().st_mtime
    except OSError:
        return True
    return not 0 <= age < every - 15


def run(name: str, settings: dict[str, Any], state: Path, folder: Path) -> bool:
    """One exporter to its end; one that breaks off still writes that it did."""
    from tram_exporters.textfile import Page  # noqa: PLC0415 (only what is due is loaded)

    try:
        page, success = exporter(name, settings, state)(), True
    except Exception as error:  # a file that says "failed" is worth more than no file
        page, success = Page(name), False
        page.fail("exporter", f"{type(error).__name__}: {error}")
    try:
        page.write(folder, success=success)
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    for reading, why in page.failed.items():
        print(f"{name}: {reading}: {why}", file=sys.stderr)
    return success


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tram-exporters", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=FOLDER)
    parser.add_argument("--state", type=Path, default=Path("/var/lib/tram-exporters"))
    parser.add_argument("--all", action="store_true", help="also those that are not due")
    given = parser.parse_args()
    try:
        settings = json.loads(given.settings.read_text(encoding="utf-8"))
        every = {str(name): float(seconds) for name, seconds in settings["every_seconds"].items()}
        unknown = sorted(set(every) - set(ORDER))
        if unknown:
            raise ValueError(f"no such exporter: {', '.join(unknown)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{given.settings}: {error}", file=sys.stderr)
        return 2
    now = time.time()
    names = [one for one in ORDER if one in every]
    names = [one for one in names if given.all or due(given.to / f"tram_{one}.prom", every[one], now)]
    wrote = [run(name, settings, given.state, given.to) for name in names]
    return 0 if all(wrote) else 1


if __name__ == "__main__":
    sys.exit(main())
