#!/usr/bin/python
"""Ansible module: systemd units that are enabled, running and not older than the files they read."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: tram_units
short_description: Systemd units enabled, running and not older than their files
description:
  - Handlers are lost when a run dies between writing a file and restarting its daemon, and the next run finds the file
    as it should be and notifies nobody. This module compares instead - the newest change under C(files) with the time
    the unit last started or reloaded - so a daemon that runs an old configuration is found and healed by any later run.
options:
  units:
    description:
      - Units in the order to start them.
      - C(name) is enabled and restarted; C(watch) is looked at instead when C(name) is only a wrapper; C(files) are
        files and directories the daemon reads at start (missing ones are passed over); C(check) is a command that must
        succeed before a restart; C(answers) is one that succeeds when the unit really works, where running does not say
        it: tried for C(answer_seconds) (120) after a restart, and a unit that does not answer is restarted.
    type: list
    elements: dict
    required: true
author: [Tram]
"""

EXAMPLES = r"""
- name: Dovecot runs with the configuration on disk
  tram_units:
    units:
      - {name: dovecot.service, files: [/etc/dovecot], check: [doveconf, -n]}
"""

RETURN = r"""
restarted: {description: Unit to the reason why it was restarted (or would be, in check mode)., type: dict}
"""


def newest_change(paths: list[str]) -> float:
    """Latest mtime or ctime under the paths, seconds since the epoch; 0.0 when none exists."""
    newest = 0.0
    for top in map(Path, paths):
        for path in [top, *top.rglob("*")]:
            with contextlib.suppress(OSError):
                # ctime too: a file renamed into place keeps the mtime it was written with.
                newest = max(newest, path.stat().st_mtime, path.stat().st_ctime)
    return newest


def wall_clock(monotonic_us: str) -> float:
    """Turn systemd's monotonic microseconds into seconds since the epoch, by the clock of now."""
    return time.time() - time.monotonic() + int(monotonic_us or 0) / 1e6


def show(module: AnsibleModule, name: str) -> dict[str, str]:
    """Return the properties of a unit that decide."""
    names = "LoadState,ActiveState,UnitFileState,StateChangeTimestampMonotonic,NeedDaemonReload"
    _, out, _ = module.run_command(["systemctl", "show", "--property=" + names, name], check_rc=True)
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def staleness(module: AnsibleModule, unit: dict[str, Any]) -> str:
    """Say why a unit has to be (re)started, or nothing."""
    own, state = show(module, unit["name"]), show(module, unit.get("watch", unit["name"]))
    if own.get("LoadState") != "loaded":
        module.fail_json(msg=f"{unit['name']} is not installed (LoadState is not 'loaded')")
    if own.get("UnitFileState") == "disabled":
        return "was not enabled"
    if state.get("ActiveState") != "active":
        return "was " + (state.get("ActiveState") or "unknown")
    if "yes" in (own.get("NeedDaemonReload"), state.get("NeedDaemonReload")):
        return "unit file changed"
    if newest_change(unit.get("files", [])) > wall_clock(state["StateChangeTimestampMonotonic"]):
        return "ran with files older than those on disk"
    if unit.get("answers") and module.run_command(unit["answers"])[0] != 0:
        return "did not answer"
    return ""


def journal(module: AnsibleModule, name: str) -> str:
    """The last lines a unit wrote, for who has to find out why."""
    _, out, _ = module.run_command(
        ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=5", "--unit=" + name]
    )
    return f"see: journalctl -u {name}; its last lines: {out.strip() or '(none)'}"


def wait_for_answer(module: AnsibleModule, unit: dict[str, Any]) -> None:
    """Try until the unit answers; fail the task when it does not."""
    seconds = int(unit.get("answer_seconds", 120))
    end = time.monotonic() + seconds
    while True:
        code, out, err = module.run_command(unit["answers"])
        if code == 0:
            return
        if time.monotonic() > end:
            said = (err or out).strip() or f"code {code}"
            module.fail_json(
                msg=f"{unit['name']} was started and does not answer within {seconds} s: {said}; "
                + journal(module, unit.get("watch", unit["name"]))
            )
        time.sleep(2)


def refresh(module: AnsibleModule, unit: dict[str, Any]) -> None:
    """Check, enable and restart a unit; fail the task when it does not run afterwards."""
    name = unit["name"]
    if unit.get("check"):
        code, out, err = module.run_command(unit["check"])
        if code != 0:
            said = (err or out).strip()
            module.fail_json(msg=f"{name} was left as it was: {' '.join(unit['check'])}: {said}")
    # Always: systemd does not notice every new drop-in by itself.
    for command in (["daemon-reload"], ["enable", name], ["restart", name]):
        code, out, err = module.run_command(["systemctl", *command])
        if code != 0:
            said = (err or out).strip()
            module.fail_json(msg=f"systemctl {' '.join(command)}: {said}; {journal(module, name)}")
    watched = unit.get("watch", name)
    if show(module, watched).get("ActiveState") not in ("active", "reloading"):
        module.fail_json(msg=f"{watched} does not run after its restart; {journal(module, watched)}")
    if unit.get("answers"):
        wait_for_answer(module, unit)


def main() -> None:
    """Look at each unit, refresh the stale."""
    module = AnsibleModule(
        argument_spec={"units": {"type": "list", "elements": "dict", "required": True}},
        supports_check_mode=True,
    )
    restarted: dict[str, str] = {}
    for unit in module.params["units"]:
        reason = staleness(module, unit)
        if reason:
            restarted[unit["name"]] = reason
            if not module.check_mode:
                refresh(module, unit)
    module.exit_json(changed=bool(restarted), restarted=restarted)


if __name__ == "__main__":
    main()
