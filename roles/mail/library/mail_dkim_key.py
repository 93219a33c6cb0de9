#!/usr/bin/python
"""Ansible module: the DKIM keys a signing host holds, and the public records that belong in DNS."""

from __future__ import annotations

import grp
import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: mail_dkim_key
short_description: DKIM private keys made once, public records returned
description:
  - One RSA key a domain, made on the host that signs and never leaving it. An existing key is kept as it is - a new one
    would make every message on its way fail until DNS has followed.
options:
  directory: {description: Where the keys live; made when missing., type: path, required: true}
  domains: {description: Domains this host signs for., type: list, elements: str, required: true}
  selector: {description: DKIM selector; the key's file is DOMAIN.SELECTOR.key., type: str, required: true}
  group: {description: Group of the signing daemon; it may read but not change., type: str, required: true}
  bits: {description: RSA key length., type: int, default: 2048}
author: [Tram]
"""

EXAMPLES = r"""
- name: DKIM keys
  mail_dkim_key:
    directory: /var/lib/rspamd/dkim
    domains: [tinh.example]
    selector: tram
    group: _rspamd
  register: keys
"""

RETURN = r"""
records: {description: 'Domain to its TXT record (v=DKIM1; k=rsa; p=...).', type: dict, returned: always}
made: {description: Domains whose key was made now., type: list, returned: always}
"""


def secure(path: Path, mode: int, gid: int) -> bool:
    """Give a path to root and the signing group; say whether that changed anything."""
    stat = path.stat()
    wrong = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) != (0, gid, mode)
    if wrong:
        os.chown(path, 0, gid)
        path.chmod(mode)
    return wrong


def make_key(module: AnsibleModule, path: Path, bits: int) -> None:
    """Write a new private key; it appears under its name only when it is whole and on the disk."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    os.close(handle)
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", temporary]
    code, _, err = module.run_command(command)
    if code != 0:
        Path(temporary).unlink()
        module.fail_json(msg=f"{path}: openssl made no key: {err.strip()}")
    with Path(temporary).open("rb") as key:
        os.fsync(key.fileno())
    Path(temporary).rename(path)


def public_record(module: AnsibleModule, path: Path) -> str:
    """Return the TXT record of a private key (RFC 6376 section 3.6.1)."""
    code, out, err = module.run_command(["openssl", "pkey", "-in", str(path), "-pubout"])
    if code != 0:
        module.fail_json(msg=f"{path}: openssl reads no private key: {err.strip()}. Move it away and run again.")
    return "v=DKIM1; k=rsa; p=" + "".join(line for line in out.splitlines() if not line.startswith("-----"))


def main() -> None:
    """Make what is missing, mend owners and modes, return the records."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "domains": {"type": "list", "elements": "str", "required": True},
            "selector": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "bits": {"type": "int", "default": 2048},
        },
        supports_check_mode=True,
    )
    directory, group = Path(module.params["directory"]), module.params["group"]
    selector = module.params["selector"]
    paths = {domain: directory / f"{domain}.{selector}.key" for domain in module.params["domains"]}
    missing = [domain for domain, path in paths.items() if not path.exists()]
    if module.check_mode:
        records = {} if missing else {domain: public_record(module, path) for domain, path in paths.items()}
        module.exit_json(changed=bool(missing), made=missing, records=records)

    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        module.fail_json(msg=f"there is no group {group} here: install the signing daemon first")
    changed = not directory.is_dir()
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    changed |= secure(directory, 0o750, gid)
    for domain in missing:
        make_key(module, paths[domain], module.params["bits"])
    for path in paths.values():
        changed |= secure(path, 0o640, gid)
    records = {domain: public_record(module, path) for domain, path in paths.items()}
    module.exit_json(changed=changed or bool(missing), made=missing, records=records)


if __name__ == "__main__":
    main()
