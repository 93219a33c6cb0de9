#!/usr/bin/python
"""Ansible module: mounts that have their options now, as /etc/fstab gives them at the next boot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: kernel_mounts
short_description: Mount points with the options they shall have, in effect
description:
  - Compares what is mounted with what is asked for and mounts again what differs, without unmounting anything.
  - What is no mount point yet is mounted as /etc/fstab says.
  - A mount of O(off) loses the options that /etc/fstab does not give it; a directory bound to itself goes.
options:
  mounts: {description: Mount points to their options., type: dict, default: {}}
  off: {description: Mount points to the options they are no longer to have., type: dict, default: {}}
author: [Tram]
"""

EXAMPLES = r"""
- name: Nothing in /tmp is executed
  kernel_mounts:
    mounts: {/tmp: [nosuid, nodev, noexec]}
"""

RETURN = r"""
mounted: {description: Mount points that were changed., type: list, returned: always}
"""

PER_MOUNT = ("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime")


def look(module: AnsibleModule, place: str) -> dict[str, Any] | None:
    """What is mounted there, the topmost of several; None when nothing is."""
    asked = ["findmnt", "-rno", "FSTYPE,FSROOT,VFS-OPTIONS,FS-OPTIONS", "--mountpoint", place]
    code, out, _ = module.run_command(asked)
    if code != 0 or not out.strip():
        return None
    kind, root, vfs, *own = out.strip().splitlines()[-1].split()
    vfs_options = vfs.split(",")
    return {"root": root, "type": kind, "vfs": vfs_options, "all": [*vfs_options, *",".join(own).split(",")]}


def in_fstab(place: str) -> list[str] | None:
    """Options /etc/fstab gives it; None when it does not know it."""
    for line in Path("/etc/fstab").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) >= 4 and not words[0].startswith("#") and words[1] == place:
            return words[3].split(",")
    return None


def command(now: dict[str, Any] | None, place: str, options: list[str]) -> list[str] | None:
    """The mount that is needed so that a mount point has its options; None when it has them."""
    if now is None:
        return ["mount", place]
    missing = [option for option in options if option not in now["all"]]
    if not missing:
        return None
    if any(option not in PER_MOUNT for option in missing):
        return ["mount", "-o", ",".join(["remount", *now["vfs"], *missing]), place]
    kept = [option for option in now["vfs"] if option in PER_MOUNT]
    return ["mount", "-o", ",".join(["remount", "bind", *kept, *missing]), place]


def command_off(now: dict[str, Any] | None, place: str, options: list[str]) -> list[str] | None:
    """What takes it back to what /etc/fstab says."""
    if now is None:
        return None
    given = in_fstab(place)
    if given is None and now["root"] == place:
        return ["umount", "--lazy", place]
    if place == "/proc":
        return ["mount", "-o", "remount,hidepid=off", place] if "hidepid=invisible" in now["all"] else None
    usual = given if given is not None else ["nosuid", "nodev"]  # systemd's own for its tmpfs
    extra = [option for option in options if option in now["vfs"] and option not in usual]
    if not extra:
        return None
    kept = [option for option in now["vfs"] if option in PER_MOUNT and option not in extra]
    # Said outright: mount(8) would take what is not said from /etc/fstab, or from the mount as it is.
    options = ["remount", "bind", *kept, *(option.removeprefix("no") for option in extra)]
    return ["mount", "-o", ",".join(options), place]


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"mounts": {"type": "dict", "default": {}}, "off": {"type": "dict", "default": {}}},
        supports_check_mode=True,
    )
    changed = []
    for asked, needed in ((module.params["mounts"], command), (module.params["off"], command_off)):
        for place, options in asked.items():
            todo = needed(look(module, place), place, options)
            if todo is None:
                continue
            changed.append(place)
            if module.check_mode:
                continue
            code, out, err = module.run_command(todo)
            if code != 0:
                module.fail_json(msg=f"{' '.join(todo)}: {(err or out).strip()}")
            # A directory that was just bound to itself still has the flags of the disk it is on.
            if (again := needed(look(module, place), place, options)) and needed is command:
                module.run_command(again, check_rc=True)
    module.exit_json(changed=bool(changed), mounted=changed)


if __name__ == "__main__":
    main()
