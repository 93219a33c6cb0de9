"""What `tram harden` was asked for, checked against baselines and register before anything is written or sent."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tram.core.errors import BadInput
from tram.core.files import write_whole
from tram.look import Look, Looked, harmless
from tram.register import Host, Province
from tram.register.host_vars import as_yaml, read_yaml
from tram.register.problem import did_you_mean
from tram_audit.control import ControlShape
from tram_audit.loading import Rules, expired, load_rules

RECORDS = "/var/lib/tram/controls"
_TELL = (
    "import glob,json,sys\n"
    "for name in sorted(glob.glob(sys.argv[1]+'/*.json')):\n"
    " one=json.load(open(name)); before=one.get('before',{})\n"
    " print(json.dumps([one['control'],one.get('at',''),"
    "{key:bool(state.get('off')) for key,state in before.items()}]))\n"
)
LOOKS = (Look("records", f"python3 -I -c {shlex.quote(_TELL)} {RECORDS}", timedelta(seconds=20)),)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A control that a host has a record of: since when, and which of its things are put back."""

    control: str
    at: str
    things: Mapping[str, bool] = field(default_factory=dict)

    @property
    def off(self) -> bool:
        """Whether all of it is put back."""
        return bool(self.things) and all(self.things.values())


@dataclass(frozen=True, slots=True)
class Waiver:
    """For how long a host may be without a control, and who answers for it."""

    owner: str
    reason: str
    until: str


def find_controls(rules: Rules, codes: Sequence[str], *, undoing: bool) -> list[ControlShape]:
    """The controls meant.

    Raises: BadInput for one that is not there, or cannot be undone.
    """
    found = []
    for code in dict.fromkeys(codes):
        control = rules.controls.get(code)
        if control is None:
            hint = did_you_mean(code, sorted(rules.controls))
            raise BadInput(
                f'unknown control "{code}"', hint=hint if hint.startswith("did") else "they are in security/baselines"
            )
        if undoing and control.undo == "none":
            raise BadInput(
                f'"{code}" has no undo: {control.title.en}', hint="its `undo: none` in security/baselines says so"
            )
        found.append(control)
    return found


def find_hosts(province: Province, names: Sequence[str]) -> list[Host]:
    """The hosts meant.

    Raises: BadInput for one that is not in the register.
    """
    known = {host.inventory_name: host for site in province.sites for host in site.hosts}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInput(f'unknown host "{unknown[0]}"', hint=did_you_mean(unknown[0], sorted(known)))
    return [known[name] for name in dict.fromkeys(names)]


def checked(waiver: Waiver) -> Waiver | None:
    """The waiver, None when none was asked for.

    Raises: BadInput when a part of it is missing or its day is past.
    """
    given = {"--owner": waiver.owner.strip(), "--reason": waiver.reason.strip(), "--until": waiver.until.strip()}
    if not any(given.values()):
        return None
    if missing := [name for name, value in given.items() if not value]:
        raise BadInput(f"a waiver needs {' and '.join(missing)} too", hint='for example: --until "2027-03-31"')
    try:
        last = datetime.date.fromisoformat(given["--until"])
    except ValueError as error:
        raise BadInput(f'--until "{waiver.until}" is not a day', hint='for example: --until "2027-03-31"') from error
    if last < datetime.datetime.now(datetime.UTC).date():
        raise BadInput(f"--until {waiver.until} is past", hint="a waiver that has expired is a failure")
    return Waiver(*given.values())


def waived(rules: Rules, control: str, host: str) -> bool:
    """Whether a waiver that still counts covers this."""
    today = datetime.datetime.now(datetime.UTC).date()
    return any(one.control == control and host in one.hosts and not expired(one, today) for one in rules.waivers)


def add_waivers(security: Path, province: str, host: str, controls: Sequence[str], waiver: Waiver) -> Path:
    """Write waivers into the province's file; taken back when the rules as a whole are not good any more.

    Raises: RulesInvalid; BadInput when the file cannot be understood.
    """
    path = security / "waivers" / f"{province}.yml"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    data = read_yaml(path)
    waivers = data.get("waivers")
    if not waivers:
        waivers = data["waivers"] = CommentedSeq()
    for control in controls:
        one = CommentedMap(control=control, hosts=CommentedSeq([host]))
        one["hosts"].fa.set_flow_style()
        one |= {"owner": waiver.owner, "reason": waiver.reason, "expires": waiver.until}
        waivers.append(one)
    write_whole(path, as_yaml(data))
    try:
        load_rules(security)
    except BadInput:
        if before is None:
            path.unlink()
        else:
            write_whole(path, before)
        raise
    return path


def drop_waivers(security: Path, province: str, host: str, controls: Sequence[str]) -> list[str]:
    """Take this host out of the waivers of these controls in the province's file; which of them that were."""
    path = security / "waivers" / f"{province}.yml"
    data = read_yaml(path)
    found = []
    for one in list(data.get("waivers") or []):
        if one.get("control") in controls and host in one.get("hosts", []):
            found.append(str(one["control"]))
            one["hosts"].remove(host)
            if not one["hosts"]:
                data["waivers"].remove(one)
    if found:
        write_whole(path, as_yaml(data))
    return found


def _recorded(said: list[object]) -> Recorded:
    """A record of a host, as far as it reads like one.

    Raises: TypeError, ValueError.
    """
    control, at, things = said
    if not isinstance(control, str) or not isinstance(at, str) or not isinstance(things, dict):
        raise TypeError
    return Recorded(harmless(control), harmless(at), {harmless(str(name)): bool(off) for name, off in things.items()})


def records(looked: Looked) -> list[Recorded] | None:
    """What a host says it has records of; None when it could not be asked."""
    seen = looked.seen.get("records")
    if looked.error or seen is None or seen.ended or seen.code != 0:
        return None
    try:
        return [_recorded(json.loads(line)) for line in seen.text.splitlines() if line.startswith("[")]
    except (ValueError, TypeError, RecursionError):
        return None  # whatever it said, these are no records
