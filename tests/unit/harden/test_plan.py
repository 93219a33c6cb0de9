"""What `tram harden` is asked for is checked before anything is written; a waiver has owner, reason and an end."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tram.cli import harden, harden_plan
from tram.cli.harden_plan import Recorded, Waiver
from tram.core.errors import BadInput
from tram.look import Looked, Seen
from tram.register import load
from tram.register.host_vars import controls_off
from tram_audit.loading import Rules, load_rules

REPO = Path(__file__).parents[3]
HOST = "huong-khe-srv1"
FAR = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=90)).isoformat()


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A province and a security folder of this test's own."""
    shutil.copytree(REPO / "inventories/lab", tmp_path / "lab")
    for part in ("baselines", "waivers"):
        shutil.copytree(REPO / "security" / part, tmp_path / "security" / part)
    return tmp_path / "lab", tmp_path / "security"


@pytest.fixture
def rules(places: tuple[Path, Path]) -> Rules:
    return load_rules(places[1])


def run(places: tuple[Path, Path], *words: str) -> tuple[int, str]:
    """The command, with nothing delivered."""
    inventory, security = places
    more = [] if words[0] == "status" else ["--security", str(security)]
    ran = CliRunner().invoke(harden.app, [*words, "--inventory", str(inventory), *more], env={"LC_ALL": "en"})
    said = ran.output + (f"{ran.exception}" if isinstance(ran.exception, BadInput) else "")
    return ran.exit_code, said


def test_an_unknown_control_is_told_with_its_nearest_names(rules: Rules) -> None:
    with pytest.raises(BadInput, match='unknown control "ssh-kx"') as refused:
        harden_plan.find_controls(rules, ["ssh-kx"], undoing=True)
    assert '"ssh-kex"' in refused.value.hint


def test_a_control_without_undo_is_refused_for_undo_only(rules: Rules) -> None:
    code = next(code for code, control in rules.controls.items() if control.undo == "none")
    with pytest.raises(BadInput, match="has no undo"):
        harden_plan.find_controls(rules, [code], undoing=True)
    assert [one.id for one in harden_plan.find_controls(rules, [code, code], undoing=False)] == [code]


def test_an_unknown_host_is_told_with_its_nearest_names(places: tuple[Path, Path]) -> None:
    with pytest.raises(BadInput, match='unknown host "huong-khe"') as refused:
        harden_plan.find_hosts(load(places[0]), ["huong-khe"])
    assert f'"{HOST}"' in refused.value.hint


@pytest.mark.parametrize(
    ("waiver", "message"),
    [
        (Waiver("Trưởng phòng", "", ""), "a waiver needs --reason and --until too"),
        (Waiver("Trưởng phòng", "máy cũ", "soon"), "is not a day"),
        (Waiver("Trưởng phòng", "máy cũ", "2020-01-01"), "is past"),
    ],
)
def test_a_waiver_without_an_end_is_none(waiver: Waiver, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        harden_plan.checked(waiver)
    assert harden_plan.checked(Waiver("", "", "")) is None


@pytest.mark.slow
def test_undo_writes_host_vars_and_a_waiver_that_the_audit_takes_and_redo_takes_both_back(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory, security = places
    delivered: list[list[str]] = []
    monkeypatch.setattr(harden, "deliver", lambda _playbook, **given: delivered.append(given["limit"]))
    record = json.dumps(["ssh-kex", "2026-11-22T00:00:00Z", {"file:/etc/ssh/sshd_config.d/20-tram-kex.conf": True}])
    looked = Looked(HOST, "", {"records": Seen(f"{record}\n", 0)})
    monkeypatch.setattr(harden, "look_at_all", lambda *_: [looked])
    waiver = ["--owner", "Trưởng phòng CNTT", "--reason", "máy in cũ", "--until", FAR]

    code, said = run(places, "undo", "ssh-kex", "--host", HOST, *waiver)
    assert code == 0, said
    assert controls_off(inventory, HOST) == ("ssh-kex",)
    assert delivered == [[HOST]]
    assert "is put back: file:/etc/ssh/sshd_config.d/20-tram-kex.conf" in said
    [mine] = [one for one in load_rules(security).waivers if one.control == "ssh-kex"]
    assert mine.hosts == [HOST]
    assert (mine.control, mine.owner, mine.expires) == ("ssh-kex", "Trưởng phòng CNTT", FAR)

    code, said = run(places, "redo", "ssh-kex", "--host", HOST)
    assert code == 0, said
    assert controls_off(inventory, HOST) == ()
    assert [one for one in load_rules(security).waivers if one.control == "ssh-kex"] == []


def test_undo_without_a_waiver_says_that_one_is_due(places: tuple[Path, Path]) -> None:
    code, said = run(places, "undo", "ssh-kex", "--host", HOST, "--check")
    assert code == 0, said
    assert "a waiver is due" in said
    assert controls_off(places[0], HOST) == (), "a dry run writes nothing"


def test_redo_of_what_is_not_taken_back_is_refused(places: tuple[Path, Path]) -> None:
    code, said = run(places, "redo", "ssh-kex", "--host", HOST)
    assert code != 0
    assert "is not taken back" in said


def test_status_says_unknown_of_a_host_that_does_not_answer(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harden, "look_at_all", lambda *_: [Looked(HOST, "it does not answer")])
    code, said = run(places, "status", "--host", HOST, "--json")
    assert code == 1
    assert json.loads(said) == [{"host": HOST, "known": False, "why": "it does not answer", "wanted_off": []}]


def test_a_record_is_off_when_all_of_it_is_put_back() -> None:
    assert Recorded("a", "", {"x": True, "y": True}).off
    assert not Recorded("a", "", {"x": True, "y": False}).off
    assert not Recorded("a", "", {}).off


@pytest.mark.parametrize("said", ['["a"]', '["a", 1, {}]', '["a", "b", []]', "[", '["a", "b", {}, 4]'])
def test_records_that_do_not_read_as_records_are_none(said: str) -> None:
    assert harden_plan.records(Looked(HOST, "", {"records": Seen(said, 0, "")})) is None


def test_what_a_host_says_of_its_records_is_shown_never_obeyed() -> None:
    (found,) = harden_plan.records(Looked(HOST, "", {"records": Seen('["ssh\\u001b[2J", "now", {}]', 0, "")})) or []
    assert "\x1b" not in found.control
