#!/usr/bin/python
"""Ansible module: what the accounts of a host ask of a policy, told as settings of the module `control`."""

from __future__ import annotations

import grp
import json
import pwd
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: accounts_look
short_description: What the accounts of a host ask of a policy
description:
  - Reads the account files and sudo's rules and tells, per control, the fields, lines and rights that would have to be
    other than they are. What a control manages already is told again, so that it goes on being so. Changes nothing.
options:
  operator: {description: The centre's account, of which nothing is asked., type: str, required: true}
  shells: {description: Accounts of services that may keep their shell., type: list, elements: str, default: []}
  powerful: {description: Members that groups equal to root may keep., type: list, elements: str, default: []}
  nopasswd: {description: Accounts that may use sudo without a password., type: list, elements: str, default: []}
  su_group: {description: Group whose members may use su., type: str, required: true}
  ageing: {description: Field of shadow(5) to its value, of people who have a password., type: dict, required: true}
  state: {description: Where the module control keeps its records., type: path, default: /var/lib/tram/controls}
author: [Tram]
"""

EXAMPLES = r"""
- name: Look at accounts and sudo's rules
  accounts_look: {operator: tram, su_group: sugroup, ageing: {3: 1, 4: 365, 5: 14, 6: 45}}
"""

RETURN = r"""
fields: {description: Control to the fields of account files it asks for., type: dict, returned: always}
lines: {description: Control to the lines it asks for., type: dict, returned: always}
rights: {description: Control to the rights of paths it asks for., type: dict, returned: always}
open: {description: Accounts whose password is empty or stands in passwd., type: list, returned: always}
old: {description: Accounts left alone because they would end at once., type: list, returned: always}
uid0: {description: Accounts that are root by another name., type: list, returned: always}
groups: {description: Groups that are there., type: list, returned: always}
debian: {description: Which Debian it is., type: int, returned: always}
"""

EQUAL_TO_ROOT = ("disk", "shadow", "docker", "lxd", "incus-admin")
NO_SHELL = ("/nologin", "/false", "/sync", "/shutdown", "/halt")
LAST_CHANGE, MAX_DAYS, INACTIVE = 2, 4, 6


def entries(path: str, count: int) -> list[list[str]]:
    """The entries of an account file, those that have this many fields."""
    file = Path(path)
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.is_file() else ""
    return [fields for line in text.splitlines() if len(fields := line.split(":")) >= count]


class Look:
    """One look at a host."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.passwd = entries("/etc/passwd", 7)
        self.shadow = entries("/etc/shadow", 9)

    def recorded(self, control: str) -> list[str]:
        """What a control manages already, by its keys."""
        path = Path(self.asked["state"]) / f"{control}.json"
        return list(json.loads(path.read_text(encoding="utf-8"))["before"]) if path.is_file() else []

    def service_shells(self) -> list[dict[str, Any]]:
        """Shells of accounts that nobody logs in to."""
        kept = {*self.asked["shells"], self.asked["operator"], "root"}
        managed = self.recorded("account-no-service-shell")
        return [
            {"path": "/etc/passwd", "entry": name, "field": 6, "value": "/usr/sbin/nologin"}
            for name, _, uid, *_, shell in self.passwd
            if 0 < int(uid) < 1000
            and name not in kept
            and (not shell.endswith(NO_SHELL) or f"field:/etc/passwd:{name}:6" in managed)
        ]

    def powerful_groups(self) -> list[dict[str, Any]]:
        """Groups that are root by another name, with whoever may stay."""
        return [
            {"path": path, "entry": fields[0], "field": 3, "value": ",".join(self._staying(fields[3]))}
            for path in ("/etc/group", "/etc/gshadow")
            for fields in entries(path, 4)
            if fields[0] in EQUAL_TO_ROOT
        ]

    def _staying(self, members: str) -> list[str]:
        return [name for name in members.split(",") if name in self.asked["powerful"]]

    def ageing(self) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
        """How long passwords of people last; and whose would have ended before the next login."""
        people = {name for name, _, uid, *_, shell in self.passwd if int(uid) >= 1000 and not shell.endswith(NO_SHELL)}
        managed = {*self.recorded("password-age"), *self.recorded("account-inactive")}
        wanted = {int(field): str(value) for field, value in self.asked["ageing"].items()}
        told: dict[str, list[dict[str, Any]]] = {"password-age": [], "account-inactive": []}
        old = []
        for fields in self.shadow:
            name, password = fields[0], fields[1]
            if name == self.asked["operator"] or name not in people or not password or password[0] in "!*":
                continue
            days = time.time() / 86400 - int(fields[LAST_CHANGE] or 0)
            ended = days > int(wanted[MAX_DAYS]) + int(wanted[INACTIVE])
            if ended and f"field:/etc/shadow:{name}:{MAX_DAYS}" not in managed:
                old.append(name)
                continue
            for field, value in wanted.items():
                item = {"path": "/etc/shadow", "entry": name, "field": field, "value": value}
                told["account-inactive" if field == INACTIVE else "password-age"].append(item)
        # A key needs no password, but PAM refuses an account whose password is past its age.
        for field in (MAX_DAYS, INACTIVE):
            item = {"path": "/etc/shadow", "entry": self.asked["operator"], "field": field}
            told["account-inactive" if field == INACTIVE else "password-age"].append(
                item | {"value": "" if field == INACTIVE else "99999"}
            )
        return told, old

    def sudo_lines(self) -> list[dict[str, Any]]:
        """Rules that ask for no password, asking for one; `!authenticate`, gone."""
        allowed = {*self.asked["nopasswd"], self.asked["operator"], "root"}
        found = []
        for path in self.sudo_files():
            for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
                who, is_rule, rest = line.partition("=")
                if re.match(r"\s*Defaults\b.*!\s*authenticate\b", line) and not self._bound_to(line, allowed):
                    found.append({"path": str(path), "match": f"^{re.escape(line)}$"})
                elif line.lstrip()[:1] not in ("#", "@") and is_rule and re.search(r"(NO)?PASSWD\s*:", rest):
                    match = re.sub("(NO)?PASSWD", "(NO)?PASSWD", re.escape(line))
                    ours = f"line:{path}:^{match}$" in self.recorded("sudo-nopasswd")
                    if ("NOPASSWD" in rest or ours) and not set(re.split(r"\s*,\s*", who.split()[0])) <= allowed:
                        item = {"path": str(path), "match": f"^{match}$", "line": line.replace("NOPASSWD", "PASSWD")}
                        found.append(item)
        there = {(item["path"], item["match"]) for item in found}
        for key in self.recorded("sudo-nopasswd"):
            _, path_of, match = key.split(":", 2)
            if (path_of, match) not in there and "authenticate" in match:
                found.append({"path": path_of, "match": match, "if_there": True})
        return found

    @staticmethod
    def _bound_to(line: str, allowed: set[str]) -> bool:
        bound = re.match(r"\s*Defaults:(\S+)", line)
        return bound is not None and set(bound.group(1).split(",")) <= allowed

    @staticmethod
    def sudo_files() -> list[Path]:
        """The files sudo reads, as a rule."""
        folder = Path("/etc/sudoers.d")
        more = [path for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []
        whole = [path for path in more if "." not in path.name and not path.name.endswith("~")]
        return [path for path in [Path("/etc/sudoers"), *whole] if path.is_file()]

    def su_group(self) -> list[dict[str, Any]]:
        """The group whose members may use su, as it is or new."""
        name = self.asked["su_group"]
        gids = {int(fields[2]): fields for fields in entries("/etc/group", 4)}
        free = next(gid for gid in range(999, 99, -1) if gid not in gids)
        there = next((":".join(fields) for fields in gids.values() if fields[0] == name), f"{name}:x:{free}:")
        hidden = next((":".join(fields) for fields in entries("/etc/gshadow", 4) if fields[0] == name), f"{name}:!::")
        return [
            {"path": "/etc/group", "match": f"^{re.escape(name)}:", "line": there},
            {"path": "/etc/gshadow", "match": f"^{re.escape(name)}:", "line": hidden},
        ]

    def homes(self) -> list[dict[str, Any]]:
        """Homes that people own, with nothing for others."""
        found = {}
        for name, _, uid, _, _, home, shell in self.passwd:
            if (int(uid) >= 1000 or name == "root") and not shell.endswith(NO_SHELL) and Path(home).is_dir():
                there = Path(home).stat()
                if there.st_uid != int(uid):
                    continue  # "/" or /var/www: not that person's alone
                mode = stat.S_IMODE(there.st_mode) & (0o700 if name == "root" else 0o750)
                found[home] = {"path": home, "mode": f"{mode:04o}", "if_there": True}
                found |= {item["path"]: item for item in self._dot_files(Path(home), int(uid))}
        return list(found.values())

    def _dot_files(self, home: Path, uid: int) -> Iterator[dict[str, Any]]:
        """A person's files of settings that others may read or change; no link, and no second name of another file."""
        managed = self.recorded("file-homes")
        for path in sorted(home.glob(".[!.]*")):
            file = path.lstat()
            if not stat.S_ISREG(file.st_mode) or file.st_uid != uid or file.st_nlink > 1:
                continue
            mode = stat.S_IMODE(file.st_mode)
            if mode & ~0o740 or f"rights:{path}" in managed:
                yield {"path": str(path), "mode": f"{mode & 0o740:04o}", "if_there": True}


def main() -> None:
    """Look, and tell."""
    module = AnsibleModule(
        argument_spec={
            "operator": {"type": "str", "required": True},
            "shells": {"type": "list", "elements": "str", "default": []},
            "powerful": {"type": "list", "elements": "str", "default": []},
            "nopasswd": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "su_group": {"type": "str", "required": True},
            "ageing": {"type": "dict", "required": True},
            "state": {"type": "path", "default": "/var/lib/tram/controls"},
        },
        supports_check_mode=True,
    )
    look = Look(module.params)
    ageing, old = look.ageing()
    unshadowed = [fields[0] for fields in look.passwd if fields[1] != "x"]
    module.exit_json(
        changed=False,
        fields={
            "account-no-service-shell": look.service_shells(),
            "account-powerful-groups": look.powerful_groups(),
            **ageing,
        },
        lines={"sudo-nopasswd": look.sudo_lines(), "su-restricted": look.su_group()},
        rights={
            "file-homes": look.homes(),
            "file-sudoers": [
                {"path": str(path), "mode": "0440", "if_there": True}
                for path in look.sudo_files()
                if not path.name.startswith("20-tram-")
            ],
        },
        open=[fields[0] for fields in look.shadow if not fields[1]] + unshadowed,
        old=old,
        uid0=[user.pw_name for user in pwd.getpwall() if user.pw_uid == 0 and user.pw_name != "root"],
        groups=[group.gr_name for group in grp.getgrall()],
        debian=int(Path("/etc/debian_version").read_text(encoding="ascii").partition(".")[0]),
    )


if __name__ == "__main__":
    main()
