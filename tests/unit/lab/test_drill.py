"""Drills for people: the script is whole, what is seen is judged, and nothing of a drill is left standing."""

from __future__ import annotations

import string
from types import SimpleNamespace
from typing import Any

import pytest

from tram.core.errors import BadInput
from tram.lab import drill
from tram.lab.drill import DEEDS, Drill, drills, play, stage
from tram.register import load

from ...conftest import LAB

NAMES = sorted(drills())
SITE = "so-noi-vu"
"""The first with mail behind a line."""


class Toy:
    """A lab that notes what is done to it; every command ends with `code` and prints `printed`."""

    def __init__(self, *, code: int = 0, printed: str = "") -> None:
        self.province = load(LAB)
        self.paths = SimpleNamespace(name="toy")
        self.code, self.printed = code, printed
        self.done: list[tuple[str, str]] = []

    def sh(self, host: str, argv: list[str], **_: Any) -> Any:
        self.done.append((host, argv[-1]))
        return SimpleNamespace(code=self.code, stdout=self.printed, stderr="")

    def __getattr__(self, name: str) -> Any:
        return lambda what: self.done.append((name, what))


def deed(**more: Any) -> dict[str, Any]:
    return {"vi": "v", "en": "e", **more}


def script(*steps: dict[str, Any]) -> Drill:
    words = {"name": "n", "story": "s"}
    return Drill.model_validate({"vi": words, "en": words, "steps": steps})


def run(toy: Toy, played: Drill) -> list[bool | None]:
    return [one.held for one in play(played, stage(toy, None), lambda: None)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_a_deed_or_a_look_and_names_only_what_is_there(name: str) -> None:
    known = stage(Toy(), None).names()  # type: ignore[arg-type]
    for step in drills()[name].steps:
        assert bool(step.do) != bool(step.look)
        for text in (step.do, step.look, step.says, step.vi, step.en):
            assert {field for _, field, _, _ in string.Formatter().parse(text) if field is not None} <= set(known)
    assert any(step.look for step in drills()[name].steps)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_drill_breaks_it_mends(name: str) -> None:
    toy, played = Toy(), drills()[name]
    run(toy, played.model_copy(update={"steps": [step.model_copy(update={"within": 0}) for step in played.steps]}))
    counted = {word: sum(done[0] == word for done in toy.done) for word in ("cut", "mend", "power_cut", "power_on")}
    assert (counted["cut"], counted["power_cut"]) == (counted["mend"], counted["power_on"])


def test_a_drill_that_is_broken_off_leaves_nothing_behind() -> None:
    toy = Toy()
    going = play(script(deed(do="cut"), deed(look="x"), deed(do="tidy", undo=True)), stage(toy, None), lambda: None)  # type: ignore[arg-type]
    next(going)
    going.close()
    assert toy.done == [("cut", SITE), ("mend", SITE), (f"{SITE}-srv1", "tidy")]


def test_a_look_waits_as_long_as_it_may_and_says_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "EVERY", 0.001)
    toy = Toy(code=1, printed="letter 7")
    assert run(toy, script(deed(look="a", ends=1, says="letter [0-9]"), deed(look="b"))) == [True, False]
    assert run(toy, script(deed(look="a", ends=1, says="none", within=0), deed(look="b", ends=1))) == [False, True]


def test_a_deed_that_fails_is_no_drill() -> None:
    with pytest.raises(BadInput, match="tidy: ended with 3"):
        run(Toy(code=3), script(deed(do="tidy"), deed(look="x")))


def test_a_site_without_mail_or_line_has_no_drill() -> None:
    with pytest.raises(BadInput, match="trung-tam: no site with mail behind a line"):
        stage(Toy(), "trung-tam")  # type: ignore[arg-type]


def test_deeds_are_words_that_the_stage_knows() -> None:
    for word in DEEDS:
        stage(Toy(), None).deed(word)  # type: ignore[arg-type]
