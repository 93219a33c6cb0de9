"""From the files of security/ to one checked `Rules`, or to every error in them at its file and line."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tram.core.errors import BadInput
from tram.register.document import Document, read_document
from tram.register.problem import Loc, Problem, did_you_mean
from tram.register.shape import Shape
from tram.register.verdict import judge
from tram_audit.control import (
    Both,
    ControlFile,
    ControlShape,
    ProfileFile,
    ProfileShape,
    ReferenceFile,
    WaiverFile,
    WaiverShape,
)

S = TypeVar("S", bound=Shape)
OWN_FILES = ("profiles.yml", "references.yml")


class RulesInvalid(BadInput):
    """Files of security/ with errors; `problems` holds every one of them, in order of file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.message)))
        count = len(self.problems)
        title = f"Quy tắc bảo mật có {count} lỗi / {count} error{'s' if count > 1 else ''} in the security rules"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))


@dataclass(frozen=True, slots=True)
class Profile:
    """The controls of a profile, in order, and which of them are spared, with the reason."""

    name: str
    shape: ProfileShape
    controls: tuple[str, ...]
    spares: Mapping[str, Both]


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything an audit judges by."""

    controls: Mapping[str, ControlShape]
    profiles: Mapping[str, Profile]
    references: ReferenceFile
    waivers: Sequence[WaiverShape]

    @property
    def sysctls(self) -> list[str]:
        """The keys of sysctl that some control asks for."""
        checks = (check for control in self.controls.values() for check in control.check)
        return sorted({check.key for check in checks if check.look == "sysctl" and "*" not in check.key})


def load_rules(folder: Path) -> Rules:
    """Read and check `folder` (security/): baselines/*.yml and waivers/*.yml.

    Raises: RulesInvalid with every error of every file; BadInput when there is no such folder.
    """
    if not (folder / "baselines").is_dir():
        raise BadInput(f"{folder}: has no folder baselines", hint="give the folder security of the repository")
    problems: list[Problem] = []
    controls: dict[str, ControlShape] = {}
    first: dict[str, str] = {}
    names: set[str] = set()  # also those of controls that are wrong otherwise: one error, not one at each mention
    for path in sorted((folder / "baselines").glob("*.yml")):
        if path.name in OWN_FILES:
            continue
        file, document = _read(folder, f"baselines/{path.name}", ControlFile, problems)
        names.update(_named(document))
        for at, control in enumerate(file.controls if file else ()):
            where: Loc = ("controls", at, "id")
            place = f"{document.file}:{document.line(where)}"
            if control.id in first:
                message = f'control "{control.id}" is there twice, first at {first[control.id]}'
                problems.append(document.problem(where, message, "give one of them another id"))
            first.setdefault(control.id, place)
            controls.setdefault(control.id, control)
            problems += _wrong(document, ("controls", at), control)
    references, at_references = _read(folder, "baselines/references.yml", ReferenceFile, problems)
    profile_file, at_profiles = _read(folder, "baselines/profiles.yml", ProfileFile, problems)
    profiles = _profiles(profile_file.profiles, at_profiles, names, problems) if profile_file else {}
    waivers: list[WaiverShape] = []
    for path in sorted((folder / "waivers").glob("*.yml")):
        waiver_file, document = _read(folder, f"waivers/{path.name}", WaiverFile, problems)
        for at, waiver in enumerate(waiver_file.waivers if waiver_file else ()):
            problems += _wrong_waiver(document, ("waivers", at), waiver, names)
            waivers.append(waiver)
    if references:
        families = list(references.families)
        for control in controls.values():
            problems += [
                at_references.problem(
                    ("families",), f'control "{control.id}" names family "{family}", which is not here'
                )
                for family in control.references.families
                if family not in families
            ]
    if problems or references is None:
        raise RulesInvalid(problems)
    return Rules(controls, profiles, references, waivers)


def _read(folder: Path, file: str, shape: type[S], problems: list[Problem]) -> tuple[S | None, Document]:
    document, found = read_document(folder / file, file)
    value = None
    if not found:
        value, found = judge(document, shape)
    problems += found
    return value, document


def _wrong(document: Document, at: Loc, control: ControlShape) -> list[Problem]:
    """What pydantic cannot see of one control."""
    found = []
    for number, check in enumerate(control.check):
        where = (*at, "check", number)
        given = check.operators()
        if len(given) != 1:
            what = "nothing is asked of it" if not given else f"it asks {' and '.join(given)} at once"
            found.append(document.problem(where, f'control "{control.id}": {what}', "give one operator a check"))
        if check.by_function and check.only is None:
            found.append(document.problem(where, f'control "{control.id}": by_function goes with only'))
    if (control.applies.machine or control.applies.suites) and control.applies.reason is None:
        message = f'control "{control.id}" does not apply everywhere and says no reason'
        found.append(document.problem((*at, "applies"), message, "add applies.reason in vi and en"))
    return found


def _profiles(
    shapes: Mapping[str, ProfileShape],
    document: Document,
    names: set[str],
    problems: list[Problem],
) -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for name, shape in shapes.items():
        at: Loc = ("profiles", name)
        unknown: list[tuple[Loc, str]] = [
            (("controls", number), code) for number, code in enumerate(shape.controls) if code not in names
        ]
        unknown += [(("spares", code), code) for code in shape.spares if code not in names]
        problems += [
            document.problem((*at, *where), f'unknown control "{code}"', _meant(code, names)) for where, code in unknown
        ]
        lineage: list[str] = [name]
        while parent := shapes[lineage[-1]].extends:
            if parent not in shapes:
                hint = did_you_mean(parent, list(shapes))
                problems.append(document.problem((*at, "extends"), f'unknown profile "{parent}"', hint))
                break
            if parent in lineage:
                problems.append(document.problem((*at, "extends"), f'profile "{name}" extends itself'))
                break
            lineage.append(parent)
        codes = [code for one in reversed(lineage) for code in shapes[one].controls]
        spares = {code: why for one in reversed(lineage) for code, why in shapes[one].spares.items()}
        problems += [
            document.problem((*at, "spares", code), f'"{code}" is spared and is no control of this profile')
            for code in shape.spares
            if code in names and code not in codes
        ]
        found[name] = Profile(name, shape, tuple(dict.fromkeys(codes)), spares)
    return found


def _named(document: Document) -> list[str]:
    """The ids of a file as it was written."""
    listed = document.data.get("controls")
    return (
        [str(one["id"]) for one in listed if isinstance(one, dict) and "id" in one] if isinstance(listed, list) else []
    )


def _meant(code: str, names: set[str]) -> str:
    near = did_you_mean(code, sorted(names))
    return near if near.startswith("did") else "the controls are in baselines/*.yml"


def _wrong_waiver(document: Document, at: Loc, waiver: WaiverShape, names: set[str]) -> list[Problem]:
    found = []
    if waiver.control not in names:
        message = f'waiver for the unknown control "{waiver.control}"'
        found.append(document.problem((*at, "control"), message, _meant(waiver.control, names)))
    try:
        waiver.ends()
    except ValueError:
        message = f'"expires": "{waiver.expires}" is not a day'
        found.append(document.problem((*at, "expires"), message, 'write the last day it counts: "2027-03-31"'))
    return found


def expired(waiver: WaiverShape, today: datetime.date) -> bool:
    """Whether it counts no longer."""
    return waiver.ends() < today
