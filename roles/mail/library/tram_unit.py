#!/usr/bin/python
"""Ansible module: a systemd unit that is enabled, running and not older than the files it read."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: tram_unit
short_description: A systemd unit enabled, running and not older than its files
description:
  - Handlers are lost when a run dies between writing a file and restarting its daemon, and the next run finds the file
    as it should be and notifies nobody. This module compares instead - the newest change under I(files) with the time
    the unit last started or reloaded - so a daemon that runs an old configuration is found and healed by any later run.
options:
  name: {description: Unit to enable and to act on., type: str, required: true}
  watch: {description: Unit whose times are looked at when I(name) is only a wrapper., type: str}
  files: {description: Files and directories the daemon reads at start. Missing ones are passed over., type: list,
          elements: path, default: []}
  action: {description: What refreshes it., type: str, choices: [reload, restart], default: restart}
author: [Tram]
"""

EXAMPLES = r"""
- name: Dovecot runs with the configuration on disk
  tram_unit:
    name: dovecot.service
    files: [/etc/dovecot]
"""

RETURN = r"""
reason: {description: Why something was done or nothing needed to be., type: str, returned: always}
"""


def newest_change(paths: list[str]) -> float:
    """Latest mtime or ctime under the paths, seconds since the epoch; 0.0 when none exists."""
    newest = 0.0
    for top in paths:
        walk = [top]
        for root, dirs, files in os.walk(top):
            walk += [os.path.join(root, name) for name in dirs + files]
        for path in walk:
            try:
                # ctime too: a file renamed into place keeps the mtime it was written with.
                stat = os.stat(path)
            except OSError:
                continue
            newest = max(newest, stat.st_mtime, stat.st_ctime)
    return newest


class Unit:
    """One systemd unit as `systemctl` sees it."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        self.module = module
        self.name = name

    def show(self) -> dict[str, str]:
        """Return the properties this module decides by."""
        names = "LoadState,ActiveState,SubState,UnitFileState,StateChangeTimestampMonotonic,NeedDaemonReload"
        out = self.systemctl("show", "--property=" + names)
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def systemctl(self, *args: str) -> str:
        """Run systemctl on the unit and return its output; fail the task on an error."""
        code, out, err = self.module.run_command(["systemctl", *args, self.name])
        if code != 0:
            self.module.fail_json(msg=f"systemctl {args[0]} {self.name}: {(err or out).strip()}")
        return str(out)


def wall_clock(monotonic_us: str) -> float:
    """Turn systemd's monotonic microseconds into seconds since the epoch, by the clock of now."""
    return time.time() - time.monotonic() + int(monotonic_us or 0) / 1e6


def main() -> None:
    """Look, decide, act."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "watch": {"type": "str"},
            "files": {"type": "list", "elements": "path", "default": []},
            "action": {"type": "str", "choices": ["reload", "restart"], "default": "restart"},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    unit = Unit(module, params["name"])
    watched = Unit(module, params["watch"] or params["name"])
    if unit.show().get("LoadState") != "loaded":
        module.fail_json(msg=f"{unit.name} is not installed (LoadState is not 'loaded')")

    state, wrapper = watched.show(), unit.show()
    reasons: list[str] = []
    enable = wrapper.get("UnitFileState") == "disabled"
    if enable:
        reasons.append("was not enabled")
    action = "restart"
    if state.get("ActiveState") != "active":
        reasons.append("was " + (state.get("ActiveState") or "unknown"))
    elif "yes" in (state.get("NeedDaemonReload"), wrapper.get("NeedDaemonReload")):
        reasons.append("unit file changed")
    elif newest_change(params["files"]) > wall_clock(state["StateChangeTimestampMonotonic"]):
        reasons.append("ran with files older than those on disk")
        action = params["action"]
    else:
        action = ""

    if reasons and not module.check_mode:
        # Always: systemd does not notice every new drop-in by itself.
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        if enable:
            unit.systemctl("enable")
        if action:
            unit.systemctl(action)
        if watched.show().get("ActiveState") not in ("active", "reloading"):
            module.fail_json(msg=f"{watched.name} does not run after its {action}; see: journalctl -u {watched.name}")
    module.exit_json(changed=bool(reasons), reason=", ".join(reasons) or "runs with the files on disk")


if __name__ == "__main__":
    main()
