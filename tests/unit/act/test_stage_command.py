"""`tram stage` on the command line: what each line may carry now, what is printed, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from tram.act.key import make_key
from tram.act.stage import Cache, Staged, Standing
from tram.act.staging import Filled, Limits, Prepared
from tram.cli import stage as command
from tram.cli.main import app
from tram.cli.stage_view import _WAITS
from tram.core.errors import BadInput, TramError
from tram.register import Province, load
from tram.rollout.policy import LinkPolicy, Policy, Window

REPO = Path(__file__).parents[3]
HUB, NEAR, FAR = "trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"
NOON = datetime(2026, 11, 22, 5, tzinfo=UTC)
NIGHT = NOON + timedelta(hours=10)

Run = Callable[..., Any]


@pytest.fixture
def province() -> Province:
    return load(REPO / "inventories/lab")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    return lambda moment: monkeypatch.setattr(command, "utc_now", lambda: moment)


def limits(province: Province, max_bytes: int | None = None, *, now: bool = False) -> dict[str, Limits | None]:
    policy = Policy(quiet=Window("20:00", "05:00"), links={"adsl": LinkPolicy(stage_bytes=700)})
    pairs = [(site, host) for site in province.sites for host in site.hosts]
    return command._limits(pairs, policy, max_bytes, now=now)


def test_by_day_only_the_hub_is_worked_at(province: Province, at: Callable[[datetime], None]) -> None:
    at(NOON)
    assert limits(province) == {"trung-tam": Limits(), "so-noi-vu": None, "huong-khe": None}


def test_at_night_lines_are_used_until_morning_within_their_class_bound(
    province: Province, at: Callable[[datetime], None]
) -> None:
    at(NIGHT)
    morning = datetime(2026, 11, 22, 22, tzinfo=UTC)
    assert limits(province) == {
        "trung-tam": Limits(),
        "so-noi-vu": Limits(None, morning),
        "huong-khe": Limits(700, morning),
    }


def test_now_is_now_and_the_bound_that_was_given_counts(province: Province, at: Callable[[datetime], None]) -> None:
    at(NOON)
    found = limits(province, 900, now=True)
    assert (found["so-noi-vu"], found["huong-khe"]) == (Limits(900), Limits(900))


@pytest.fixture
def tram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command with everything that asks or builds stood in for; `staged` is what `stage` came to."""
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("TRAM_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("LC_ALL", "en")
    monkeypatch.setattr(command, "packages_of", lambda *_, **__: {})

    base = SimpleNamespace(sha256="0" * 64, path=tmp_path / "base")
    (tmp_path / "base").write_bytes(b"base")
    monkeypatch.setattr(command, "runtime", lambda: SimpleNamespace(base=base, files={}))

    def run(*words: str, staged: Staged | None = None, key: bool = True) -> Any:
        if key:
            make_key(tmp_path / "secrets", "tram@lab")
        monkeypatch.setattr(command, "stage", lambda *_: staged)
        given = [*words, "-i", str(REPO / "inventories/lab")]
        return CliRunner().invoke(app, ["stage", *given])

    monkeypatch.chdir(REPO)
    return run


def result(**host: Any) -> Staged:
    caches = [Cache(HUB, "trung-tam", Filled(HUB, needed=3_000_000, lacking=2_000_000, fetched=2_000_000))]
    return Staged(caches, [Standing(NEAR, "so-noi-vu", 3, 2_000_000, **host)])


def test_all_there_ends_with_0(tram: Run) -> None:
    said = tram("wave", "mail", "--now", staged=result(prepared=Prepared(1000, 2000)))
    assert said.exit_code == 0, said.output
    assert "all there" in said.output
    assert "prepared" in said.output


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ({"why": "hours"}, _WAITS["hours"]),
        ({"why": "cap"}, _WAITS["cap"]),
        ({"problem": TramError("no answer at 192.0.2.1")}, "no answer at 192.0.2.1"),
        ({"prepared": Prepared(note="package lists: E: no")}, "package lists: E: no"),
    ],
)
def test_what_has_yet_to_come_ends_with_1_and_is_said(tram: Run, host: dict[str, Any], says: str) -> None:
    said = tram("wave", "mail", "--all", staged=result(**host))
    assert said.exit_code == 1
    assert says.split(maxsplit=1)[0] in said.output
    assert tram("wave", "mail", "--all", "--dry-run", staged=result(**host)).exit_code == 0


def test_machines_read_the_same(tram: Run) -> None:
    said = tram("wave", "mail", "--limit", NEAR, "--json", staged=result(why="hours"))
    found = json.loads(said.stdout)
    assert (found["ready"], found["for"], found["hosts"][0]["waits_for"]) == (False, NEAR, "hours")
    assert found["caches"][0]["fetched"] == 2_000_000


def test_a_centre_without_a_key_is_refused(tram: Run) -> None:
    refused = tram("wave", "mail", key=False).exception
    assert isinstance(refused, BadInput)
    assert "the centre has no key yet" in refused.message


def test_a_host_the_stack_is_not_for_is_refused(tram: Run) -> None:
    refused = tram("wave", "webmail", "--limit", FAR).exception
    assert isinstance(refused, BadInput)
    assert f"there are: {HUB}, {NEAR}" in (refused.hint or "")


def test_each_command_shows_examples(tram: Run) -> None:
    for name in ("wave", "wheels", "files"):
        said = CliRunner().invoke(app, ["stage", name, "--help"])
        assert f"tram stage {name} " in said.output
