"""A host's own file is changed in one place; what people wrote beside it stays."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.push.playbook import ansible_program
from tram.register.host_vars import change_controls_off, controls_off

REPO = Path(__file__).parents[3]
HOST = "huong-khe-srv1"


def test_a_host_without_a_file_gets_one_and_loses_it_with_its_last_control(tmp_path: Path) -> None:
    change = change_controls_off(tmp_path, HOST, add=["ssh-kex"], comment="Why.")
    assert not change.path.exists(), "nothing is written before it is asked for"
    change.write()
    assert change.path.read_text() == "---\n# Why.\ncontrol_off:\n  - ssh-kex\n"
    assert controls_off(tmp_path, HOST) == ("ssh-kex",)
    change_controls_off(tmp_path, HOST, remove=["ssh-kex"]).write()
    assert not change.path.exists()


def test_comments_other_keys_and_rights_stay(tmp_path: Path) -> None:
    file = tmp_path / f"host_vars/{HOST}.yml"
    file.parent.mkdir()
    text = "---\n# Máy cũ.\nfirewall_open:\n  - {port: 5432, from: site} # sổ cũ\n"
    text += "# Xem biên bản 12.\ncontrol_off: [ssh-mac]\n"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o640)
    change_controls_off(tmp_path, HOST, add=["ssh-kex", "ssh-mac"]).write()
    assert file.read_text(encoding="utf-8") == text.replace("[ssh-mac]", "[ssh-mac, ssh-kex]")
    assert file.stat().st_mode & 0o777 == 0o640
    change_controls_off(tmp_path, HOST, remove=["ssh-kex"]).write()
    assert file.read_text(encoding="utf-8") == text
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_people_wrote_stays_when_the_last_key_goes(tmp_path: Path) -> None:
    file = tmp_path / f"host_vars/{HOST}.yml"
    file.parent.mkdir()
    file.write_text(
        "# Máy cũ: xem biên bản 12.\n---\n# Taken back.\ncontrol_off: [ssh-kex]\n# Hết.\n", encoding="utf-8"
    )
    change_controls_off(tmp_path, HOST, remove=["ssh-kex"]).write()
    assert file.read_text(encoding="utf-8") == "# Máy cũ: xem biên bản 12.\n# Hết.\n---\n"
    change_controls_off(tmp_path, HOST, add=["ssh-kex"]).write()
    assert controls_off(tmp_path, HOST) == ("ssh-kex",)
    assert "# Máy cũ: xem biên bản 12.\n" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("control_off: [", "is not YAML"),
        ("- a\n", "must have `key: value` lines"),
        ("control_off: ssh-kex\n", "control_off must be a list of control ids"),
    ],
)
def test_a_file_that_cannot_be_understood_is_left_as_it_is(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / f"host_vars/{HOST}.yml"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(BadInput, match=message):
        change_controls_off(tmp_path, HOST, add=["ssh-kex"])
    assert file.read_text() == text


def test_two_files_for_one_host_are_refused(tmp_path: Path) -> None:
    (tmp_path / f"host_vars/{HOST}").mkdir(parents=True)
    with pytest.raises(BadInput, match="this host's variables are there"):
        change_controls_off(tmp_path, HOST, add=["ssh-kex"])


@pytest.mark.slow
def test_ansible_reads_it_beside_the_register(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    subprocess.run(["cp", "-r", str(REPO / "inventories/lab"), str(folder)], check=True)
    change_controls_off(folder, HOST, add=["ssh-kex"]).write()
    argv = [str(ansible_program("ansible-inventory")), "-i", str(folder), "--host", HOST]
    ran = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["control_off"] == ["ssh-kex"]
