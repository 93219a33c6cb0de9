"""Drills for people on the lab: something happens, they look, and what they see is looked at here, too (drills.yml)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tram.core.errors import BadInput
from tram.lab.lab import Lab
from tram.register import Host, Site

FILE = Path(__file__).with_name("drills.yml")
Language = Literal["vi", "en"]
EVERY = 2.0
"""Seconds between two looks."""


class Words(BaseModel):
    """A drill's name and story in one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    story: str


class Step(BaseModel):
    """One deed or one look. `undo`: done at the end whatever happened, unless it was done already."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    do: str = ""
    look: str = ""
    on: Literal["host", "hub"] = "host"
    ends: int = 0
    says: str = ""
    within: int = 0
    undo: bool = False
    vi: str
    en: str


class Drill(BaseModel):
    """What is played."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    vi: Words
    en: Words
    steps: list[Step] = Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Seen:
    """A step as it went: `held` is None for a deed; `printed` what a look showed at its end."""

    step: Step
    text: Mapping[Language, str]
    held: bool | None
    printed: str
    seconds: float


def drills() -> dict[str, Drill]:
    """Every drill by its name."""
    # YAML takes `on:` for true.
    found = yaml.load(FILE.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506 makes nothing but text
    return TypeAdapter(dict[str, Drill]).validate_python(found)


@dataclass(frozen=True, slots=True)
class Stage:
    """The lab and the site whose turn it is."""

    lab: Lab
    site: Site
    host: Host
    hub: Host
    token: str

    def names(self) -> dict[str, str]:
        """What stands in braces in drills.yml."""
        return {
            "site": self.site.name,
            "host": self.host.inventory_name,
            "hub": self.hub.inventory_name,
            "address": str(self.host.address),
            "hub_address": str(self.hub.address),
            "domain": self.site.domain,
            "hub_domain": self.lab.province.hub.domain,
            "token": self.token,
        }

    def deed(self, word: str) -> None:
        """Have it happen; a command that fails is no drill."""
        mine = self.host.inventory_name
        known: dict[str, Callable[[], object]] = {
            "cut": lambda: self.lab.cut(self.site.code),
            "mend": lambda: self.lab.mend(self.site.code),
            "off": lambda: self.lab.power_cut(mine),
            "on": lambda: self.lab.power_on(mine),
            "hub-off": lambda: self.lab.power_cut(self.hub.inventory_name),
            "hub-on": lambda: self.lab.power_on(self.hub.inventory_name),
        }
        known[word]()


DEEDS = ("cut", "mend", "off", "on", "hub-off", "hub-on")
_UNDONE_BY = {"cut": "mend", "off": "on", "hub-off": "hub-on"}


def stage(lab: Lab, code: str | None) -> Stage:
    """Where a drill is played: the site of that name, or the first behind a line that has mail.

    Raises: BadInput.
    """
    with_mail = [site for site in lab.province.sites if site.link and site.mail_host]
    found = [site for site in with_mail if code in (None, site.code)]
    if not found:
        raise BadInput(
            f"{code or lab.paths.name}: no site with mail behind a line",
            hint=f"there are: {', '.join(site.code for site in with_mail) or 'none; a drill needs the role mail'}",
        )
    host = found[0].mail_host
    assert host is not None
    return Stage(lab, found[0], host, lab.province.hub.mail_host or lab.province.hub_host, f"dt{secrets.token_hex(3)}")


def play(drill: Drill, where: Stage, wait: Callable[[], None]) -> Iterator[Seen]:
    """Play it step by step; `wait` is called before each. Whatever happens, at the end nothing of it is left."""
    undo: list[Step] = [step for step in drill.steps if step.undo]
    standing: list[str] = []
    try:
        for step in drill.steps:
            wait()
            began = time.monotonic()
            held, printed = None, ""
            if step.look:
                held, printed = _look(step, where)
            else:
                _do(step, where)
                standing = [one for one in standing if _UNDONE_BY[one] != step.do]
                standing += [step.do] if step.do in _UNDONE_BY else []
                undo = [one for one in undo if one is not step]
            text: dict[Language, str] = {"vi": step.vi.format(**where.names()), "en": step.en.format(**where.names())}
            yield Seen(step, text, held, printed, time.monotonic() - began)
    finally:
        for one in reversed(standing):
            where.deed(_UNDONE_BY[one])
        for step in undo:
            _sh(step.do, step, where)


def _do(step: Step, where: Stage) -> None:
    if step.do in DEEDS:
        where.deed(step.do)
        return
    code, printed = _sh(step.do, step, where)
    if code != 0:
        raise BadInput(f"{step.do}: ended with {code}: {printed.strip()[-300:]}", hint="is every role on the lab?")


def _look(step: Step, where: Stage) -> tuple[bool, str]:
    deadline = time.monotonic() + step.within
    while True:
        code, printed = _sh(step.look, step, where)
        held = code == step.ends and bool(re.search(step.says.format(**where.names()), printed))
        if held or time.monotonic() > deadline:
            return held, printed
        time.sleep(EVERY)


def _sh(command: str, step: Step, where: Stage) -> tuple[int, str]:
    on = where.host if step.on == "host" else where.hub
    words = command.format(**where.names())
    ran = where.lab.sh(on.inventory_name, ["bash", "-c", words], timeout=timedelta(minutes=2))
    return ran.code, ran.stdout + ran.stderr
