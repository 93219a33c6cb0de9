"""The engines: how an operator would call each one for role60 on one host, and what its own words say came of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ground import HERE, Ground, Place

BIN = Path(sys.executable).parent
ROLE = HERE.parent / "executor/role60"
PLAYBOOK = HERE / "role60.yml"


@dataclass(frozen=True, slots=True)
class Told:
    """What an engine says of its run: done | failed | not reached, tasks ok (None: it does not say), changed."""

    outcome: str
    ok: int | None
    changed: int


@dataclass(frozen=True, slots=True)
class Engine:
    """`argv` and `env` for one place; `disk` it begins on; `told` reads its exit code and output."""

    name: str
    argv: Callable[[Place], list[str]]
    env: Callable[[Place], Mapping[str, str]]
    told: Callable[[int, str], Told]
    disk: str = "bare"


def engines(ground: Ground) -> list[Engine]:
    """All of them, in the order of the table."""
    empty = ground.work / "empty.cfg"  # so that no settings are found elsewhere
    empty.touch()
    core = {"ANSIBLE_CONFIG": str(empty), "ANSIBLE_ROLES_PATH": str(ROLE.parent), "ANSIBLE_NOCOLOR": "1"}
    # What guides on speed say, and what a line that fails asks for.
    persist = "-C -o ControlMaster=auto -o ControlPersist=10m -o ServerAliveInterval=15 -o ServerAliveCountMax=8"
    tuned = core | {"ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_ARGS": persist}
    mitogen = ground.work / "mitogen"
    strategies = str(mitogen / "ansible_mitogen/plugins/strategy")
    linear = {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": strategies, "PYTHONPATH": str(mitogen)}
    return [
        _ansible("ansible-core defaults", core),
        _ansible("ansible-core tuned", tuned),
        _ansible("mitogen_linear push", core | linear),
        Engine("pyinfra push", _pyinfra, lambda place: {"HOME": str(_folder(place))}, _pyinfra_told),
        Engine("tram", tram_argv, _tram_env, _tram_told, disk="ready"),
    ]


def install_argv(place: Place) -> list[str]:
    """tram's runtime onto a host, by itself."""
    return [str(BIN / "tram"), "deliver", "--install", "--inventory", str(place.inventory), "--limit", place.host]


def _ansible(name: str, settings: Mapping[str, str]) -> Engine:
    def argv(place: Place) -> list[str]:
        inventory = _folder(place) / "inventory.yml"
        # Plain words of OpenSSH's in Ansible's own variables; the key is pinned, as everywhere here.
        known = place.lab.paths.state / "known_hosts"
        variables = {
            "ansible_host": place.address,
            "ansible_user": place.lab.province.operator,
            "ansible_ssh_private_key_file": str(place.ground.key.path),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        inventory.write_text(json.dumps({"all": {"hosts": {place.host: variables}}}))
        return [str(BIN / "ansible-playbook"), "-i", str(inventory), str(PLAYBOOK)]

    return Engine(name, argv, lambda place: {**settings, "HOME": str(_folder(place))}, _ansible_told)


def _ansible_told(code: int, said: str) -> Told:
    found = re.findall(r"ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", said)
    if not found:
        return Told("failed", None, 0)
    ok, changed, unreachable, failed = map(int, found[-1])
    outcome = "not reached" if unreachable else "failed" if failed or code else "done"
    return Told(outcome, ok, changed)


def _pyinfra(place: Place) -> list[str]:
    inventory = _folder(place) / "inventory.py"
    data = {
        "ssh_hostname": place.address,
        "ssh_user": place.lab.province.operator,
        "ssh_key": str(place.ground.key.path),
        "ssh_known_hosts_file": str(place.lab.paths.state / "known_hosts"),
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    inventory.write_text(f"hosts = [({place.host!r}, {data!r})]\n")
    return [str(BIN / "pyinfra"), "-y", str(inventory), str(HERE / "steps.py")]


def _pyinfra_told(code: int, said: str) -> Told:
    said = re.sub(r"\x1b\[[0-9;]*m", "", said)
    changed = len(re.findall(r"\] (?:\S.*: )?Success", said))
    same = len(re.findall(r"\] (?:\S.*: )?No changes", said))
    gone = re.search(r"Connection|connect|EOFError|SSHException|timed out", said[-2000:]) is not None
    outcome = "done" if code == 0 else "not reached" if gone else "failed"
    return Told(outcome, changed + same, changed)


def tram_argv(*places: Place) -> list[str]:
    """One delivery to all of these hosts."""
    words = ["deliver", str(PLAYBOOK), "--inventory", str(places[0].inventory), "--json"]
    return [str(BIN / "tram"), *words, *(word for place in places for word in ("--limit", place.host))]


def _tram_env(place: Place) -> Mapping[str, str]:
    """A ledger, a cache and shared connections of its own for each place."""
    folder = str(_folder(place))
    return {"HOME": folder, "XDG_RUNTIME_DIR": folder, "XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder}


def _tram_told(code: int, said: str) -> Told:
    try:
        found = json.loads(said[said.index("[\n") :])[0]
    except (ValueError, IndexError):
        return Told("failed", None, 0)
    stats = found["stats"] or {}
    outcome = "done" if code == 0 and found["outcome"] == "done" else str(found["outcome"])
    return Told(outcome.replace("_", " "), stats.get("ok"), stats.get("changed", 0))


def _folder(place: Place) -> Path:
    folder = place.ground.work / place.site.code
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
