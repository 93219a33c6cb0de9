"""A call of module `control` that was killed after it wrote and before its check: the next one makes up for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic

from .many_things import Run, control, tree


def killed_before_the_check(run: Run, monkeypatch: pytest.MonkeyPatch, etc: Path, **given: Any) -> None:
    """A call that is killed when all is written and nothing is checked yet."""

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(basic.AnsibleModule, "run_command", dies)
        with pytest.raises(KeyboardInterrupt):
            run(control(etc), check=["true"], **given)


def test_a_check_that_was_cut_off_is_made_up_for(
    run: Run,
    etc: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = tree(etc)
    killed_before_the_check(run, monkeypatch, etc)
    assert (etc / "issue").read_text() == "Trạm\n"
    told = run(control(etc), check=["sh", "-c", "echo line 7 is wrong >&2; exit 3"])
    assert told["failed"] is True
    assert "refuses what many-things would write: line 7 is wrong. All of it was put back." in told["msg"]
    assert {k: v for k, v in tree(etc).items() if not k.startswith("new.d")} == before
    assert list((tmp_path / "state").rglob("*.json")) == []


def test_a_check_that_was_cut_off_and_then_passes_is_over(
    run: Run,
    etc: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = tree(etc)
    killed_before_the_check(run, monkeypatch, etc)
    mark = tmp_path / "checked"
    command = ["sh", "-c", f"echo once >>{mark}"]
    assert run(control(etc), check=command, check_mode=True)["changed"] is False
    assert not mark.exists(), "a dry run checks nothing"
    assert run(control(etc), check=command)["changed"] is False
    assert run(control(etc), check=command)["changed"] is False
    assert mark.read_text() == "once\n"
    run(control(etc), off=["many-things"])
    assert tree(etc) == before


def test_an_undo_that_was_cut_off_before_its_check_is_taken_back_when_it_is_refused(
    run: Run,
    etc: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(control(etc), check=["true"])["changed"] is True
    hardened = tree(etc)
    killed_before_the_check(run, monkeypatch, etc, off=["many-things"])
    assert tree(etc) != hardened
    assert run(control(etc), check=["false"], off=["many-things"])["failed"] is True
    assert tree(etc) == hardened
    assert run(control(etc), check=["true"])["changed"] is False
