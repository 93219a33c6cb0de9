"""Who goes when, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.errors import BadInput
from tram.ledger import HostRow, Ledger, Outcome, new_run_id, utc_now
from tram.register import Host, Province, Site, load
from tram.rollout.forecast import Traffic
from tram.rollout.plan import Wave, make_plan
from tram.rollout.policy import Policy
from tram.rollout.record import NoRollout, newest, put_down
from tram.rollout.targets import Targets, find_playbook, targets

from .province import BAD_LINE, GOOD_LINE, shape, site, worse

REPO = Path(__file__).parents[3]
MAIL = frozenset({"mail"})


def plan(
    *sites: Site, policy: Policy | None = None, named: frozenset[str] = MAIL, last: object = None
) -> tuple[Wave, ...]:
    found = Targets(tuple((site, host) for site in sites for host in site.hosts), named)
    history = last if callable(last) else lambda _host: None
    return make_plan(found, policy or Policy(), last_of=history, bytes_of=lambda _host: None)


def order(waves: tuple[Wave, ...]) -> list[str]:
    return [place.site for wave in waves for place in wave.places]


def codes(waves: tuple[Wave, ...]) -> dict[str, list[str]]:
    return {place.host: [reason.code for reason in place.why] for wave in waves for place in wave.places}


def test_the_hub_then_the_pilot_then_the_rest() -> None:
    waves = plan(site("hub", line=None), site("far", line=BAD_LINE), site("near", pilot=True))
    assert shape(waves) == [("hub", 1), ("pilot", 1), ("rest", 1)]
    assert order(waves) == ["hub", "near", "far"]
    assert codes(waves) == {
        "hub-srv1": ["hub", "new", "no_line"],
        "near-srv1": ["pilot", "new", "line"],
        "far-srv1": ["rest", "new", "line"],
    }


def test_a_stack_that_needs_nothing_of_the_hub_takes_it_as_a_site_like_others() -> None:
    waves = plan(site("hub", line=None), site("a", pilot=True), named=frozenset({"webmail"}))
    assert order(waves) == ["a", "hub"]


def test_good_lines_go_before_bad_ones_and_ready_sites_before_silent_ones() -> None:
    sites = [
        site("c-bad", line=BAD_LINE),
        site("b-worst", line=worse(BAD_LINE, 64_000)),
        site("a-good"),
        site("d-silent"),
    ]

    def last(host: str) -> HostRow | None:
        return history(host, Outcome.NOT_REACHED) if host.startswith("d") else None

    assert order(plan(*sites, last=last)) == ["a-good", "c-bad", "b-worst", "d-silent"]


def history(host: str, outcome: Outcome) -> HostRow:
    """A host's last run, made in a real ledger."""
    ledger = Ledger(f"sqlite:////tmp/tram-test-{new_run_id(utc_now())}.db")
    run = new_run_id(utc_now())
    ledger.begin(run, province="lab", playbook="p", hosts=[(host, "x")])
    ledger.lease(run, host, "me", timedelta(minutes=1))
    ledger.finish(run, host, outcome)
    found = ledger.last(host)
    ledger.close()
    for file in Path("/tmp").glob(Path(ledger.url.removeprefix("sqlite:///")).name + "*"):
        file.unlink()
    assert found
    return found


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(Outcome.DONE, "ready"), (Outcome.NOT_REACHED, "silent"), (Outcome.FAILED, "troubled")],
)
def test_what_became_of_the_last_run_is_said(outcome: Outcome, code: str) -> None:
    waves = plan(site("a"), last=lambda host: history(host, outcome))
    assert codes(waves)["a-srv1"][1] == code


def test_waves_grow_by_the_shares_of_the_policy() -> None:
    sites = [site(f"s{n:03}") for n in range(500)]
    assert shape(plan(*sites)) == [("pilot", 1), ("10 %", 50), ("30 %", 150), ("rest", 299)]
    growth = Policy(growth=("2", "5", "rest"))
    assert shape(plan(*sites, policy=growth)) == [("pilot", 2), ("5", 5), ("rest", 493)]


def test_without_a_pilot_the_readiest_tries_first() -> None:
    waves = plan(site("b", line=BAD_LINE), site("a"))
    assert codes(waves)["a-srv1"][0] == "first"


def test_nobody_else_goes_in_a_wave_of_pilots() -> None:
    sites = [site(f"p{n}", pilot=True) for n in range(4)] + [site(f"s{n:02}") for n in range(20)]
    waves = plan(*sites)
    assert shape(waves) == [("pilot", 1), ("pilot", 3), ("10 %", 3), ("30 %", 8), ("rest", 9)]
    assert all(code.startswith("p") for wave in waves[:2] for code in wave.sites)


def test_hosts_of_a_site_share_its_line_and_go_together() -> None:
    waves = plan(site("a", pilot=True), site("b", hosts=3), site("c"), policy=Policy(growth=("1", "1", "rest")))
    assert [place.host for place in waves[1].places] in (["b-srv1", "b-srv2", "b-srv3"], ["c-srv1"])
    assert shape(waves) == [("pilot", 1), ("1", 1), ("rest", 1)]


@given(
    st.integers(0, 40),
    st.integers(0, 4),
    st.booleans(),
    st.sampled_from([("1", "10 %", "30 %", "rest"), ("50 %",), ("3",)]),
)
def test_every_host_is_in_exactly_one_wave(others: int, pilots: int, hub: bool, growth: tuple[str, ...]) -> None:
    sites = [site(f"s{n:02}", hosts=1 + n % 2) for n in range(others)]
    sites += [site(f"p{n}", pilot=True) for n in range(pilots)] + ([site("hub", line=None)] if hub else [])
    waves = plan(*sites, policy=Policy(growth=growth))
    placed = [place.host for wave in waves for place in wave.places]
    assert sorted(placed) == sorted(host.inventory_name for site in sites for host in site.hosts)
    assert [wave.number for wave in waves] == list(range(1, len(waves) + 1))
    assert all(wave.places for wave in waves)


def test_the_same_province_gives_the_same_plan_whatever_order_it_is_read_in() -> None:
    sites = [site(f"s{n:02}", line=BAD_LINE if n % 3 else GOOD_LINE) for n in range(20)]
    assert order(plan(*sites)) == order(plan(*reversed(sites)))


def test_the_last_wave_is_not_watched_and_a_person_is_asked_where_the_policy_says() -> None:
    policy = Policy(soak=timedelta(hours=1), approve=(2,))
    waves = plan(site("a", pilot=True), site("b"), policy=policy)
    assert [(wave.soak, wave.needs_approval) for wave in waves] == [(timedelta(hours=1), False), (timedelta(0), True)]


@pytest.fixture(scope="module")
def ha_tinh() -> Province:
    return load(REPO / "inventories/ha-tinh")


def test_a_whole_province_has_its_hub_first_and_every_host_once(ha_tinh: Province) -> None:
    found = targets(REPO / "playbooks/mail.yml", ha_tinh)
    waves = make_plan(found, Policy(), last_of=lambda _: None, bytes_of=lambda _: Traffic(21_000, 2_000, "bundle"))
    assert waves[0].sites == (ha_tinh.hub.code,)
    pilots = {site.code for site in ha_tinh.sites if site.pilot and not site.is_hub}
    assert {code for wave in waves if wave.name == "pilot" for code in wave.sites} == pilots
    assert len([place for wave in waves for place in wave.places]) == len(found.hosts)
    costs = [place.forecast.seconds for place in waves[-1].places]
    assert costs == sorted(costs)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("hosts", "meant"),
    [
        ("mail", lambda site, host: "mail" in host.functions),
        ("all", lambda site, host: True),
        ("hub", lambda site, host: site.is_hub),
        ("mail:!hub", lambda site, host: "mail" in host.functions and not site.is_hub),
        ("hub:&dns", lambda site, host: site.is_hub and "dns" in host.functions),
        ("[hub, pilot]", lambda site, host: site.is_hub or site.pilot),
        ("'so-*'", lambda site, host: site.code.startswith("so-")),
    ],
)
def test_patterns_are_read_as_ansible_reads_them(
    ha_tinh: Province, tmp_path: Path, hosts: str, meant: Callable[[Site, Host], bool]
) -> None:
    book = write(tmp_path / "x.yml", f"- hosts: {hosts}\n")
    expected = [host for site in ha_tinh.sites for host in site.hosts if meant(site, host)]
    assert expected
    assert [host for _, host in targets(book, ha_tinh).hosts] == expected


def test_an_imported_playbook_counts_and_a_circle_is_said(ha_tinh: Province, tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "- ansible.builtin.import_playbook: b.yml\n")
    write(tmp_path / "b.yml", "- hosts: hub\n")
    assert [host for _, host in targets(tmp_path / "a.yml", ha_tinh).hosts] == list(ha_tinh.hub.hosts)
    write(tmp_path / "b.yml", "- import_playbook: a.yml\n")
    with pytest.raises(BadInput, match="too deeply"):
        targets(tmp_path / "a.yml", ha_tinh)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts: all", "is no list of plays"),
        ("- [", "cannot be read"),
        ("- hosts: nobody\n", "no host of .* is meant \\(nobody\\)"),
        ("- hosts: 'hub:&nobody'\n", "no host of"),
    ],
)
def test_a_playbook_for_nobody_or_none_at_all_is_bad_input(
    ha_tinh: Province, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        targets(write(tmp_path / "x.yml", text), ha_tinh)


def test_a_stack_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path / "mail.yml", "")
    with pytest.raises(BadInput, match=r"there is no .*mial\.yml") as bad:
        find_playbook("mial", tmp_path)
    assert bad.value.hint == "the stacks are: mail"
    assert find_playbook("mail", tmp_path) == tmp_path / "mail.yml"
    assert find_playbook(str(tmp_path / "mail.yml")) == tmp_path / "mail.yml"


def test_a_plan_put_down_is_found_again_as_it_was(ledger: Ledger) -> None:
    waves = plan(site("hub", line=None), site("a", pilot=True), site("b", hosts=2))
    policy = replace(Policy(), soak=timedelta(seconds=90))
    run = put_down(
        ledger, waves, policy, province="lab", stack="mail", playbook=Path("playbooks/mail.yml"), inventory=Path("i")
    )
    row = newest(ledger, "mail")
    assert (row.run, row.state, Policy.of(row.policy, "")) == (run, "planned", policy)
    assert [place.host for place in ledger.rollouts.places(run)] == [p.host for wave in waves for p in wave.places]
    first = ledger.rollouts.places(run)[0]
    assert [reason["code"] for reason in first.why] == ["hub", "new", "no_line"]
    assert ledger.show(run).run.kind == "rollout"
    with pytest.raises(NoRollout):
        newest(ledger, "base")
