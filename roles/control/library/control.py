#!/usr/bin/python
"""Ansible module: the settings of security controls, with what stood before kept so that each can be taken back."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.control_fields import Field
from ansible.module_utils.control_packages import Brought, alone
from ansible.module_utils.control_records import Record, Unchecked, put_record
from ansible.module_utils.control_things import Impossible, Line, Node, Package, Rights, Sysctl, Thing

DOCUMENTATION = r"""
---
module: control
short_description: Settings of security controls that can be taken back one by one
description:
  - Writes files, links, rights, single lines and kernel values for a control, each compared with what is there.
  - What stood before is kept first, durably, in O(state)/ID.json, once; a control named in O(off) is put back from
    there, and so is what a control manages no longer. A run that was killed anywhere is completed by the next one.
options:
  off: {description: Ids of controls that are to be put back., type: list, elements: str, default: []}
  controls:
    description:
      - Each has C(id) and any of C(files) (C(path) with C(content), C(link), C(absent) or only rights; C(mode),
        C(owner), C(group), C(validate) with %s, C(if_there)), C(lines) (C(path), C(match), C(line), C(after) or
        C(before), C(if_there)), C(fields) (C(path), C(entry), C(field), C(value), of passwd(5) and its like),
        C(sysctl) (key to value), C(packages) (recorded; installing is the role's).
    type: list
    elements: dict
    required: true
  check:
    description:
      - Command that must succeed once everything is written; otherwise all of this call is put back. A call that was
        killed before its check is judged, and put back, with the next one of the same controls.
    type: list
    elements: str
    default: []
  state: {description: Where what stood before is kept., type: path, default: /var/lib/tram/controls}
author: [Tram]
"""

EXAMPLES = r"""
- name: Write what sshd is told
  control:
    "off": "{{ control_off }}"
    controls:
      - id: ssh-no-root
        files:
          - path: /etc/ssh/sshd_config.d/20-tram-no-root.conf
            content: "PermitRootLogin no\n"
    check: [/usr/sbin/sshd, -t]
"""

RETURN = r"""
applied: {description: Controls that were changed to what is asked., type: list, returned: always}
undone: {description: Controls that were put back., type: list, returned: always}
paths: {description: Paths that changed., type: list, returned: always}
install: {description: Packages that controls ask for and that are missing., type: list, returned: always}
purge:
  description: Packages of controls in O(off) that were not there before, and what came with them for no one else.
  type: list
  returned: always
kept: {description: Packages that would be in RV(purge) if nothing else needed them., type: list, returned: always}
unsupported: {description: Kernel value to the reason why it cannot be set here., type: dict, returned: always}
"""

KINDS = {"packages": Package, "files": Node, "lines": Line, "fields": Field, "sysctl": Sysctl}


class Call:
    """One call of the module: what it did, so that it can be told, or put back when the check fails."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.state = Path(module.params["state"])
        self.brought = Brought(self.state)
        self.told: dict[str, Any] = {
            "applied": [],
            "undone": [],
            "paths": [],
            "install": [],
            "purge": [],
            "unsupported": {},
        }
        self.diff: list[dict[str, str]] = []
        self.back: list[tuple[Thing, dict[str, Any]]] = []
        self.records: list[tuple[Path, str | None]] = []
        self.unchecked: list[Unchecked] = []
        self.taken_back = False
        self.refused: set[str] = set()
        """Things that could not be put back: the next run tries again."""

    def apply(self, record: Record, things: dict[str, Thing]) -> None:
        """Make a control's things as they are asked for."""
        current = {key: thing.now() for key, thing in things.items()}
        for key, thing in things.items():
            was_off = record.before.get(key, {}).pop("off", False)
            # Put back once, and perhaps changed by somebody since: what stands now is what stood before. An undo that
            # locked the centre out is taken back with its records (tram.site.guarded).
            if key not in record.before or was_off:
                record.before[key] = self._owned(record, thing, current[key])
        gone = [key for key in record.before if key not in things and self._asked(key)]
        todo = [key for key, thing in things.items() if not thing.done(current[key])]
        if self.module.check_mode:
            self._tell("applied", record, [things[key] for key in todo] + [Thing.of(key) for key in gone])
            return
        if self.packages_only and any(key.startswith("package:") for key in todo) and not self._brings():
            self.brought.begin()
        self._begin(record, {key: current[key] for key in todo} | {key: Thing.of(key).now() for key in gone})
        self._save(record)
        changed = [things[key] for key in todo if self._change(record, things[key], current[key])]
        changed += [thing for key in gone if (thing := self._restore(record, key)) is not None]
        if gone:
            for key in gone:
                del record.before[key]
            self._save(record)
        self._tell("applied", record, changed)

    def undo(self, record: Record) -> None:
        """Put a control's things back as they stood."""
        if record.text is None:
            return
        # Once: what somebody made of it since is his.
        keys = [key for key in reversed(record.before) if self._asked(key) and not record.before[key].get("off")]
        if self.module.check_mode:
            things = [thing for key in keys if not (thing := Thing.of(key)).is_state(record.before[key])]
        else:
            self._begin(record, {key: Thing.of(key).now() for key in keys})
            things = [thing for key in keys if (thing := self._restore(record, key)) is not None]
            for key in keys:
                if key not in self.refused:
                    record.before[key]["off"] = True
            self._save(record)
            self.taken_back = True
        self._tell("undone", record, things)

    def check(self, command: list[str]) -> None:
        """Have everything checked where it stands; take all of this call back if it does not pass."""
        pending = [one for one in self.unchecked if one.text]
        if not command or not (self.back or pending) or self.module.check_mode:
            return
        code, out, err = self.module.run_command(command)
        if code != 0:
            self.put_back()
            for one in reversed(pending):
                one.put_back()
        for one in pending:
            one.end()
        if code == 0:
            return
        why = (err or out).strip()[-500:]
        names = self.told["applied"] + self.told["undone"] or [one.record.stem for one in pending]
        text = f"{shlex.join(command)} refuses what {', '.join(names)} would write"
        self.module.fail_json(msg=f"{text}: {why}. All of it was put back.")

    def put_back(self) -> None:
        """Undo this call."""
        for thing, state in reversed(self.back):
            thing.restore(state)
        for path, text in reversed(self.records):
            put_record(path, text)

    def _begin(self, record: Record, states: dict[str, dict[str, Any]]) -> None:
        """Where this call is to be checked: keep how things stand that it is about to change."""
        states = {key: state for key, state in states.items() if not key.startswith("package:")}
        if self.module.params["check"] and states:
            next(one for one in self.unchecked if one.record == record.path).begin(states)

    def _asked(self, key: str) -> bool:
        """Whether this call is about things of this kind: packages are asked for before the rest."""
        return key.startswith("package:") == self.packages_only

    packages_only = False

    def _brings(self) -> bool:
        """Whether a control has brought packages already."""
        if not self.brought.file.exists():
            return False
        records = [Record(path) for path in self.state.glob("*.json")]
        return any(record.absent_packages() and not record.off() for record in records)

    def _save(self, record: Record) -> None:
        if record.text is None and not record.before:
            return  # asked for nothing here: nobody could take that back
        self.records.append((record.path, record.text))
        record.save()

    def _owned(self, record: Record, thing: Thing, state: dict[str, Any]) -> dict[str, Any]:
        """A file that came with the control's own package goes with it."""
        if record.absent_packages() and isinstance(thing, Node) and state["kind"] == "file":
            code, out, _ = self.module.run_command(["dpkg-query", "--search", thing.path])
            if code == 0 and out.partition(":")[0] in record.absent_packages():
                return {"kind": "absent"}
        return state

    def _change(self, record: Record, thing: Thing, current: dict[str, Any]) -> bool:
        made = thing.make_room()
        if made:
            record.made += [path for path in made if path not in record.made]
            self._save(record)
        try:
            thing.change(self._validated)
        except Impossible as reason:
            if isinstance(thing, Sysctl):
                return False
            self.put_back()
            self.module.fail_json(msg=f"{record.path.stem}: {reason}. All of this call was put back.")
        self.back.append((thing, current))
        self._show(thing, current)
        return True

    def _restore(self, record: Record, key: str) -> Thing | None:
        thing, state = Thing.of(key), record.before[key]
        if isinstance(thing, Package) or thing.is_state(state):
            return None
        current = thing.now()
        try:
            thing.restore(state)
        except Impossible as reason:
            self.refused.add(key)
            self.told["unsupported"][thing.name] = f"it could not be put back: {reason}"
            return None
        self.back.append((thing, current))
        self._show(thing, current)
        return thing

    def unmake(self) -> None:
        """Remove the directories that controls made which are off; one that others share goes with the last of them.
        After the check: an undo that it refuses needs them."""
        if not self.taken_back:
            return
        off = [record for path in self.state.glob("*.json") if (record := Record(path)).off()]
        for made in sorted({made for record in off for made in record.made}, reverse=True):
            with contextlib.suppress(OSError):
                Path(made).rmdir()  # only when nothing else came to be there

    def _validated(self, command: str, path: Path) -> None:
        code, out, err = self.module.run_command([word.replace("%s", str(path)) for word in shlex.split(command)])
        if code != 0:
            raise Impossible(f"{command} refuses the new content: {(err or out).strip()[-500:]}")

    def _tell(self, what: str, record: Record, things: list[Thing]) -> None:
        paths = [thing.name for thing in things if not isinstance(thing, Package)]
        if paths:
            self.told[what].append(record.path.stem)
            self.told["paths"] += [path for path in paths if path not in self.told["paths"]]

    def _show(self, thing: Thing, current: dict[str, Any]) -> None:
        if self.module._diff and isinstance(thing, Node | Line):
            before, after = shown(current), shown(thing.now())
            self.diff.append(
                {"before_header": thing.name, "after_header": thing.name, "before": before, "after": after}
            )


def shown(state: dict[str, Any]) -> str:
    """A state for people, without what others on the host may not read."""
    if "lines" in state:
        return "\n".join(text for _, text in state["lines"]) + "\n"
    if "content" not in state:
        return f"{state}\n"
    if not int(state["mode"], 8) & 0o004:
        return "(not shown: not everybody may read it)\n"
    return base64.b64decode(state["content"]).decode(errors="replace")


def things_of(module: AnsibleModule, control: dict[str, Any]) -> Iterator[Thing]:
    """What a control asks for, as things."""
    unknown = sorted(set(control) - {"id", *KINDS})
    if unknown or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", str(control.get("id", ""))):
        module.fail_json(
            msg=f"control {control.get('id')!r}: {'unknown ' + ', '.join(unknown) if unknown else 'no id'}"
        )
    yield from (Package(name) for name in control.get("packages") or [])
    for item in control.get("files") or []:
        yield Rights(item) if not {"content", "link", "absent"} & set(item) else Node(item["path"], item)
    yield from (Line(item["path"], item) for item in control.get("lines") or [])
    yield from (Field(item) for item in control.get("fields") or [])
    yield from (Sysctl(key, str(value)) for key, value in (control.get("sysctl") or {}).items())


def run(module: AnsibleModule) -> None:
    """Apply, put back, check and tell."""
    call = Call(module)
    seen: dict[str, str] = {}
    os.umask(0o077)
    for control in module.params["controls"]:
        try:
            things = {thing.key: thing for thing in things_of(module, control)}
        except (Impossible, KeyError, re.error) as error:
            module.fail_json(msg=f"control {control['id']}: {error}")
        for key in things:
            if (other := seen.setdefault(key, control["id"])) != control["id"]:
                module.fail_json(msg=f"{key} is managed by two controls: {other} and {control['id']}")
        record = Record(call.state / f"{control['id']}.json")
        if module.params["check"]:
            call.unchecked.append(Unchecked(record.path))  # perhaps of a call that was killed
        packages = {key: thing for key, thing in things.items() if isinstance(thing, Package)}
        rest = {key: thing for key, thing in things.items() if key not in packages}
        on = control["id"] not in module.params["off"]
        for part, asked in (
            (packages, "packages" in control),
            (rest, bool((set(KINDS) - {"packages"}) & set(control))),
        ):
            call.packages_only = part is packages
            if asked and on:
                call.apply(record, part)
            elif asked:
                call.undo(record)
        if on:
            call.told["install"] += [thing.name for thing in packages.values() if not thing.done(thing.now())]
        else:
            absent = [name for name in record.absent_packages() if f"package:{name}" in packages]
            call.told["purge"] += [name for name in absent if Package(name).done(Package(name).now())]
        sysctls = [thing for thing in rest.values() if isinstance(thing, Sysctl) and on]
        call.told["unsupported"] |= {thing.name: thing.refused for thing in sysctls if thing.refused}
    call.check(module.params["check"])
    call.unmake()
    told = call.told
    told["kept"], told["purge"] = told["purge"], alone(told["purge"])
    told["kept"] = [name for name in told["kept"] if name not in told["purge"]]
    told["purge"] += call.brought.along(told["purge"])
    module.exit_json(changed=bool(told["applied"] or told["undone"]), diff=call.diff, **told)


def main() -> None:
    """Entry point."""
    run(
        AnsibleModule(
            argument_spec={
                "off": {"type": "list", "elements": "str", "default": []},
                "controls": {"type": "list", "elements": "dict", "required": True},
                "check": {"type": "list", "elements": "str", "default": []},
                "state": {"type": "path", "default": "/var/lib/tram/controls"},
            },
            supports_check_mode=True,
        )
    )


if __name__ == "__main__":
    main()
