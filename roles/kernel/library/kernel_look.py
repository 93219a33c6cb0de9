#!/usr/bin/python
"""Ansible module: what role kernel has to know of a host, in one look that changes nothing."""

from __future__ import annotations

import grp
import json
import pwd
import re
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: kernel_look
short_description: Interfaces, mounts, modules and file modes of a host
description:
  - Walks the local file systems once, with a bound, for set-id, world-writable, unsticky and unowned files.
  - A file below a directory that others than root may write to is told in RV(left) and not offered for change, because
    between look and change it could be exchanged for a link to another one.
options:
  allowed: {description: Programs that may be set-id (paths, or patterns with a star)., type: list, elements: str}
  mounts: {description: Mount points to the options they shall have., type: dict}
  modules: {description: Kernel modules that are not to be loaded., type: list, elements: str}
  seconds: {description: How long the walk may take., type: int, default: 300}
  walk: {description: Whether to walk at all., type: bool, default: true}
  state: {description: Where module control keeps what stood before., type: path, default: /var/lib/tram/controls}
author: [Tram]
"""

EXAMPLES = r"""
- name: Look at the host as it is
  kernel_look:
    allowed: [/usr/bin/sudo]
    mounts: {/tmp: [nosuid, nodev, noexec]}
"""

RETURN = r"""
container: {description: Whether this is a container., type: bool, returned: always}
interfaces: {description: Network interfaces that have settings of their own., type: list, returned: always}
fstab: {description: Mount point to the line /etc/fstab is to have., type: dict, returned: always}
loaded: {description: Modules that are loaded although they are not to be., type: list, returned: always}
grub: {description: Whether GRUB starts this host., type: bool, returned: always}
modes: {description: Control to the files it changes., type: dict, returned: always}
left: {description: Files found that are not safe to change., type: list, returned: always}
finished: {description: Whether the walk came to its end in time., type: bool, returned: always}
"""

LOCAL = "ext2,ext3,ext4,xfs,btrfs,overlay,tmpfs"
NOT_DISK = re.compile(r"/(run|proc|sys|dev)(/|$)")
FIND = [
    *("(", "-path", "*/containers/*", "-o", "-path", "/var/lib/machines", "-o"),
    # Of services with DynamicUser=: systemd's own users, which have a name only while the service runs.
    *("-path", "/var/*/private", ")", "-prune", "-o"),
    *("(", "-type", "f", "-perm", "/6000", "-printf", r"file-setid %p\0", ")", ","),
    *("(", "-type", "f", "-perm", "-0002", "-printf", r"file-world-writable %p\0", ")", ","),
    *("(", "-type", "d", "-perm", "-0002", "!", "-perm", "-1000", "-printf", r"file-sticky %p\0", ")", ","),
    *("(", "(", "-nouser", "-o", "-nogroup", ")", "!", "-type", "l", "-printf", r"file-owned %p\0", ")"),
]
FLAGS = {"nosuid": "suid", "nodev": "dev", "noexec": "exec"}


def walk(module: AnsibleModule) -> tuple[set[tuple[str, str]], bool]:
    """Pairs of control and path, and whether all was seen. The disk is left to whoever else needs it."""
    code, out, _ = module.run_command(["findmnt", "-rno", "TARGET", "-t", LOCAL])
    places = [place for place in out.split("\n") if place and not NOT_DISK.match(place)]
    if code != 0 or not places:
        return set(), False
    gently = ["timeout", str(module.params["seconds"]), "nice", "-n", "19", "ionice", "-c", "3"]
    code, out, _ = module.run_command([*gently, "find", *places, "-xdev", *FIND], errors="surrogateescape")
    found = {(control, path) for item in out.split("\0") if item for control, _, path in [item.partition(" ")]}
    return found, code in (0, 1)  # 1: a file went away under it


def remembered(state: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Control to the files it has changed already, with their rights before."""
    kept = {}
    for control in ("file-setid", "file-world-writable", "file-sticky", "file-owned"):
        record = state / f"{control}.json"
        before = json.loads(record.read_text(encoding="utf-8"))["before"] if record.exists() else {}
        kept[control] = {key.partition(":")[2]: was for key, was in before.items() if key.startswith("rights:")}
    return kept


def only_roots(path: Path) -> bool:
    """Whether nobody but root can put another thing in the place of this one."""
    return all(parent.lstat().st_uid == 0 and not parent.lstat().st_mode & 0o022 for parent in path.parents)


def unknown(uid: int, gid: int) -> dict[str, str]:
    """What of an owner there is no account for, as what it becomes."""
    want = {}
    try:
        pwd.getpwuid(uid)
    except KeyError:
        want["owner"] = "root"
    try:
        grp.getgrgid(gid)
    except KeyError:
        want["group"] = "root"
    return want


def change(control: str, path: Path, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a control asks for of a file that is there; None when nothing is safe to ask."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or not only_roots(path):
        return None
    mode = stat.S_IMODE(found.st_mode)
    item: dict[str, Any] = {"path": str(path), "if_there": True}
    if control == "file-owned":
        was = before or {"uid": found.st_uid, "gid": found.st_gid}
        return {**item, **unknown(was["uid"], was["gid"]), **unknown(found.st_uid, found.st_gid)}
    if control == "file-sticky":
        mode |= 0o1000
    else:
        mode &= ~0o6000 if control == "file-setid" else ~0o0002
    return {**item, "mode": f"{mode:04o}"}


def modes(module: AnsibleModule, found: set[tuple[str, str]]) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Each control's files, those it changed before included; and what was left alone."""
    allowed = [re.compile(re.escape(path).replace(r"\*", "[^/]*")) for path in module.params["allowed"] or []]
    kept = remembered(Path(module.params["state"]))
    asked: dict[str, list[dict[str, Any]]] = {control: [] for control in kept}
    left, taken = [], set()
    pairs = found | {(control, path) for control, files in kept.items() for path in files}
    for control, name in sorted(pairs):
        path = Path(name)
        if control == "file-setid" and any(pattern.fullmatch(name) for pattern in allowed):
            continue
        if name in taken or not path.exists():
            continue
        item = change(control, path, kept[control].get(name))
        if item is None:
            left.append(f"{control} {name}")
            continue
        taken.add(name)
        asked[control].append(item)
    return asked, left


def fstab_lines(module: AnsibleModule) -> dict[str, str]:
    """Mount point to the line it is to have: the one there is with our options, or a new one."""
    file = Path("/etc/fstab")
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    there = {words[1]: words for words in lines if len(words) >= 4 and not words[0].startswith("#")}
    wanted = {}
    for place, options in (module.params["mounts"] or {}).items():
        opposite = {FLAGS.get(option, "") for option in options}
        code, out, _ = module.run_command(["findmnt", "-rno", "FSTYPE,OPTIONS", "--mountpoint", place])
        if place in there:
            words = there[place]
            had = [option for option in words[3].split(",") if option not in opposite]
        elif code == 0 and out.split()[:1] == ["tmpfs"]:
            size = [option for option in out.split()[1].split(",") if option.startswith("size=")]
            words, had = ["tmpfs", place, "tmpfs", "", "0", "0"], ["mode=1777", *(size if place == "/tmp" else [])]  # noqa: S108
        elif place == "/proc":
            words, had = ["proc", place, "proc", "", "0", "0"], ["rw"]
        else:
            words, had = [place, place, "none", "", "0", "0"], ["bind"]
        merged = [*had, *(option for option in options if option not in had)]
        wanted[place] = "\t".join([words[0], words[1], words[2], ",".join(merged), *(words[4:6] or ["0", "0"])])
        if place in there and merged == words[3].split(","):
            wanted[place] = next(
                line for line in file.read_text(encoding="utf-8").splitlines() if line.split() == words
            )
    return wanted


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "allowed": {"type": "list", "elements": "str"},
            "mounts": {"type": "dict"},
            "modules": {"type": "list", "elements": "str"},
            "seconds": {"type": "int", "default": 300},
            "walk": {"type": "bool", "default": True},
            "state": {"type": "path", "default": "/var/lib/tram/controls"},
        },
        supports_check_mode=True,
    )
    found, finished = walk(module) if module.params["walk"] else (set(), True)
    asked, left = modes(module, found)
    code, _, _ = module.run_command(["systemd-detect-virt", "--container", "--quiet"])
    inner = Path("/proc/sys/net/ipv4/conf")
    listed = Path("/proc/modules")
    in_kernel = {line.split()[0] for line in listed.read_text().splitlines()} if listed.exists() else set()
    module.exit_json(
        changed=False,
        container=code == 0,
        interfaces=sorted(path.name for path in inner.iterdir() if path.name not in ("all", "default")),
        fstab=fstab_lines(module),
        loaded=sorted(in_kernel & {name.replace("-", "_") for name in module.params["modules"] or []}),
        grub=Path("/etc/default/grub").exists() and Path("/boot/grub/grub.cfg").exists(),
        modes=asked,
        left=left,
        finished=finished,
    )


if __name__ == "__main__":
    main()
