"""What travels to the board's host: up to date, and running with what Debian packages there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tram.register import Province
from tram.register.plain import to_plain

from .conftest import REPO

ARTEFACT = REPO / "roles/board/files/tram-board.zip"
# What the centre has and the board's host has not.
ABSENT = ("ansible", "pydantic", "rich", "ruamel", "sqlalchemy", "typer", "yaml")


def test_the_artefact_is_built_from_these_sources() -> None:
    build = [sys.executable, REPO / "scripts/build-board", "--check"]
    said = subprocess.run(build, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "up to date\n"), said.stderr


def test_every_runbook_an_alert_names_is_beside_it() -> None:
    """By links, so that whoever mends a page needs nothing more."""
    there = {path.name: path for path in (REPO / "roles/board/files/runbooks").iterdir()}
    rules = "".join(path.read_text(encoding="utf-8") for path in (REPO / "monitoring/rules").glob("*.yml"))
    named = set(re.findall(r"runbook: docs/runbooks/([a-z-]+\.md)", rules))
    assert named
    assert named - there.keys() == set()
    assert {path.resolve() for path in there.values()} == {REPO / "docs/runbooks" / name for name in there}


@pytest.fixture
def host(tmp_path: Path, province: Province) -> Path:
    """A folder with the code unpacked, the settings and the register, as the role leaves them."""
    with zipfile.ZipFile(ARTEFACT) as file:
        file.extractall(tmp_path / "code")
    (tmp_path / "register.json").write_text(json.dumps(to_plain(province)), encoding="utf-8")
    (tmp_path / "board.toml").write_text(f'register = "{tmp_path}/register.json"\nfolder = "{tmp_path}/state"\n')
    return tmp_path


def run(host: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    begin = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); sys.path.insert(0, {str(host / 'code')!r}); "
    begin += "from tram_board.__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-I", "-c", begin, "--settings", str(host / "board.toml"), *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=host)


@pytest.mark.slow
def test_it_makes_its_key_and_people_by_itself(host: Path) -> None:
    assert [run(host, "prepare").stdout for _ in range(2)] == ["changed\n", "ready\n"]
    assert (host / "state/session.key").stat().st_mode & 0o777 == 0o640
    assert json.loads((host / "state/people.json").read_text())["people"] == {}
    made = run(host, "person", "vanthu", "--role", "viewer", "--site", "huong-khe", given="correct horse battery\n")
    assert made.returncode == 0, made.stderr
    assert json.loads((host / "state/people.json").read_text())["people"]["vanthu"]["site"] == "huong-khe"


@pytest.mark.slow
def test_the_web_server_is_assembled_without_what_a_host_lacks(host: Path) -> None:
    assert run(host, "prepare").returncode == 0
    (host / "board.toml").write_text((host / "board.toml").read_text() + 'host = "192.0.2.77"\n')
    said = run(host, "serve")
    assert "ModuleNotFoundError" not in said.stderr
    assert "192.0.2.77" in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--role", "viewer", "--site", "huong-ke"], 'a viewer needs a site of the register, not "huong-ke"'),
        (["--role", "operator", "--site", "huong-khe"], "the role is operator, or viewer with a site"),
        (["--role", "operator"], "the password has 5 characters"),
    ],
)
def test_a_person_that_will_not_do_is_told_in_a_line_and_not_made(host: Path, words: list[str], said: str) -> None:
    done = run(host, "person", "truc", *words, given="short\n")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
    assert not (host / "state/people.json").exists()


@pytest.mark.slow
def test_who_is_taken_away_is_gone_and_nobody_else(host: Path) -> None:
    for name in ("truc", "truc2"):
        assert run(host, "person", name, "--role", "operator", given="correct horse battery\n").returncode == 0
    assert run(host, "person", "truc", "--remove").returncode == 0
    assert list(json.loads((host / "state/people.json").read_text())["people"]) == ["truc2"]
    assert (done := run(host, "person", "truc", "--remove")).returncode == 2
    assert done.stderr == 'nobody is called "truc" (there are: truc2)\n'
