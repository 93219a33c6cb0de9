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
from tram.act.outcome import NotReached
from tram.act.stage import Cache, Staged, Standing
from tram.act.staging import Filled, Limits, Prepared
from tram.cli import stage as command
from tram.cli import staging
from tram.cli.main import app
from tram.cli.stage_view import WAITS
from tram.core.errors import BadInput, TramError
from tram.ledger import Ledger, Outcome, open_ledger
from tram.register import Province, load
from tram.rollout.policy import LinkPolicy, Policy, Window

from ..rollout.province import new_rollout

pytestmark = pytest.mark.slow

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
    return lambda moment: monkeypatch.setattr(staging, "utc_now", lambda: moment)


def limits(
    province: Province, max_bytes: int | None = None, *, now: bool = False, spent: dict[str, int] | None = None
) -> dict[str, Limits | None]:
    policy = Policy(quiet=Window("20:00", "05:00"), links={"adsl": LinkPolicy(stage_bytes=700)})
    pairs = [(site, host) for site in province.sites for host in site.hosts]
    return staging.limits_of(pairs, policy, max_bytes, now=now, spent=spent or {})


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


def test_what_came_this_night_already_counts_against_the_bound(
    province: Province, at: Callable[[datetime], None]
) -> None:
    at(NIGHT)
    found = [limits(province, spent={"huong-khe": spent})["huong-khe"] for spent in (300, 900)]
    assert [one and one.max_bytes for one in found] == [400, 0]


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
    monkeypatch.setattr(staging, "packages_of", lambda *_, **__: {})

    base = SimpleNamespace(sha256="0" * 64, path=tmp_path / "base")
    (tmp_path / "base").write_bytes(b"base")
    monkeypatch.setattr(staging, "runtime", lambda: SimpleNamespace(base=base, files={}))

    def run(*words: str, staged: Staged | BaseException | None = None, key: bool = True) -> Any:
        if key:
            make_key(tmp_path / "secrets", "tram@lab")

        def stage(*_: Any) -> Staged | None:
            if isinstance(staged, BaseException):
                raise staged
            return staged

        monkeypatch.setattr(staging, "stage", stage)
        given = [*words, "-i", str(REPO / "inventories/lab")]
        return CliRunner().invoke(app, ["stage", *given])

    monkeypatch.chdir(REPO)
    return run


def result(**host: Any) -> Staged:
    caches = [Cache(HUB, "trung-tam", Filled(HUB, needed=3_000_000, lacking=2_000_000, fetched=2_000_000))]
    return Staged(caches, [Standing(NEAR, "so-noi-vu", 3, 2_000_000, **host)])


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), ValueError("a mistake of ours")])
def test_a_run_that_ended_by_no_error_of_ours_is_not_under_way(tram: Run, problem: BaseException) -> None:
    assert tram("wave", "mail", "--now", staged=problem).exit_code != 0
    ledger = open_ledger("lab")
    [run] = ledger.runs()
    assert {row.outcome for row in ledger.show(run.run).hosts} == {Outcome.FAILED}
    ledger.close()


def test_all_there_ends_with_0(tram: Run) -> None:
    said = tram("wave", "mail", "--now", staged=result(prepared=Prepared(1000, 2000)))
    assert said.exit_code == 0, said.output
    assert "all there" in said.output
    assert "prepared" in said.output


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ({"why": "hours"}, WAITS["hours"]),
        ({"why": "cap"}, WAITS["cap"]),
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


def night_now() -> Policy:
    """It is the middle of the night; lines of class adsl may carry 2.5 MB."""
    here = datetime.now(UTC)
    window = Window(f"{here - timedelta(hours=4):%H:%M}", f"{here + timedelta(hours=4):%H:%M}")
    return Policy(quiet=window, utc_offset=timedelta(0), links={"adsl": LinkPolicy(stage_bytes=2_500_000)})


@pytest.fixture
def night(tram: Run, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The centre's ledger, at night."""
    monkeypatch.setattr(command, "load_policy", lambda _: night_now())
    return open_ledger("lab")


def stand(ledger: Ledger, *hosts: str) -> None:
    """A rollout of mail whose next wave has these hosts."""
    run = new_rollout(ledger, [[HUB], list(hosts)])
    ledger.rollouts.set_wave(run, 1, "running")


def came(*hosts: Standing, problems: tuple[tuple[str, str], ...] = ()) -> Staged:
    return Staged([Cache(HUB, "trung-tam", Filled(HUB, problems=problems))], list(hosts))


def test_at_night_whoever_is_ready_is_not_asked_again(tram: Run, night: Ledger) -> None:
    stand(night, NEAR, FAR)
    cut = Standing(FAR, "huong-khe", problem=NotReached("no answer at 192.0.2.1"))
    first = tram("night", staged=came(Standing(NEAR, "so-noi-vu", prepared=Prepared(1000)), cut))
    assert first.exit_code == 1
    (run,) = [run for run in night.runs() if run.kind == "stage"]
    rows = {row.host: (row.outcome, row.reason, row.bytes_down) for row in night.show(run.run).hosts}
    assert run.playbook == "stage mail"
    assert rows == {
        HUB: (Outcome.DONE, "", 0),
        NEAR: (Outcome.DONE, "", 1000),
        FAR: (Outcome.NOT_REACHED, "no answer at 192.0.2.1", 0),
    }
    again = tram("night", staged=came(Standing(FAR, "huong-khe", prepared=Prepared())))
    assert again.exit_code == 0, again.output
    assert {row.host for row in night.show(night.runs()[0].run).hosts} == {HUB, FAR}
    assert "nothing is left to stage" in tram("night").stderr
    assert len(night.runs()) == 3


def test_what_is_over_the_cap_waits_for_another_night_and_is_seen(tram: Run, night: Ledger) -> None:
    stand(night, FAR)
    said = tram("night", staged=came(Standing(FAR, "huong-khe", prepared=Prepared(1_500_000), why="cap")))
    assert said.exit_code == 1
    assert staging.spent_tonight(night, night_now())["huong-khe"] == 1_500_000
    again = tram("night")
    assert (again.exit_code, "over the cap" in again.stderr) == (1, True)


def test_what_a_person_capped_himself_is_not_left_for_another_night(tram: Run, night: Ledger) -> None:
    stand(night, FAR)
    capped = came(Standing(FAR, "huong-khe", prepared=Prepared(1000), why="cap"))
    assert tram("wave", "mail", "--limit", FAR, "--now", "--max-bytes", "1000", staged=capped).exit_code == 1
    rest = tram("night", staged=came(Standing(FAR, "huong-khe", prepared=Prepared(1_500_000))))
    assert rest.exit_code == 0, rest.output
    assert staging.spent_tonight(night, night_now())["huong-khe"] == 1_501_000


def test_what_fails_at_a_cache_fails_the_hosts_behind_it(tram: Run, night: Ledger) -> None:
    stand(night, NEAR)
    staged = came(Standing(NEAR, "so-noi-vu"), problems=(("bash.deb", "404 Not Found"),))
    assert tram("night", staged=staged).exit_code == 1
    row = night.host(night.runs()[0].run, NEAR)
    assert (row.outcome, row.reason) == (Outcome.FAILED, f"{HUB}: bash.deb: 404 Not Found")


def test_one_stack_that_cannot_be_staged_does_not_stop_another(
    tram: Run, night: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand(night, NEAR)

    def broken(*_: object, **__: object) -> None:
        raise BadInput("roles/mail: nothing is said")

    monkeypatch.setattr(staging, "packages_of", broken)
    said = tram("night", "dns", staged=came())
    assert said.exit_code == 1
    assert [line.partition(":")[0] for line in said.stderr.splitlines() if "nothing is said" in line] == ["mail", "dns"]


def test_the_timer_calls_it_in_the_quiet_hours(tram: Run) -> None:
    said = tram("timer", "mail")
    assert "OnCalendar=*-*-* 13,14,15,16,17,18,19,20,21:00:00 UTC" in said.stdout
    assert f'tram stage night --inventory "{REPO / "inventories/lab"}" "mail"' in said.stdout


def test_each_command_shows_examples(tram: Run) -> None:
    for name in ("wave", "night", "timer", "wheels", "files"):
        said = CliRunner().invoke(app, ["stage", name, "--help"])
        assert f"tram stage {name} " in said.output
