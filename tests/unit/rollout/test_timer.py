"""What calls `tram rollout resume` by itself, and what that does beside rollouts."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.ledger import Ledger, Outcome
from tram.register import load
from tram.rollout.owed import owed
from tram.rollout.policy import Policy, Window
from tram.rollout.timer import Call, behind_the_night, each_night, going_on, install_units, make_units

REPO = Path(__file__).parents[3]
LAB = REPO / "inventories/lab"
CALL = going_on(load(LAB), timedelta(minutes=5))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("call", [CALL, each_night(load(LAB), Policy(), ['a "b"'])], ids=["rollout", "stage"])
def test_systemd_itself_finds_nothing_wrong_with_the_units(tmp_path: Path, call: Call) -> None:
    units = make_units(load(LAB), call, project=tmp_path, environment={"TRAM_SECRETS": 'a "b" 100 %', "TRAM_LAB": ""})
    paths = [tmp_path / f"{units.name}.service", tmp_path / f"{units.name}.timer"]
    for path, text in zip(paths, (units.service, units.timer), strict=True):
        path.write_text(text)
    found = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert 'Environment="TRAM_SECRETS=a \\"b\\" 100 %%"' in units.service
    assert "TRAM_LAB" not in units.service
    assert f'{call.command} --inventory "{LAB}"' in units.service


@pytest.mark.parametrize(
    ("window", "offset", "calendar"),
    [
        (Window("20:00", "05:00"), 7, "13,14,15,16,17,18,19,20,21:00:00"),
        (Window("22:30", "00:15"), 7, "15:30:00"),
        (Window("22:30", "22:45"), -5, "03:30:00"),
        (Window("05:00", "08:00"), 7, "00,22,23:00:00"),
    ],
)
def test_staging_is_called_in_the_quiet_hours_by_the_provinces_clock(
    window: Window, offset: int, calendar: str
) -> None:
    call = each_night(load(LAB), Policy(quiet=window, utc_offset=timedelta(hours=offset)))
    assert f"OnCalendar=*-*-* {calendar} UTC\n" in call.timing
    assert call.longest == window.length


@pytest.mark.parametrize(("until", "said"), [("05:00", "22:30"), ("06:45", "00:15"), ("23:30", "17:00")])
def test_backups_are_checked_half_an_hour_after_the_quiet_hours(until: str, said: str) -> None:
    assert behind_the_night(Policy(quiet=Window("20:00", until), utc_offset=timedelta(hours=7))) == said


def test_a_password_in_the_ledgers_address_is_not_written_where_all_can_read_it(tmp_path: Path) -> None:
    given = {"TRAM_LEDGER": "postgresql://tram:bi-mat@hub/lab"}
    with pytest.raises(BadInput, match="password") as caught:
        make_units(load(LAB), CALL, project=tmp_path, environment=given)
    assert "bi-mat" not in str(caught.value)


def test_a_path_that_a_unit_cannot_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot name this"):
        make_units(load(LAB), CALL, project=tmp_path / "cong van", environment={})


@pytest.mark.skipif(
    Path("/run/systemd/system").is_dir(), reason="systemd runs this machine: nothing is installed in it"
)
def test_without_systemd_in_charge_nothing_is_written_and_cron_is_named(tmp_path: Path) -> None:
    units = make_units(load(LAB), CALL, project=tmp_path, environment={})
    with pytest.raises(BadInput) as caught:
        install_units(units, tmp_path / "units")
    assert "cron" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_delivery_beside_rollouts_is_owed_until_it_is_too_old_and_a_check_never(ledger: Ledger) -> None:
    for run, kind in (("1", "deliver"), ("2", "check"), ("3", "rollout")):
        ledger.begin(run, province="lab", playbook=f"playbooks/{kind}.yml", hosts=[(f"h{run}", "s")], kind=kind)
        ledger.lease(run, f"h{run}", "me", timedelta(minutes=1))
        ledger.finish(run, f"h{run}", Outcome.NOT_REACHED, "no answer")
    (job,) = owed(ledger, LAB, timedelta(days=14))
    assert (job.run, job.host, job.playbook, job.inventory) == ("1", "h1", "playbooks/deliver.yml", str(LAB))
    assert owed(ledger, LAB, timedelta(0)) == []
