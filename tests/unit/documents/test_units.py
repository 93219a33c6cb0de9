"""A unit that runs and does not answer is restarted; one that does not answer then is a failure that says why."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ...role_module import call, load

units = load("tram_units", "mail/library/tram_units.py")
RUNS = "LoadState=loaded ActiveState=active UnitFileState=enabled StateChangeTimestampMonotonic=1 NeedDaemonReload=no"
ASK = ["curl", "it"]


class Host:
    """systemd, a service, and how many times it stays silent before it answers."""

    def __init__(self, silent: int) -> None:
        self.silent, self.ran = silent, list[str]()

    def run(self, words: list[str]) -> tuple[int, str, str]:
        self.ran.append(" ".join(words[:2]))
        if words[:2] == ["systemctl", "show"]:
            return 0, RUNS.replace(" ", "\n"), ""
        if words[0] == "journalctl":
            return 0, "ModuleNotFoundError: mayan\n", ""
        if words == ASK:
            self.silent -= 1
            return (0, "", "") if self.silent < 0 else (7, "", "nobody there")
        return 0, "", ""


def run(silent: int, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, **more: Any) -> tuple[Any, Host]:
    """What the module says of a unit that is silent so often."""
    host = Host(silent)
    patch.setattr(AnsibleModule, "run_command", lambda _module, words, **_how: host.run(words))
    patch.setattr(units.time, "sleep", lambda _seconds: None)
    unit = {"name": "web.service", "answers": ASK, "answer_seconds": 0, **more.pop("unit", {})}
    return call(units, {"units": [unit], **more}, capsys, patch), host


def test_who_answers_is_left_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said, host = run(0, capsys, monkeypatch)
    assert said["changed"] is False
    assert "systemctl restart" not in host.ran


def test_who_is_silent_is_restarted_and_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, host = run(3, capsys, monkeypatch, unit={"answer_seconds": 60})
    assert said["restarted"] == {"web.service": "did not answer"}
    assert host.ran.count("systemctl restart") == 1


def test_who_stays_silent_is_a_failure_with_the_journals_last_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, _ = run(99, capsys, monkeypatch)
    assert said["failed"] is True
    assert "does not answer within 0 s: nobody there" in said["msg"]
    assert "ModuleNotFoundError: mayan" in said["msg"]


def test_a_dry_run_restarts_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said, host = run(99, capsys, monkeypatch, _ansible_check_mode=True)
    assert said["changed"] is True
    assert "systemctl restart" not in host.ran
