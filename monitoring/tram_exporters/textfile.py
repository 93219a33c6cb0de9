"""What one exporter found, gathered reading by reading and written whole for node_exporter's textfile collector.

A reading that fails is counted by its name and leaves no value behind: absent, not nought.
Source: Prometheus, "Exposition formats"; node_exporter, "Textfile collector".
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

EARLIEST = 1_577_836_800.0
"""2020-01-01: a clock before this was never set, and what it says is no time."""

_LAST = re.compile(r"^tram_exporter_last_success_timestamp_seconds\{[^}]*\} (\S+)$", re.MULTILINE)


class Unreadable(Exception):
    """A reading that should be there is not, or cannot be true; the text says why."""


class Absent(Exception):
    """This machine has nothing of the kind: no failure, and nothing is written."""


@dataclass(slots=True)
class _Series:
    help: str
    kind: str
    values: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)


class Page:
    """All that one run of an exporter says. Same metric and labels twice: the later value counts.

    `about`: labels of every line, where one machine speaks of another (site, host).
    """

    def __init__(self, exporter: str, **about: str) -> None:
        self.exporter = exporter
        self._about = about
        self.failed: dict[str, str] = {}
        self._readings: dict[str, bool] = {}
        self._series: dict[str, _Series] = {}
        self._began = time.monotonic()

    def gauge(self, name: str, text: str, value: float, /, **labels: str) -> None:
        """Say a value. Raises: Unreadable when it is no number."""
        self._add("gauge", name, text, value, labels)

    def counter(self, name: str, text: str, value: float, /, **labels: str) -> None:
        """Say a count that only grows; its name ends in `_total`. Raises: Unreadable for no number or a negative."""
        if value < 0:
            raise Unreadable(f"{name}: a count of {value}")
        self._add("counter", name, text, value, labels)

    def quantile(self, name: str, text: str, value: float, /, quantile: str, **labels: str) -> None:
        """Say a quantile, as a summary has it. Raises: Unreadable when it is no number."""
        self._add("summary", name, text, value, {**labels, "quantile": quantile})

    def _add(self, kind: str, name: str, text: str, value: float, labels: dict[str, str]) -> None:
        if not math.isfinite(value):
            raise Unreadable(f"{name}: {value} is no number")
        series = self._series.setdefault(name, _Series(text, kind))
        series.values[tuple(sorted((key, clean(label)) for key, label in (self._about | labels).items()))] = float(
            value
        )

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """One reading by itself: whatever goes wrong inside is counted under `name`, and the next one goes on."""
        self._readings.setdefault(name, True)
        try:
            yield
        except Absent:
            pass
        except Exception as error:
            self.fail(name, f"{type(error).__name__}: {error}")

    def fail(self, name: str, why: str) -> None:
        """Count a reading as failed."""
        self._readings[name] = False
        self.failed[name] = clean(why)

    def text(self, *, success: bool = True, before: str = "", now: float | None = None) -> str:
        """The file's content. `before` is the file of the last run: a run without success keeps its last success."""
        now = time.time() if now is None else now
        page = {"exporter": self.exporter}
        success = success and now >= EARLIEST
        kept = _LAST.search(before)
        last = now if success else float(kept.group(1)) if kept else 0.0
        help_last = "When this exporter last ran to its end with a clock that is right; 0 for never."
        self.gauge("tram_exporter_last_success_timestamp_seconds", help_last, round(last), **page)
        self.gauge("tram_exporter_success", "1 when this run came to its end, 0 when not.", success, **page)
        seconds = round(time.monotonic() - self._began, 3)
        self.gauge("tram_exporter_duration_seconds", "How long this run took.", seconds, **page)
        for name, fine in self._readings.items():
            # A sensor of its own ("hwmon fan2") is named when it fails only: each series costs bytes on the line.
            if fine and " " in name:
                continue
            help_failed = "1 when this reading failed; what it would say is unknown."
            self.gauge("tram_exporter_readings_failed", help_failed, not fine, **page, reading=name)
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry).decode("utf-8")

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus_client."""
        for name, series in sorted(self._series.items()):
            family = Metric(name.removesuffix("_total"), series.help, series.kind)
            for row, value in sorted(series.values.items()):
                family.add_sample(name, dict(row), value)
            yield family

    def write(self, folder: Path, *, success: bool = True, now: float | None = None) -> Path:
        """Put the file in place, whole or not at all. Raises: OSError."""
        target = folder / f"tram_{self.exporter}.prom"
        before = target.read_text(encoding="utf-8", errors="replace") if target.exists() else ""
        put(target, self.text(success=success, before=before, now=now))
        return target


def put(target: Path, text: str) -> None:
    """Replace a file in one step, readable by all. Raises: OSError."""
    for old in target.parent.glob(f".{target.name}.*.half"):  # of a run that was killed
        with contextlib.suppress(FileNotFoundError):
            if old.stat().st_mtime < time.time() - 3600:
                old.unlink()
    handle, half = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".half")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            # Without it a power cut leaves an empty file under the old name, and a state in it begins at nought.
            os.fsync(file.fileno())
        Path(half).chmod(0o644)
        Path(half).replace(target)
    except OSError:
        Path(half).unlink(missing_ok=True)
        raise


def clean(text: object) -> str:
    """Text as a label bears it: valid UTF-8, no control signs but the newline (which is escaped), 200 signs at most."""
    said = str(text).encode("utf-8", "replace").decode("utf-8")
    return "".join(sign for sign in said if sign == "\n" or (ord(sign) >= 32 and ord(sign) != 127))[:200]
