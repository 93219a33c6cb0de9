"""What a cache and a host say is read strictly; a plan goes to the hub first, and to a line only when it may."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tram.act import stage as staging_of
from tram.act.outcome import NotReached, StepFailed
from tram.act.session import Answer
from tram.act.stage import Plan, stage
from tram.act.staging import Files, Filled, Limits, Prepared, Wanting, _Lines, ask
from tram.register import Province, load

REPO = Path(__file__).parents[3]
HUB, FAR, NEAR = "trung-tam-hub1", "huong-khe-srv1", "so-noi-vu-srv1"


class Says:
    """A session on which a host says one thing."""

    def __init__(self, said: bytes) -> None:
        self.said = said

    def __enter__(self) -> Says:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def save(self, _command: str, file: BinaryIO, **_: object) -> Answer:
        file.write(self.said)
        return Answer(0, "", "")


def told(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def set_answer(said: bytes) -> None:
        monkeypatch.setattr("tram.act.staging.come", lambda *_: Says(said))

    return set_answer


class Named:
    name = "a-srv1"


def test_a_hosts_packages_and_sources_are_read(says: Callable[[bytes], None]) -> None:
    says(told(
        "amd64\n#tram sources.list\ndeb http://deb.example/ trixie main\n#tram own.sources\nTypes: deb\n#tram\n"
        "Package: age\nStatus: install ok installed\nEssential: \nVersion: 1\n\n"
    ))  # fmt: skip
    found = ask(Named(), None, ["bind9"])  # type: ignore[arg-type]
    assert found.architecture == "amd64"
    assert found.sources == (
        ("sources.list", "deb http://deb.example/ trixie main\n"),
        ("own.sources", "Types: deb\n"),
    )
    assert found.status == "Package: age\nStatus: install ok installed\nVersion: 1\n\n"


@pytest.mark.parametrize(
    "text",
    [b"", b"sh: 1: dpkg: not found", told("amd64\n#tram\n"), told("x")],
    ids=["nothing", "no program", "no sources", "another text"],
)
def test_a_host_that_says_something_else_is_no_debian_host(says: Callable[[bytes], None], text: bytes) -> None:
    says(text)
    with pytest.raises(StepFailed):
        ask(Named(), None, [])  # type: ignore[arg-type]


def test_what_a_cache_says_is_heard_line_by_line_and_banners_are_passed_over() -> None:
    seen: list[tuple[int, int, str]] = []
    heard = _Lines("hub1", lambda *words: seen.append(words))
    lines: list[dict[str, Any]] = [
        {"host": "a", "files": [["http://x/a.deb", 10]], "wrong": ""},
        {"need": 30, "files_count": 2, "lacking": 1, "of": 10},
        {"fetched": 4, "of": 10, "file": "http://x/a.deb"},
        {"done": True, "fetched": 10, "left": [], "why_left": "", "problems": []},
    ]
    text = "Chào mừng!\n" + "".join(json.dumps(line) + "\n" for line in lines)
    for at in range(0, len(text.encode()), 7):
        heard.write(text.encode()[at : at + 7])
    assert heard.done
    assert heard.found.by_host == {"a": Files({"http://x/a.deb": 10})}
    assert (heard.found.needed, heard.found.lacking, heard.found.fetched) == (30, 10, 10)
    assert seen == [(4, 10, "a.deb")]


@pytest.fixture
def province() -> Province:
    return load(REPO / "inventories/lab")


class Ways:
    """What `stage` does to hosts, written down instead of done."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.silent: set[str] = set()

    def ask(self, target: Any, _key: Any, packages: Any) -> Wanting:
        if target.name in self.silent:
            raise NotReached(f"{target.name}: no answer")
        return Wanting(target.name, "amd64", (), "", tuple(packages))

    def fill(self, target: Any, _key: Any, **given: Any) -> Filled:
        self.done.append(("fill", target.name))
        files = Files({"http://x/a.deb": 10})
        return Filled(target.name, by_host={host.name: files for host in given.get("hosts", ())})

    def prepare(self, target: Any, *_: Any, limits: Limits) -> Prepared:
        self.done.append(("prepare", target.name))
        return Prepared(lists=500, runtime=0)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch, province: Province, tmp_path: Path) -> Ways:
    made = Ways()
    monkeypatch.setenv("TRAM_LAB", "none")
    for name in ("ask", "fill", "prepare"):
        monkeypatch.setattr(staging_of, name, getattr(made, name))
    monkeypatch.setattr(staging_of._Staging, "_target", lambda _, host: Named2(host.inventory_name))
    return made


class Named2:
    def __init__(self, name: str) -> None:
        self.name = name


def planned(province: Province, limits: dict[str, Limits | None]) -> Plan:
    hosts = [(site, host) for site in province.sites for host in site.hosts]
    return Plan(hosts, {host.inventory_name: ["age"] for _, host in hosts}, {}, limits, parallel=1)


def quiet(*_: object) -> None:
    pass


def test_outside_of_the_hours_only_the_hub_is_filled(ways: Ways, province: Province) -> None:
    plan = planned(province, {"trung-tam": Limits(), "so-noi-vu": None, "huong-khe": None})
    found = stage(province, plan, None, quiet)  # type: ignore[arg-type]
    assert ways.done == [("fill", HUB), ("prepare", HUB)]
    assert {host.host: host.why for host in found.hosts} == {HUB: "", FAR: "hours", NEAR: "hours"}
    assert not found.ready


def test_a_host_that_does_not_answer_keeps_nobody_else_waiting(ways: Ways, province: Province) -> None:
    ways.silent.add(FAR)
    plan = planned(province, {"trung-tam": Limits(), "so-noi-vu": Limits(), "huong-khe": Limits()})
    found = stage(province, plan, None, quiet)  # type: ignore[arg-type]
    assert ("prepare", NEAR) in ways.done
    assert ("prepare", FAR) not in ways.done
    assert not found.ready
    assert {host.host: host.bytes for host in found.hosts} == {HUB: 10, NEAR: 10, FAR: None}


def test_a_sites_cap_counts_what_its_hosts_are_brought(ways: Ways, province: Province) -> None:
    two = planned(province, {"trung-tam": Limits(), "so-noi-vu": Limits(max_bytes=400), "huong-khe": Limits()})
    near = next(pair for pair in two.hosts if pair[1].inventory_name == NEAR)
    plan = Plan([near, near], two.packages, {}, two.limits, parallel=1)
    found = stage(province, plan, None, quiet)  # type: ignore[arg-type]
    assert [host.why for host in found.hosts] == ["", "cap"]


def test_hosts_wait_when_their_sites_cache_did_not_get_all(
    ways: Ways, province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(province, {"trung-tam": Limits(), "so-noi-vu": Limits(max_bytes=400), "huong-khe": Limits()})
    near = next(pair for pair in plan.hosts if pair[1].inventory_name == NEAR)
    with_cache = replace(near[1], functions=("site_cache",))
    site = replace(near[0], hosts=(with_cache,))
    in_part = replace(province, sites=tuple(site if one.code == site.code else one for one in province.sites))
    fill = ways.fill

    def some(target: Any, key: Any, **given: Any) -> Filled:
        found = fill(target, key, **given)
        if target.name == NEAR:
            found.left, found.why_left = ("http://x/a.deb",), "cap"
        return found

    monkeypatch.setattr(staging_of, "fill", some)
    found = stage(in_part, replace(plan, hosts=[(site, with_cache)]), None, quiet)  # type: ignore[arg-type]
    assert [host.why for host in found.hosts] == ["cap"]
    assert ("prepare", NEAR) not in ways.done
