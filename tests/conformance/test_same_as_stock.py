"""The executor against stock `ansible-playbook`: the same events, results, recap, files and exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project, Told, make_project

pytestmark = pytest.mark.slow

# What differs between any two runs of the same playbook.
_OF_THE_MOMENT = frozenset(
    """
    start end stop delta atime mtime ctime inode dev ansible_job_id results_file duration elapsed backup_file epoch
    block_size blocks version pid cache_update_time stdout_lines_async finished_at access_time modification_time
    module_stdout_pid started_at
    """.split()  # noqa: SIM905
)
_TEXT_OF_THE_MOMENT = (
    (re.compile(r"ansible-tmp-[0-9.]+-\d+-\d+"), "ansible-tmp"),
    (re.compile(r"ansible-local-[0-9a-z_]+/tmp\w+"), "ansible-local"),
    (re.compile(r"ansible-(module)?tmp[0-9a-z_.-]*/tmp\w+"), "ansible-tmp/x"),
    (re.compile(r"(ansible-local-?)\w+"), "ansible-local"),
    (re.compile(r"/tmp/(ansible[._]\w+|tmp\w+)"), "/tmp/x"),
    (re.compile(r"\bj\d{6,}\.\d+|\bj?\d{11,}\b"), "job"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"),
    (re.compile(r"Paused for [0-9.]+ seconds"), "paused"),
    (re.compile(r"^\.[a-z0-9_]{8}$"), ".content"),
    (re.compile(r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~"), ".backup"),
    (re.compile(r"ansible\.\w{8}\.conformance|ansible\.\w+\.conformance"), "temporary"),
)


@pytest.fixture(scope="module")
def both(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    folder = tmp_path_factory.mktemp("both")
    return make_project(runtime, folder / "stock"), make_project(runtime, folder / "tram")


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        pytest.param("playbook.yml", ["--check"], id="dry run on a fresh host"),
        pytest.param("playbook.yml", [], id="first run"),
        pytest.param("playbook.yml", [], id="second run"),
        pytest.param("playbook.yml", ["--check"], id="dry run on a configured host"),
        pytest.param("failing.yml", [], id="a play that fails"),
        pytest.param("arguments.yml", [], id="arguments a role refuses"),
        pytest.param("unknown.yml", [], id="a module that does not exist"),
        pytest.param("broken.yml", [], id="a playbook that is no YAML"),
        pytest.param("missing.yml", [], id="a playbook that is not there"),
    ],
)
def test_a_playbook_runs_the_same(both: tuple[Project, Project], playbook: str, options: list[str]) -> None:
    stock_project, our_project = both
    stock = stock_project.stock(playbook, *options)
    ours = our_project.ours(playbook, *options)
    assert ours.code == stock.code, ours.output
    if playbook == "playbook.yml":
        assert stock.code == 0, stock.output[-2000:]
    _same_events(_plain(ours, our_project.run), _plain(stock, stock_project.run))
    assert ours.stats == stock.stats
    assert _plain_files(ours, our_project.run) == _plain_files(stock, stock_project.run)
    assert not list(our_project.tree.rglob("__pycache__")), "the tree is not as it was delivered"


def test_a_run_tells_its_events_and_no_secret(project: Project) -> None:
    told = project.ours("playbook.yml")
    kinds = {event["kind"] for event in told.own_events}
    assert kinds == {"progress", "task", "note", "stats"}
    statuses = {event["status"] for event in told.own_events if event["kind"] == "task"}
    assert statuses == {"changed", "failed", "ignored"}
    assert told.own_events[-1]["kind"] == "stats"
    assert told.own_events[-1]["stats"]["failed"] == 0
    text = str(told.own_events) + told.output
    assert "sesame" not in text
    assert "mật khẩu" not in text  # a file of mode 0600
    diffs = {event["path"]: event["diff"] for event in told.own_events if "diff" in event and "path" in event}
    assert any(path.endswith("play.txt") and "Chào" in diff for path, diff in diffs.items())
    assert all(len(str(event.get("diff", "")).encode()) <= 2048 for event in told.own_events)


def _same_events(ours: list[Any], stock: list[Any]) -> None:
    for number, (mine, theirs) in enumerate(zip(ours, stock, strict=False)):
        assert mine == theirs, f"event {number}"
    assert len(ours) == len(stock)


def _plain(told: Told, root: Path) -> list[Any]:
    return [_clean(event, root) for event in told.events]


def _plain_files(told: Told, root: Path) -> dict[str, Any]:
    return {name: _clean(list(entry), root) for name, entry in told.files.items()}


def _clean(value: Any, root: Path) -> Any:
    if isinstance(value, dict):
        return {_clean(name, root): _clean(inner, root) for name, inner in value.items() if name not in _OF_THE_MOMENT}
    if isinstance(value, list):
        return [_clean(inner, root) for inner in value]
    if isinstance(value, str):
        text = value.replace(str(root), "ROOT")
        for pattern, plain in _TEXT_OF_THE_MOMENT:
            text = pattern.sub(plain, text)
        return text
    return value
