"""Asking Ansible itself: hosts of a pattern, variables of a host, where a module is. One question a build."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.core.errors import BadInput, ProgramFailed
from tram.core.run import run


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of one inventory.

    `hosts`: whose variables; `patterns`: of plays; `fill`: texts of roles, each with its `role_path`, the files of
    default values it may use and the patterns of the plays it belongs to; `actions`, with their `collections:`, and
    `plugins`: names to find.
    """

    inventory: str
    basedir: str
    hosts: Sequence[str]
    patterns: Sequence[str]
    fill: Sequence[tuple[str, str, Sequence[str], Sequence[str]]]
    actions: Sequence[tuple[str, Sequence[str]]]
    plugins: Sequence[str]
    vaults: Sequence[str]


@dataclass(frozen=True, slots=True)
class Found:
    """One plugin: its kind (`modules`, `action`, `filter` …), file, collection ("" for none) and every name on the
    way to it, redirections first."""

    kind: str
    path: Path
    collection: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """In the order of the question; values are written as `tram.bundle.asked` says. `origins` are the path:line where
    variables come from, `core` is where ansible-core is."""

    groups: Mapping[str, Sequence[str]]
    matches: Mapping[str, Sequence[str]]
    variables: Mapping[str, Mapping[str, Any]]
    origins: Mapping[str, Mapping[str, str]]
    filled: Mapping[str, Sequence[Any]]
    actions: Sequence[Sequence[Found]]
    plugins: Sequence[Sequence[Found]]
    decrypted: Sequence[str]
    core: Path


def ask(question: Question, *, project: Path, secrets: Path) -> Answer:
    """The answer of the Ansible of this environment, with the configuration of `project`.

    Raises: BadInput with Ansible's own words for what it cannot read; ProgramFailed when it breaks off.
    """
    env = {**os.environ, "TRAM_SECRETS": str(secrets), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}
    if (project / "ansible.cfg").is_file():
        env["ANSIBLE_CONFIG"] = str(project / "ansible.cfg")
    ran = run(
        [sys.executable, "-P", "-m", "tram.bundle.asked"],
        stdin=json.dumps(asdict(question)),
        env=env,
        cwd=project,
        timeout=timedelta(minutes=5),
    )
    try:
        found = json.loads(ran.stdout)
    except ValueError as error:
        raise ProgramFailed(f"tram.bundle.asked gave no answer: {ran.stderr.strip()[-500:]}") from error
    if "error" in found:
        raise BadInput(f"{found['at'] or question.inventory}: Ansible cannot read this: {found['error']}")
    return Answer(
        groups=found["groups"],
        matches=found["matches"],
        variables=found["variables"],
        origins=found["origins"],
        filled=found["filled"],
        actions=[[_found(row) for row in rows] for rows in found["actions"]],
        plugins=[[_found(row) for row in rows] for rows in found["plugins"]],
        decrypted=found["decrypted"],
        core=Path(found["core"]),
    )


def _found(row: Mapping[str, Any]) -> Found:
    return Found(row["kind"], Path(row["path"]), row["collection"], tuple(row["names"]))
