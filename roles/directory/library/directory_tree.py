#!/usr/bin/python
"""Ansible module: entries of a directory that must be there, in one look and one change."""

from __future__ import annotations

import base64

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: directory_tree
short_description: Entries of a directory that must be there, in one look and one change
description:
  - Reads all entries but people by the local socket as root, and adds or mends what differs by one ldapmodify.
    Attributes that are not named, and entries that are not named, are left alone. Nothing is ever deleted.
options:
  base: {description: Where to look., type: str, required: true}
  entries: {description: 'In the order to add them: dn and attributes (name to values).', type: list, elements: dict,
            required: true}
author: [Tram]
"""

EXAMPLES = r"""
- name: A branch
  directory_tree:
    base: dc=tinh,dc=example
    entries:
      - {dn: 'ou=groups,dc=tinh,dc=example', attributes: {objectClass: [organizationalUnit], ou: [groups]}}
"""

RETURN = r"""
added: {description: Names of entries that were not there., type: list}
mended: {description: Names of entries that were otherwise., type: list}
"""

SOCKET = ["-Q", "-Y", "EXTERNAL", "-H", "ldapi:///"]
Entry = dict[str, set[str]]


def parse(ldif: str) -> dict[str, Entry]:
    """Read unwrapped LDIF: entries by their name in small letters, attributes likewise."""
    found: dict[str, Entry] = {}
    for block in ldif.split("\n\n"):
        entry: Entry = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if not colon or line.startswith("#"):
                continue
            text = base64.b64decode(value[1:]).decode(errors="replace") if value.startswith(":") else value.strip()
            entry.setdefault(name.lower(), set()).add(text)
        if "dn" in entry:
            found[entry.pop("dn").pop().lower()] = entry
    return found


def written(name: str, value: str) -> str:
    """One line of LDIF; in base64, so that no value can be more than a value."""
    return f"{name}:: {base64.b64encode(value.encode()).decode()}\n"


def addition(dn: str, attributes: dict[str, list[str]]) -> str:
    """The change that adds an entry."""
    lines = [written(name, str(value)) for name, values in attributes.items() for value in values]
    return written("dn", dn) + "changetype: add\n" + "".join(lines) + "\n"


def mending(dn: str, attributes: dict[str, list[str]], there: Entry) -> str:
    """The change that gives an entry these values; nothing when it has them. What it is (objectClass) stays."""
    parts = []
    for name, values in attributes.items():
        if name == "objectClass" or there.get(name.lower(), set()) == {str(value) for value in values}:
            continue
        parts.append(f"replace: {name}\n" + "".join(written(name, str(value)) for value in values) + "-\n")
    return written("dn", dn) + "changetype: modify\n" + "".join(parts) + "\n" if parts else ""


def main() -> None:
    """Look, compare, change."""
    module = AnsibleModule(
        argument_spec={
            "base": {"type": "str", "required": True},
            "entries": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
        # The values hold hashes of passwords.
        no_log=True,
    )
    base = module.params["base"]
    look = ["ldapsearch", *SOCKET, "-LLL", "-o", "ldif-wrap=no", "-b", base, "(!(objectClass=tramPerson))"]
    code, out, err = module.run_command([*look, "*", "pwdPolicySubentry"])
    # 32: there is nothing yet.
    if code not in (0, 32) and not module.check_mode:
        module.fail_json(msg=f"the directory does not answer: {err.strip()}; see: journalctl -u slapd")
    there = parse(out)
    added, mended, changes = [], [], ""
    for entry in module.params["entries"]:
        dn, attributes = entry["dn"], entry["attributes"]
        if dn.lower() not in there:
            added.append(dn)
            changes += addition(dn, attributes)
        elif change := mending(dn, attributes, there[dn.lower()]):
            mended.append(dn)
            changes += change
    if changes and not module.check_mode:
        code, _, err = module.run_command(["ldapmodify", *SOCKET], data=changes)
        if code != 0:
            module.fail_json(msg=f"the directory refused a change: {err.strip()}")
    module.exit_json(changed=bool(changes), added=added, mended=mended)


if __name__ == "__main__":
    main()
