#!/usr/bin/python
"""Ansible module: PAM's common stacks hold the profiles that are wanted, and let the operator through."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.control_things import replace

DOCUMENTATION = r"""
---
module: pam_stacks
short_description: PAM's common stacks hold the profiles that are wanted
description:
  - Has pam-auth-update compose /etc/pam.d/common-* in a room of its own and puts the results in place, so that whatever
    dies on the way leaves no stack half written. pam-auth-update takes a stack that does not fit its own notes for a
    change by hand and never touches it again; a run that was killed between the two, or /etc put back by a revert,
    would end there. So the notes that belong to each stack we have seen are kept, and laid beside it again.
  - Then it asks PAM and sudo whether the centre's account is let in. If not, what stood before is put back.
options:
  profiles: {description: Name to content of the profiles of ours that are wanted; others named tram-* go., type: dict}
  packaged: {description: Profiles of packages that are wanted; they are enabled when they are there., type: list}
  no_null: {description: Take the option nullok from pam_unix. What we took is put back when this is false., type: bool}
  operator: {description: The account that must be let in., type: str, required: true}
  state: {description: Where the notes are kept., type: path, default: /var/lib/tram/pam.json}
author: [Tram]
"""

EXAMPLES = r"""
- name: PAM's stacks say what the profiles say
  pam_stacks: {operator: tram, no_null: true, profiles: {}}
"""

RETURN = r"""
stacks: {description: Files that changed (or would)., type: list, returned: always}
"""

TYPES = ("auth", "account", "password", "session", "session-noninteractive")
IN_STACKS, IN_NOTES, IN_PROFILES = "etc/pam.d", "var/lib/pam", "usr/share/pam-configs"
STACKS, NOTES, PROFILES = Path("/", IN_STACKS), Path("/", IN_NOTES), Path("/", IN_PROFILES)
ROOT = {"uid": 0, "gid": 0}
UNIX = re.compile(r"^(\w+\s.*\bpam_unix\.so)[ \t]*(.*)$", re.MULTILINE)
DEBCONF = """\
Config: configdb
Templates: templatedb

Name: configdb
Driver: File
Filename: {room}/config.dat

Name: templatedb
Driver: File
Filename: {room}/templates.dat
"""


def fingerprint(text: str) -> str:
    """What a stack is known by."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def read(path: Path) -> str:
    """A file's text, nothing when it is not there."""
    return path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""


def without_null(stack: str) -> str:
    """A stack whose pam_unix takes no empty password."""
    return UNIX.sub(lambda m: f"{m[1]} {' '.join(word for word in m[2].split() if word != 'nullok')}", stack)


def with_null(stack: str) -> str:
    """A stack whose pam_unix takes empty passwords, as Debian writes it."""
    return UNIX.sub(lambda m: f"{m[1]} {' '.join(['nullok', *m[2].replace('nullok', '').split()])}", stack)


class Stacks:
    """The five stacks, the notes on them, and what we know of both."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.state = Path(module.params["state"])
        known = json.loads(read(self.state) or "{}")
        self.pairs: dict[str, dict[str, str]] = {kind: known.get("pairs", {}).get(kind, {}) for kind in TYPES}
        self.taken: list[str] = known.get("nullok", [])
        self.stacks = {kind: read(STACKS / f"common-{kind}") for kind in TYPES}
        self.notes = {kind: read(NOTES / kind) for kind in TYPES}
        self.seen = read(NOTES / "seen")
        # Files named so are ours alone: what is not wanted goes, whoever put it there and whenever.
        self.profiles = {path.name: read(path) for path in PROFILES.glob("tram-*")}

    def composed(self) -> tuple[dict[str, str], dict[str, str], str]:
        """Stacks, notes and names of profiles as they should be."""
        wanted: dict[str, str] = self.module.params["profiles"]
        start = dict(self.stacks)
        if not self.module.params["no_null"]:
            start |= {kind: with_null(start[kind]) for kind in self.taken}
        room = Path(tempfile.mkdtemp(prefix="tram-pam-"))
        try:
            for folder in (IN_STACKS, IN_NOTES, IN_PROFILES):
                (room / folder).mkdir(parents=True)
            for kind in TYPES:
                noted = self.pairs[kind].get(fingerprint(self.stacks[kind]), self.notes[kind])
                self._lay(room / IN_STACKS / f"common-{kind}", start[kind])
                self._lay(room / IN_NOTES / kind, noted)
            self._lay(room / IN_NOTES / "seen", self.seen)
            others = {path.name: read(path) for path in PROFILES.iterdir() if not path.name.startswith("tram-")}
            for name, text in {**others, **wanted}.items():
                self._lay(room / IN_PROFILES / name, text)
            enabled = [*wanted, *(name for name in self.module.params["packaged"] if name in others)]
            self._run(room, enabled)
            stacks = {kind: read(room / IN_STACKS / f"common-{kind}") for kind in TYPES}
            notes = {kind: read(room / IN_NOTES / kind) for kind in TYPES}
            seen = read(room / IN_NOTES / "seen")
        finally:
            shutil.rmtree(room, ignore_errors=True)
        if self.module.params["no_null"]:
            stacks = {kind: without_null(text) if "nullok" in text else text for kind, text in stacks.items()}
        missing = [name for name in enabled if not any(f"Module: {name}\n" in notes[kind] for kind in TYPES)]
        if missing or "pam_unix.so" not in stacks["auth"] or "pam_unix.so" not in stacks["account"]:
            self.module.fail_json(msg=f"pam-auth-update left out {', '.join(missing) or 'pam_unix'}; nothing changed")
        return stacks, notes, seen

    @staticmethod
    def _lay(path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")

    def _run(self, room: Path, enabled: list[str]) -> None:
        (room / "debconf.conf").write_text(DEBCONF.format(room=room), encoding="utf-8")
        told = {"DEBCONF_SYSTEMRC": str(room / "debconf.conf"), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        command = ["/usr/sbin/pam-auth-update", "--root", str(room), "--package"]
        command += ["--enable", *enabled] if enabled else []
        code, out, err = self.module.run_command(command, environ_update=told)
        if code != 0 or "Local modifications" in out + err:
            why = "were changed by hand in a way it cannot merge (pam-auth-update --force overwrites that)"
            said = why if code == 0 else (err or out).strip()[-300:]
            self.module.fail_json(msg=f"pam-auth-update: /etc/pam.d/common-*: {said}. Nothing was changed.")

    def install(self, stacks: dict[str, str], notes: dict[str, str], seen: str) -> None:
        """Put all in place; what belongs together is on the disk before the first of it is."""
        for kind in TYPES:
            # The oldest is the host's own: to that one every revert leads back.
            self.pairs[kind].setdefault(fingerprint(self.stacks[kind]), self.notes[kind])
            self.pairs[kind][fingerprint(stacks[kind])] = notes[kind]
            first, *rest = self.pairs[kind].items()
            self.pairs[kind] = dict([first, *rest[-7:]])
        if self.module.params["no_null"]:
            self.taken = sorted({*self.taken, *(kind for kind in TYPES if "nullok" in self.stacks[kind])})
        self._note({"pairs": self.pairs, "nullok": self.taken})
        # There before a stack names them, gone after none does: any pam-auth-update in between reads them.
        self._keep({**self.profiles, **self.module.params["profiles"]})
        self._put(stacks, notes, seen)
        self._keep(self.module.params["profiles"])
        if not self.module.params["no_null"] and self.taken:
            self._note({"pairs": self.pairs, "nullok": []})

    def _note(self, known: dict[str, Any]) -> None:
        self.state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(self.state, json.dumps(known).encode(), {**ROOT, "mode": "0600"})

    def _put(self, stacks: dict[str, str], notes: dict[str, str], seen: str) -> None:
        files = {NOTES / "seen": seen}
        files |= {NOTES / kind: notes[kind] for kind in TYPES}
        files |= {STACKS / f"common-{kind}": stacks[kind] for kind in TYPES}
        for path, text in files.items():
            if text != read(path):
                replace(path, text.encode(errors="surrogateescape"), {**ROOT, "mode": "0644"})

    @staticmethod
    def _keep(profiles: dict[str, str]) -> None:
        for name, text in profiles.items():
            if text != read(PROFILES / name):
                replace(PROFILES / name, text.encode(), {**ROOT, "mode": "0644"})
        for path in PROFILES.glob("tram-*"):
            if path.name not in profiles:
                path.unlink()

    def put_back(self) -> None:
        """As before this run."""
        self._keep({**self.module.params["profiles"], **self.profiles})
        self._put(self.stacks, self.notes, self.seen)
        self._keep(self.profiles)


class Conversation(ctypes.Structure):
    """struct pam_conv: nobody answers."""

    _fields_ = [("conv", ctypes.c_void_p), ("data", ctypes.c_void_p)]


def refused(service: str, account: str) -> str:
    """Why PAM's account phase does not let an account use a service; nothing when it does."""
    pam = ctypes.CDLL(ctypes.util.find_library("pam") or "libpam.so.0")
    handle = ctypes.c_void_p()
    nobody = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
        lambda *_: 19  # PAM_CONV_ERR
    )
    conversation = Conversation(ctypes.cast(nobody, ctypes.c_void_p), None)
    pam.pam_strerror.restype = ctypes.c_char_p
    code = pam.pam_start(service.encode(), account.encode(), ctypes.byref(conversation), ctypes.byref(handle))
    if code == 0:
        code = pam.pam_acct_mgmt(handle, 0)
    why = "" if code == 0 else str(pam.pam_strerror(handle, code).decode(errors="replace"))
    pam.pam_end(handle, code)
    return why


def locked_out(module: AnsibleModule, account: str) -> str:
    """Why the centre's account would not get in, or not become root."""
    for service in ("sshd", "sudo"):
        if (STACKS / service).is_file() and (why := refused(service, account)):
            return f"PAM ({service}) refuses {account}: {why}"
    code, _, err = module.run_command(["visudo", "-c"])
    if code != 0:
        return f"sudo's rules are wrong: {' '.join(err.split())[-300:]}"
    if account == "root":
        return ""
    code, out, err = module.run_command(["runuser", "-u", account, "--", "sudo", "-n", "id", "-u"], cwd="/")
    return "" if (code, out.strip()) == (0, "0") else f"sudo refuses {account}: {(err or out).strip()[-300:]}"


def main() -> None:
    """Compose, compare, put in place, prove."""
    module = AnsibleModule(
        argument_spec={
            "profiles": {"type": "dict", "default": {}},
            "packaged": {"type": "list", "elements": "str", "default": []},
            "no_null": {"type": "bool", "default": False},
            "operator": {"type": "str", "required": True},
            "state": {"type": "path", "default": "/var/lib/tram/pam.json"},
        },
        supports_check_mode=True,
    )
    os.umask(0o077)
    stacks = Stacks(module)
    wanted, notes, seen = stacks.composed()
    changed = [f"/etc/pam.d/common-{kind}" for kind in TYPES if wanted[kind] != stacks.stacks[kind]]
    due = bool(changed) or (notes, seen) != (stacks.notes, stacks.seen)
    due = due or stacks.profiles != module.params["profiles"]
    if module.check_mode:
        module.exit_json(changed=due, stacks=changed)
    if due:
        stacks.install(wanted, notes, seen)
    if why := locked_out(module, module.params["operator"]):
        if due:
            stacks.put_back()
        module.fail_json(msg=f"{why}. {'PAM was put back as it was.' if due else 'PAM was not changed.'}")
    module.exit_json(changed=due, stacks=changed)


if __name__ == "__main__":
    main()
