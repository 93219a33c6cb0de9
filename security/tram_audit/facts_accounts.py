"""Who may log in, how passwords are checked, who may become root."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tram_audit.settings import Settings, gather

_NO_LOGIN = ("/nologin", "/false", "/sync", "/shutdown", "/halt")
_PAM_LINE = re.compile(r"-?(\w+)\s+(\[[^\]]*\]|\w+)\s+(\S+)\s*(.*)")


def accounts(text: str) -> Settings:
    """Accounts and shadow states: "login ana" → its shell; "password ana" → locked, set or empty; "scheme ana" …"""
    found: list[tuple[str, str]] = []
    uids: dict[str, list[str]] = {}
    for kind, *rest in (line.split() for line in text.splitlines() if line.strip()):
        if kind == "user" and len(rest) >= 5:
            name, uid, shell = rest[0], int(rest[1]), rest[-1]
            uids.setdefault(rest[1], []).append(name)
            if uid == 0 and name != "root":
                found.append((f"uid0 {name}", "0"))
            if not shell.endswith(_NO_LOGIN):
                found.append((f"{'person' if uid >= 1000 or uid == 0 else 'service'} {name}", shell))
        elif kind == "shadow" and len(rest) >= 3:
            found.append((f"password {rest[0]}", rest[1]))
            if rest[1] == "set":
                found.append((f"scheme {rest[0]}", rest[2]))
                found.append((f"max_days {rest[0]}", rest[3]))
        elif kind == "unshadowed":
            found.append((f"unshadowed {rest[0]}", "in /etc/passwd"))
        elif kind == "group":
            found += [(f"group {rest[0]} {member}", "member") for member in ",".join(rest[1:]).split(",") if member]
        elif kind == "sudoers":
            found.append(("sudoers", rest[0]))
        elif kind in ("login", "shell", "useradd") and len(rest) == 2:
            found.append((f"{kind} {rest[0]}", rest[1]))
    found += [(f"uid_twice {uid}", ", ".join(names)) for uid, names in uids.items() if len(names) > 1]
    if not uids:
        raise ValueError("no accounts")
    return gather(found)


def pam(text: str) -> Settings:
    """The stacks with every include resolved: "sshd auth" → "control module arguments", line by line, in order; and
    the settings of pam_faillock and pam_pwquality as "faillock deny" …, arguments in a stack over their files."""
    lines: dict[str, list[str]] = {}
    found: list[tuple[str, str]] = []
    given: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("@"):
            file, key, value = [*line[1:].split(maxsplit=2), "", ""][:3]
            given[f"{file} {key}"] = value.strip()
            continue
        service, _, rest = line.partition(":")
        lines.setdefault(service, []).append(rest.strip())
    for service in lines:
        if service.startswith("common-"):
            continue
        asked: list[str] = []  # modules of auth so far
        for kind, control, module, arguments in _resolved(service, lines, ()):
            short = module.rsplit("/", 1)[-1].removesuffix(".so")
            # Who comes so far was asked, and whoever failed is gone: there it only clears the count of failures.
            if (control, short, arguments) == ("sufficient", "pam_faillock", "authsucc") and _denied(asked):
                control = "sufficient-once-asked"  # noqa: PLW2901
            if kind == "auth":
                asked.append(f"{control} {short}")
            found.append((f"{service} {kind}", f"{control} {short} {arguments}".strip()))
            if short in ("pam_faillock", "pam_pwquality", "pam_pwhistory"):
                given |= {
                    f"{short.removeprefix('pam_')} {key}": value
                    for key, _, value in (word.partition("=") for word in arguments.split())
                    if value
                }
    if not found:
        raise ValueError("no stack")
    return gather([*found, *given.items()])


def _denied(asked: list[str]) -> bool:
    """Whether these lines have a password asked for, and end for whoever did not know it."""
    unix = next((at for at, line in enumerate(asked) if line.endswith(" pam_unix")), len(asked))
    return "requisite pam_deny" in asked[unix:]


def _resolved(
    service: str, lines: dict[str, list[str]], inside: tuple[str, ...]
) -> Iterator[tuple[str, str, str, str]]:
    if service in inside or len(inside) > 8:
        return
    for line in lines.get(service, []):
        if line.startswith("@include"):
            yield from _resolved(line.split()[1], lines, (*inside, service))
        elif match := _PAM_LINE.match(line):
            kind, control, module, arguments = match.groups()
            if control in ("include", "substack"):
                yield from (entry for entry in _resolved(module, lines, (*inside, service)) if entry[0] == kind)
            else:
                yield kind, control, module, arguments.partition("#")[0].strip()


def sudo(text: str) -> Settings:
    """sudo's rules as it reads them: "nopasswd ana" → commands; "default use_pty" → True; what is set for some only is
    "default noexec for ana" …"""
    rules: dict[str, Any] = json.loads(text)
    found: list[tuple[str, str]] = []
    for entry in rules.get("Defaults", []):
        bound = "".join(f" for {_who(one)}" for one in entry.get("Binding", []))
        for option in entry.get("Options", []):
            for key, value in option.items():
                if isinstance(value, bool):  # the last one counts (sudoers(5))
                    found = [one for one in found if one[0] != f"default {key}{bound}"]
                found.append((f"default {key}{bound}", str(value)))
    for rule in rules.get("User_Specs", []):
        who = [_who(user) for user in rule.get("User_List", [])]
        for spec in rule.get("Cmnd_Specs", []):
            options = {key: value for option in spec.get("Options", []) for key, value in option.items()}
            listed = spec.get("Commands", [])
            commands = [("!" if one.get("negated") else "") + str(one.get("command", "?")) for one in listed]
            for name in who:
                if options.get("authenticate") is False:
                    found.append((f"nopasswd {name}", ", ".join(commands)))
                if "ALL" in commands:
                    found.append((f"everything {name}", ", ".join(commands)))
                found += [(f"negated {name}", command) for command in commands if command.startswith("!")]
    return gather(found)


def _who(user: dict[str, Any]) -> str:
    if "usergroup" in user:
        return f"%{user['usergroup']}"
    return str(user.get("username") or user.get("useralias") or next(iter(user.values()), "?"))
