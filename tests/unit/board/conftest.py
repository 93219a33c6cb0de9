"""A province whose hub answers what a test says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from tram.register import Province, load
from tram_board.asking import Sample, Source
from tram_board.judging import INTERVALS
from tram_board.readings import ABROAD, BY_HOST, Readings
from tram_board.state import window

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
REPO = Path(__file__).parents[3]
# Baseline is told by the centre, not by a host's exporter.
EXPORTERS_TOLD = [name for name in INTERVALS if name != "baseline"]
# What a host in order tells; of what is not named here nothing comes when all is well.
GOOD = {
    "up": 1.0,
    "link_up": 1.0,
    "link_loss": 0.0,
    "link_rtt": 0.01,
    "risk": 0.02,
    "disk_free": 0.6,
    "mail_oldest": 30.0,
    "mail_queue": 2.0,
    "antivirus_up": 1.0,
    "signatures": NOW.timestamp() - 3600,
    "audited": NOW.timestamp() - 86400,
    "drift": 0.0,
    "overdue": 0.0,
    "delivered": NOW.timestamp() - 86400,
}


@dataclass
class Hub:
    """The samples by name of the reading; `down` as if it were off, `broken` are names whose questions fail."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    down: bool = False
    broken: set[str] = field(default_factory=set)
    asked: int = 0

    def set(self, name: str, host: str, value: float | None, **labels: str) -> None:
        """Replace a host's sample of a reading with these labels; None: it is missing."""
        kept = [
            sample
            for sample in self.samples.get(name, [])
            if sample.labels["host"] != host or not labels.items() <= sample.labels.items()
        ]
        site = next(sample.labels["site"] for sample in self.samples["site_of"] if sample.labels["host"] == host)
        new = [] if value is None else [Sample({"site": site, "host": host, **labels}, value)]
        self.samples[name] = kept + new

    def silence(self, *hosts: str) -> None:
        """Nothing comes of these hosts."""
        for name in self.samples.keys() - {"site_of"}:
            self.samples[name] = [one for one in self.samples[name] if one.labels.get("host") not in hosts]

    def readings(self) -> Readings:
        """What `gather` would make of it."""
        found: dict[str, dict[tuple[str, str], list[Sample]]] = {name: {} for name in BY_HOST}
        for name in BY_HOST:
            for sample in self.samples.get(name, []):
                found[name].setdefault((sample.labels["site"], sample.labels["host"]), []).append(sample)
        failed = dict.fromkeys(BY_HOST if self.down else self.broken, "connection refused")
        return Readings(NOW, {name: one for name, one in found.items() if name not in failed}, failed)

    def source(self) -> Source:
        """A source that asks this hub by HTTP."""
        return Source("http://hub.example", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("connection refused")
        words = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if request.url.path.endswith("query_range"):
            start = float(words["start"])
            result = [{"metric": {"host": "x"}, "values": [[start + n * 300, str(n % 7)] for n in range(20)]}]
            return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})
        seconds = f"{window().total_seconds():.0f}s"
        asked = {name: query.replace("$w", seconds) for name, query in (BY_HOST | ABROAD).items()}
        named = {query.replace("$s", ""): name for name, query in asked.items()}
        name = named[re.sub(r",site='[a-z-]+'", "", words["query"])]
        if name in self.broken:
            return httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "too many samples"})
        result = [
            {"metric": dict(one.labels), "value": [NOW.timestamp(), repr(one.value)]}
            for one in self.samples.get(name, [])
        ]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})
        return httpx.Response(200, text=body, headers={"content-type": "application/json"})


def all_well(province: Province) -> Hub:
    """A hub that hears every host of the province, all in order."""
    hub = Hub()
    for site in province.sites:
        for host in site.hosts:
            labels = {"site": site.code, "host": host.inventory_name}
            hub.samples.setdefault("site_of", []).append(Sample(labels, 1))
            for name, value in GOOD.items():
                hub.samples.setdefault(name, []).append(Sample(labels, value))
            for exporter in INTERVALS:
                told = Sample({**labels, "exporter": exporter}, NOW.timestamp() - 30)
                hub.samples.setdefault("exporter", []).append(told)
            hub.samples.setdefault("baseline", []).append(Sample({**labels, "result": "pass"}, 80))
            kept = Sample({**labels, "service": "mail"}, NOW.timestamp() - 3600)
            hub.samples.setdefault("backup", []).append(kept)
            hub.samples.setdefault("proof", []).append(Sample(labels, NOW.timestamp() - 20 * 86400))
    return hub


def everywhere(province: Province, function: str) -> Province:
    """The province with a function more on every host."""
    sites = [
        replace(site, hosts=tuple(replace(host, functions=(*host.functions, function)) for host in site.hosts))
        for site in province.sites
    ]
    return replace(province, sites=tuple(sites))


@pytest.fixture(scope="session")
def province() -> Province:
    """The lab's, with backups."""
    return everywhere(load(REPO / "inventories/lab"), "backup")


@pytest.fixture(scope="session")
def ha_tinh() -> Province:
    return load(REPO / "inventories/ha-tinh")


@pytest.fixture
def hub(province: Province) -> Hub:
    return all_well(province)
