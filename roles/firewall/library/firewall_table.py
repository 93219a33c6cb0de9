#!/usr/bin/python
"""Ansible module: the table `inet tram` as it is loaded, beside what the file on disk says."""

from __future__ import annotations

import ipaddress
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: firewall_table
short_description: The loaded firewall table equals the file
description:
  - C(look) tells where the centre comes from - the address of the connection this run came by, that of the last order
    that was delivered, and those remembered - and what a ruleset of others in the file had loaded.
  - C(loaded) loads the file in a network namespace of its own, compares what the kernel makes of it with what is
    loaded, and loads the file in one go when they differ or the unit does not run it at boot.
  - C(unloaded) takes the table away and loads again what it had taken the place of.
options:
  state: {description: What is wanted., type: str, choices: [look, loaded, unloaded], required: true}
  file: {description: The ruleset., type: path, default: /etc/nftables.conf}
  remembered: {description: How many addresses of the centre are kept, the latest first., type: int, default: 8}
  keep: {description: Where they are kept., type: path, default: /var/lib/tram/firewall}
author: [Tram]
"""

EXAMPLES = r"""
- name: What is loaded equals the file
  firewall_table: {state: loaded}
"""

RETURN = r"""
centre: {description: Addresses the centre came from., type: list, returned: state=look}
reasons: {description: Why the table was loaded (or would be, in check mode)., type: list, returned: state=loaded}
"""

OURS = ("inet", "tram")
UNIT = "nftables.service"
MARK = "table inet tram"
SITE_STATE = Path("/var/lib/tram/site/centre.json")


def cleaned(address: str) -> str:
    """An address as a set wants it; empty when it is none, or only says "this host"."""
    try:
        ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return "" if ip.is_loopback or ip.is_unspecified or ip.is_multicast else str(ip)


def connection() -> str:
    """The other end of the ssh connection this process came by: sudo hides it from us, not from its own parents."""
    pid = os.getpid()
    while pid > 1:
        try:
            for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if entry.startswith(b"SSH_CONNECTION="):
                    return entry.partition(b"=")[2].split()[0].decode("ascii")
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return ""


def delivered() -> str:
    """The other end of the last delivery."""
    try:
        return str(json.loads(SITE_STATE.read_text(encoding="utf-8")).get("address") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def replace(path: Path, text: str) -> None:
    """Write a file whole, on the disk, root's only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).rename(path)


class Table:
    """The table on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.file = Path(module.params["file"])
        self.kept = Path(module.params["keep"]) / "centre"
        self.before = Path(module.params["keep"]) / "before.json"
        self.nft = module.get_bin_path("nft", opt_dirs=["/usr/sbin", "/sbin"])

    def run(self, *command: str, data: str | None = None) -> tuple[int, str, str]:
        """Run a program."""
        code, out, err = self.module.run_command(list(command), data=data)
        return int(code), str(out), str(err).strip()

    def dump(self, *inside: str) -> tuple[str, str] | None:
        """Our table as the kernel has it, without what differs from load to load; None when it is not there."""
        code, out, _ = self.run(*inside, self.nft, "-j", "list", "table", *OURS)
        return None if code != 0 else self.plain(out)

    @staticmethod
    def plain(text: str) -> tuple[str, str]:
        """Handles and counters aside."""

        def bare(value: Any) -> Any:
            if isinstance(value, dict):
                gone = ("handle", "packets", "bytes", "metainfo")
                return {key: bare(item) for key, item in value.items() if key not in gone}
            return [bare(item) for item in value] if isinstance(value, list) else value

        items = [item for item in json.loads(text)["nftables"] if "metainfo" not in item]
        rules = [json.dumps(bare(item), sort_keys=True) for item in items if "rule" in item]
        others = sorted(json.dumps(bare(item), sort_keys=True) for item in items if "rule" not in item)
        return "\n".join(others), "\n".join(rules)

    def meant(self) -> tuple[str, str]:
        """What the kernel makes of the file, seen in a namespace that nobody's packets pass."""
        script = f'{self.nft} -f "$0" && {self.nft} -j list table {" ".join(OURS)}'
        code, out, err = self.run("unshare", "--net", "sh", "-c", script, str(self.file))
        if code != 0:
            self.module.fail_json(msg=f"{self.file} cannot be loaded: {err[-500:]}. What is loaded was left as it is.")
        return self.plain(out)

    def unit(self) -> dict[str, str]:
        """What systemd says of the unit that loads the file."""
        names = "ActiveState,UnitFileState,NeedDaemonReload,ExecStop"
        _, out, _ = self.run("systemctl", "show", "--property=" + names, UNIT)
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def remember_foreign(self) -> None:
        """Keep what a ruleset that is not ours, but stands in our file's place and is loaded, has loaded."""
        if self.before.exists() or not self.nft or not self.file.exists():
            return
        if MARK in self.file.read_text(encoding="utf-8") or self.unit().get("ActiveState") != "active":
            return
        script = f'{self.nft} -f "$0" && {self.nft} -j list tables'
        code, out, _ = self.run("unshare", "--net", "sh", "-c", script, str(self.file))
        tables = [item["table"] for item in json.loads(out)["nftables"] if "table" in item] if code == 0 else []
        found = [(table["family"], table["name"]) for table in tables]
        texts = [self.run(self.nft, "list", "table", *table) for table in found]
        text = "\n".join(out for code, out, _ in texts if code == 0)
        replace(self.before, json.dumps({"tables": found, "text": text, "removed": False}))

    def record(self) -> dict[str, Any]:
        """What was loaded before us."""
        try:
            return dict(json.loads(self.before.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def centre(self) -> list[str]:
        """Where the centre comes from; what is new is remembered."""
        kept = self.kept.read_text(encoding="utf-8").split() if self.kept.exists() else []
        seen = [ip for ip in map(cleaned, (connection(), delivered())) if ip]
        new = [ip for ip in dict.fromkeys(seen) if ip not in kept]
        latest = (new + kept)[: self.module.params["remembered"]]
        if new and not self.module.check_mode:
            replace(self.kept, "\n".join(latest) + "\n")
        return sorted({*latest, *seen}, key=lambda ip: (":" in ip, ip))

    def stale(self) -> list[str]:
        """Why what runs is not what is on disk."""
        meant, loaded, unit = self.meant(), self.dump(), self.unit()
        reasons = []
        if loaded is None:
            reasons.append("the table was not loaded")
        elif loaded != meant:
            reasons.append("the loaded table differed from the file")
        if unit.get("ActiveState") != "active":
            reasons.append(f"{UNIT} was {unit.get('ActiveState')}")
        if unit.get("UnitFileState") != "enabled":
            reasons.append(f"{UNIT} was {unit.get('UnitFileState') or 'not enabled'}, so not there after a boot")
        if unit.get("NeedDaemonReload") == "yes":
            reasons.append(f"{UNIT} was changed on disk")
        if self.record().get("removed") is False:
            reasons.append("the ruleset of before is still loaded")
        return reasons

    def load(self) -> None:
        """Load the file in one go, instead of what stood there before us."""
        record = self.record()
        if record.get("removed") is False:
            there = [table for table in record["tables"] if self.run(self.nft, "list", "table", *table)[0] == 0]
            gone = "".join(f"delete table {family} {name}\n" for family, name in there)
            self.must(self.nft, "-f", "-", data=f'{gone}include "{self.file}"\n')
            replace(self.before, json.dumps(record | {"removed": True}))
        self.must("systemctl", "daemon-reload")
        # Reloading is one transaction; a restart would leave the host open for a moment.
        self.must("systemctl", "reload-or-restart", UNIT)
        still = self.stale()
        if still:
            self.module.fail_json(msg=f"after loading {self.file}: {'; '.join(still)}")

    def must(self, *command: str, data: str | None = None) -> None:
        """Run what has to succeed."""
        code, out, err = self.run(*command, data=data)
        if code != 0:
            self.module.fail_json(msg=f"{' '.join(command)}: {(err or out)[-500:]}")

    def unload(self) -> bool:
        """Take our table away; what it took the place of comes back in the same transaction."""
        record, unit = self.record(), self.unit()
        if unit.get("NeedDaemonReload") == "yes" and not self.module.check_mode:
            self.must("systemctl", "daemon-reload")
            unit = self.unit()
        loaded = bool(self.nft) and self.dump() is not None
        ours_stops = "tram" in unit.get("ExecStop", "")
        if self.module.check_mode:
            return loaded
        if loaded:
            text = record.get("text", "") if record.get("removed") else ""
            self.must(self.nft, "-f", "-", data=f"delete table {' '.join(OURS)}\n{text}\n")
        # The stock unit's stop would flush every table there is, fail2ban's too; with our drop-in it does not.
        stopped = not record and ours_stops and unit.get("ActiveState") == "active"
        if stopped:
            self.must("systemctl", "stop", UNIT)
        if not loaded and not ours_stops:
            self.before.unlink(missing_ok=True)
        return loaded or stopped


def main() -> None:
    """Do what is asked."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["look", "loaded", "unloaded"], "required": True},
            "file": {"type": "path", "default": "/etc/nftables.conf"},
            "remembered": {"type": "int", "default": 8},
            "keep": {"type": "path", "default": "/var/lib/tram/firewall"},
        },
        supports_check_mode=True,
    )
    table = Table(module)
    if module.params["state"] == "look":
        if not module.check_mode:
            table.remember_foreign()
        module.exit_json(changed=False, centre=table.centre())
    if module.params["state"] == "unloaded":
        module.exit_json(changed=table.unload())
    if not table.nft:
        module.fail_json(msg="nft is not installed")
    reasons = table.stale()
    if reasons and not module.check_mode:
        table.load()
    module.exit_json(changed=bool(reasons), reasons=reasons)


if __name__ == "__main__":
    main()
