"""The shape of the files in security/: controls, profiles, references, waivers. Outside data enters here (pydantic)."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tram.register.problem import BadValue
from tram.register.shape import Code, Shape, Text, Word

Severity = Literal["low", "medium", "high", "critical"]
Machine = Literal["container", "metal"]
LookName = Literal[
    "wire",
    "system",
    "sshd",
    "sysctl",
    "ports",
    "firewall",
    "pam",
    "sudo",
    "accounts",
    "modes",
    "files",
    "units",
    "stale",
    "mounts",
    "packages",
    "apt",
    "logs",
    "time",
    "certificates",
]


# What goes to a host inside a command (sysctl's keys) is made of nothing else.
def _key(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_./:*?\[\]@%+ -]{1,120}", value):
        raise BadValue(f'"{value}" is no key', hint="letters, digits, blanks and _ . / : * ? [ ] @ % + -")
    return value


Key = Annotated[str, AfterValidator(_key)]


class Both(Shape):
    vi: Text = Field(description="in Vietnamese")
    en: Text = Field(description="in English")


class Check(Shape):
    """What must be so in one look; of the operators one is given."""

    look: LookName = Field(description="what is looked at; docs/contracts/audit.md lists them")
    key: Key = Field(default="*", description="the setting, or a pattern of settings (*)")
    equals: list[str] | None = Field(default=None, description="every value is one of these")
    at_least: int | None = Field(default=None, description="every value is a number and not less")
    at_most: int | None = Field(default=None, description="every value is a number and not more")
    within: list[str] | None = Field(
        default=None, description="every item of the value's list fits one of these patterns"
    )
    without: list[str] | None = Field(
        default=None, description="no item of the value's list fits one of these patterns"
    )
    includes: list[str] | None = Field(default=None, description="for each of these patterns some item fits")
    only: list[str] | None = Field(default=None, description="no other keys than those that fit one of these patterns")
    by_function: dict[Word, list[str]] = Field(
        default_factory=dict, description="with `only`: what more is right on a host with this function"
    )
    mode: str | None = Field(default=None, pattern=r"^[0-7]{3,4}$", description="no permission bit beyond these")
    absent: Literal["pass", "fail", "not applicable"] = Field(
        default="fail", description="what it means that there is no such setting"
    )

    def operators(self) -> list[str]:
        """The operators that are given."""
        names = ("equals", "at_least", "at_most", "within", "without", "includes", "only", "mode")
        given = [name for name in names if getattr(self, name) is not None]
        return ["a range"] if given == ["at_least", "at_most"] else given


class Fix(Shape):
    role: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the role that sets it")
    variable: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="its variable")
    planned: bool = Field(default=False, description="true while there is no such role, or no such variable, yet")


class Applies(Shape):
    functions: list[str] = Field(default_factory=list, description="only hosts with one of these functions")
    suites: list[Literal["bookworm", "trixie"]] = Field(default_factory=list, description="only these Debian releases")
    machine: Machine | None = Field(default=None, description="container or metal, when only one of them can have it")
    reason: Both | None = Field(default=None, description="why not on the others; needed with machine and suites")


class References(Shape):
    cis: list[str] = Field(default_factory=list, description="sections of the CIS Debian 12 benchmark")
    anssi: list[str] = Field(default_factory=list, description="rules of ANSSI-BP-028")
    families: list[Code] = Field(default_factory=list, description="Vietnamese families of references.yml")
    stig: list[str] = Field(default_factory=list, description="STIG identifiers")


class ControlShape(Shape):
    id: Code = Field(description="its name for ever")
    title: Both = Field(description="what is so where it passes")
    why: Both = Field(description="why it matters")
    attack: Both = Field(description="what somebody does where it fails")
    severity: Severity = Field(description="low, medium, high, critical")
    check: list[Check] = Field(min_length=1, description="all of them must hold")
    fix: Fix | None = Field(
        default=None, description="role and variable; left out where a run of the playbooks mends it, or a person"
    )
    undo: Literal["previous value", "package", "none"] = Field(description="how its change is taken back")
    applies: Applies = Field(default_factory=Applies, description="where it applies; without it everywhere")
    references: References = Field(default_factory=References, description="sections and rules of baselines")


class ControlFile(Shape):
    controls: list[ControlShape] = Field(min_length=1, description="the controls of this file")


class ProfileShape(Shape):
    title: Both = Field(description="whom it is for")
    extends: Code | None = Field(default=None, description="a profile all of whose controls it has, too")
    controls: list[Code] = Field(default_factory=list, description="what it adds")
    spares: dict[Code, Both] = Field(
        default_factory=dict, description="controls such a machine cannot bear, each with the reason"
    )
    hub: bool = Field(default=False, description="true: taken for the hub's hosts")
    year_until: int | None = Field(default=None, description="taken for servers bought up to this year")
    function: str | None = Field(default=None, description="taken for hosts with this function")


class ProfileFile(Shape):
    profiles: dict[Code, ProfileShape] = Field(min_length=1, description="by name; the first that fits a host is taken")


class FamilyShape(Shape):
    title: Both = Field(description="the family's title")
    tcvn_14423: str = Field(description="its number in TCVN 14423:2026; x is the level's chapter")
    level_2: Both | None = Field(default=None, description="what level 2 asks, in a few words")
    level_3: Both | None = Field(default=None, description="what level 3 adds")
    tcvn_11930: str = Field(description="where it was in TCVN 11930:2017")
    confirmed: bool = Field(default=False, description="false: to be confirmed by counsel")


class ReferenceFile(Shape):
    cis: Text = Field(description="the edition of the CIS benchmark that is cited")
    anssi: Text = Field(description="the edition of ANSSI-BP-028 that is cited")
    families: dict[Code, FamilyShape] = Field(description="Vietnamese families, by a short name of ours")


class WaiverShape(Shape):
    control: Code = Field(description="the control that is waived")
    hosts: list[Code] = Field(min_length=1, description="inventory names; write them out")
    owner: Text = Field(description="the post that answers for it, never a person")
    reason: Text = Field(description="why it cannot be met now")
    expires: str = Field(description='the last day it counts, "2027-03-31"')

    def ends(self) -> datetime.date:
        """The last day. Raises: ValueError."""
        return datetime.date.fromisoformat(self.expires)


class WaiverFile(Shape):
    waivers: list[WaiverShape] = Field(description="what is not met, knowingly and for a time")
