#!/usr/bin/python
"""Ansible module: use a directory server as people and strangers do, and say what was seen."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: directory_probe
short_description: Use a directory server as people and strangers do
description:
  - C(make) adds a person for the proof at the provider, C(remove) takes him away, both by the local socket. C(use)
    binds as him over verified TLS, and tries what must be refused. Without a person only strangers
    and the server itself are tried.
options:
  step: {description: What to do., type: str, required: true, choices: [make, use, remove]}
  base: {description: Top of the tree., type: str, required: true}
  person: {description: Name (DN) of the person., type: str, default: ''}
  agency: {description: Code of his agency., type: str, default: ''}
  password: {description: His password., type: str, default: ''}
  server: {description: 'Name of the server, as in its certificate.', type: str, default: ''}
  ca_file: {description: The province's CA., type: path, default: ''}
  within: {description: Seconds a change may take to come from the provider., type: int, default: 60}
  attempts: {description: Wrong passwords that must lock., type: int, default: 10}
author: [Tram]
"""

EXAMPLES = r"""
- name: Strangers are refused
  directory_probe: {step: use, base: 'dc=tinh,dc=example', server: hub1.tinh.example, ca_file: /etc/ssl/tram/ca.crt}
"""

RETURN = r"""
proofs: {description: What was seen., type: list}
"""

SOCKET = ["-Q", "-Y", "EXTERNAL", "-H", "ldapi:///"]
WRONG = 49
"""LDAP: invalid credentials; the answer to a wrong password, to a locked account and to a disabled one alike."""


class Probe:
    """The server under test and what was seen of it."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.params = module, module.params
        self.environment = {"LDAPTLS_CACERT": self.params["ca_file"], "LDAPTLS_REQCERT": "demand"}
        self.proofs: list[str] = []
        self.wrong: list[str] = []

    def prove(self, what: str, seen: bool) -> None:
        """Note it."""
        (self.proofs if seen else self.wrong).append(what)

    def ask(self, program: str, *rest: str, password: str | None = None) -> tuple[int, str]:
        """Ask over TLS, as the person when there is a password, which goes by a file only root can read."""
        command = [program, "-x", "-H", f"ldaps://{self.params['server']}:636", "-o", "nettimeout=15"]
        if password is None:
            code, out, err = self.module.run_command([*command, *rest], environ_update=self.environment)
            return code, out + err
        handle, name = tempfile.mkstemp()
        with os.fdopen(handle, "w") as file:
            file.write(password)
        try:
            whole = [*command, "-D", self.params["person"], "-y", name, *rest]
            code, out, err = self.module.run_command(whole, environ_update=self.environment)
        finally:
            Path(name).unlink()
        return code, out + err

    def bind(self, password: str) -> int:
        """Log in as the person; the LDAP result."""
        return self.ask("ldapwhoami", password=password)[0]


def encoded(name: str, value: str) -> str:
    return f"{name}:: {base64.b64encode(value.encode()).decode()}\n"


def change(module: AnsibleModule, program: str, ldif: str, *rest: str) -> int:
    """Change something at the provider as root; the LDAP result."""
    code: int = module.run_command([program, *SOCKET, *rest], data=ldif)[0]
    return code


def make(module: AnsibleModule) -> None:
    """Add the person, anew when an earlier proof was cut off."""
    person, agency = module.params["person"], module.params["agency"]
    uid = person.split(",")[0].removeprefix("uid=")
    values = {
        "cn": "Người Kiểm Tra",
        "sn": "Người",
        "givenName": "Kiểm Tra",
        "mail": f"{uid}@{agency}.invalid",
        "employeeNumber": f"{uid}-{agency}",
        "tramAgency": agency,
        "tramState": "active",
        "userPassword": module.params["password"],
    }
    lines = "objectClass: inetOrgPerson\nobjectClass: tramPerson\n" + encoded("uid", uid)
    ldif = encoded("dn", person) + lines + "".join(encoded(name, value) for name, value in values.items())
    change(module, "ldapdelete", person + "\n")
    code = change(module, "ldapadd", ldif)
    if code != 0:
        module.fail_json(msg=f"the provider does not take a person (LDAP result {code})")


def strangers(probe: Probe) -> None:
    """What nobody may."""
    base = probe.params["base"]
    code, said = probe.ask("ldapsearch", "-b", base)
    probe.prove("anonymous reading refused", code != 0 and "dn:" not in said)
    code, said = probe.ask("ldapsearch", "-s", "base", "-b", "")
    probe.prove("anonymous reading of the root refused", code != 0 and "dn:" not in said)
    plain = probe.module.run_command(
        ["ldapwhoami", "-x", "-H", f"ldap://{probe.params['server']}", "-o", "nettimeout=5"]
    )
    probe.prove("no port without TLS", plain[0] not in (0, 13))


def people(probe: Probe) -> None:
    """What a person may, and may not."""
    password, base, person = probe.params["password"], probe.params["base"], probe.params["person"]
    begin = time.monotonic()
    while (code := probe.bind(password)) != 0 and time.monotonic() - begin < probe.params["within"]:
        time.sleep(1)
    probe.prove(f"a person made at the hub logs in after {time.monotonic() - begin:.0f} s", code == 0)
    probe.prove("a wrong password is refused", probe.bind(password + "x") == WRONG)
    _, all_seen = probe.ask("ldapsearch", "-LLL", "-b", base, "(objectClass=*)", "*", "+", password=password)
    names = ("userPassword:", "pwdHistory:", "pwdAccountLockedTime:")
    probe.prove("no password can be read", "dn:" in all_seen and not any(name in all_seen for name in names))
    not_he = f"(&(objectClass=tramPerson)(!(entryDN={person})))"
    _, others = probe.ask("ldapsearch", "-LLL", "-b", base, not_he, "employeeNumber", "tramState", password=password)
    probe.prove("no employee code of others", "employeeNumber" not in others and "tramState" not in others)
    for number in range(probe.params["attempts"]):
        probe.bind(f"wrong password {number}")
    probe.prove("wrong passwords lock the account", probe.bind(password) == WRONG)


def in_step(probe: Probe) -> None:
    """A replica has what the hub has; a hub that is away is no fault of the replica's."""
    begin = time.monotonic()
    while True:
        code, out, err = probe.module.run_command(["/usr/local/bin/tram-directory-status"])
        status: dict[str, Any] = json.loads(out) if out.startswith("{") else {"error": err}
        if status.get("in_step") is not False or time.monotonic() - begin > probe.params["within"]:
            break
        time.sleep(1)
    probe.prove(f"in step with the hub: {status.get('in_step')}", code == 0 and status.get("in_step") is not False)


def main() -> None:
    """Do one step."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": ["make", "use", "remove"]},
            "base": {"type": "str", "required": True},
            "person": {"type": "str", "default": ""},
            "agency": {"type": "str", "default": ""},
            "password": {"type": "str", "default": "", "no_log": True},
            "server": {"type": "str", "default": ""},
            "ca_file": {"type": "path", "default": ""},
            "within": {"type": "int", "default": 60},
            "attempts": {"type": "int", "default": 10},
        },
        supports_check_mode=False,
    )
    probe = Probe(module)
    if module.params["step"] == "make":
        make(module)
    elif module.params["step"] == "remove":
        change(module, "ldapdelete", module.params["person"] + "\n")
    else:
        strangers(probe)
        in_step(probe)
        if module.params["person"]:
            people(probe)
    if probe.wrong:
        module.fail_json(msg=f"not proven: {'; '.join(probe.wrong)}", proofs=probe.proofs)
    module.exit_json(changed=False, proofs=probe.proofs)


if __name__ == "__main__":
    main()
