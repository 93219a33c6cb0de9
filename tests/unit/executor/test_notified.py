"""The file of owed handlers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from tram.site.executor.notified import Notified


class _Iterator:
    """As much of Ansible's play iterator as the file of owed handlers looks at."""

    def __init__(self, play: str, owed: Notified) -> None:
        self._play = SimpleNamespace(get_name=lambda: play)
        self._host_states = {"site1": None}
        self.notified: list[str] = []
        self._owed = owed

    def add_notification(self, host: str, name: str) -> None:
        self.notified.append(name)
        self._owed.notified(host, name)


def _owed(path: Path) -> tuple[Notified, list[str]]:
    notes: list[str] = []
    return Notified(path, notes.append), notes


def _handlers(path: Path) -> list[str]:
    return [entry["handler"] for entry in json.loads(path.read_text())["owed"]]


def test_what_is_notified_is_owed_until_it_ran(tmp_path: Path) -> None:
    path = tmp_path / "notified.json"
    owed, _ = _owed(path)
    owed.play_started(_Iterator("Mail", owed))
    owed.notified("site1", "restart mail")
    owed.notified("site1", "reload dns")
    assert _handlers(path) == ["restart mail", "reload dns"]
    one, two = SimpleNamespace(_uuid="1"), SimpleNamespace(_uuid="2")
    owed.flushed("site1", "restart mail", [one, two])
    owed.handler_ran("site1", one)
    assert _handlers(path) == ["restart mail", "reload dns"]
    owed.handler_ran("site1", two)
    assert _handlers(path) == ["reload dns"]


def test_a_later_run_is_told_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "notified.json"
    first, _ = _owed(path)
    first.play_started(_Iterator("Mail", first))
    for name in ("b", "a"):
        first.notified("site1", name)
    second, notes = _owed(path)
    iterator = _Iterator("Mail", second)
    second.play_started(iterator)
    assert iterator.notified == ["b", "a"]
    assert len(notes) == 2
    second.finished(succeeded=True)
    assert not path.exists()


def test_a_task_in_the_middle_of_which_the_power_went_owes_too(tmp_path: Path) -> None:
    path = tmp_path / "notified.json"
    first, _ = _owed(path)
    first.play_started(_Iterator("Mail", first))
    first.task_starts("site1", ["restart mail", "{{ unknown }}"])
    second, _ = _owed(path)
    iterator = _Iterator("Mail", second)
    second.play_started(iterator)
    assert iterator.notified == ["restart mail"]


def test_a_task_that_ended_owes_no_more_than_it_notified(tmp_path: Path) -> None:
    path = tmp_path / "notified.json"
    first, _ = _owed(path)
    first.play_started(_Iterator("Mail", first))
    first.task_starts("site1", ["restart mail"])
    first.task_starts("site1", None)
    second, _ = _owed(path)
    iterator = _Iterator("Mail", second)
    second.play_started(iterator)
    assert iterator.notified == []


def test_another_playbook_s_success_pays_nobody_s_debts(tmp_path: Path) -> None:
    path = tmp_path / "notified.json"
    first, _ = _owed(path)
    first.play_started(_Iterator("Mail", first))
    first.notified("site1", "restart mail")
    first.finished(succeeded=False)
    verify, _ = _owed(path)
    verify.play_started(_Iterator("Verify", verify))
    verify.finished(succeeded=True)
    assert _handlers(path) == ["restart mail"]


def test_a_torn_or_foreign_file_owes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notified.json"
    for text in ("", '{"format":1,"owed":[{"pl', '{"format":2,"owed":[]}', "[]", "null"):
        path.write_text(text)
        owed, _ = _owed(path)
        iterator = _Iterator("Mail", owed)
        owed.play_started(iterator)
        assert iterator.notified == []
