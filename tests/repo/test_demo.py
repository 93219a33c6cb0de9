"""The demo proves what it did: a proof of something else would end it with an error on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.cli.demo import proofs_of_site
from tram.register import load
from tram.register.inventory import groups

INCLUDES = ("ansible.builtin.include_role", "ansible.builtin.import_role")


def plays(playbook: Path) -> list[dict[str, Any]]:
    """Plays of a playbook and of those it imports."""
    found: list[dict[str, Any]] = []
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        imported = play.get("ansible.builtin.import_playbook")
        found += plays(playbook.parent / imported) if imported else [play]
    return found


def roles(play: dict[str, Any]) -> set[str]:
    """What a play names in `roles` or includes in its tasks."""
    tasks = [*play.get("pre_tasks", []), *play.get("tasks", [])]
    named = {task[word]["name"] for task in tasks for word in INCLUDES if word in task}
    return named | {role if isinstance(role, str) else role["role"] for role in play.get("roles", [])}


def test_each_proof_is_of_a_role_that_was_applied_or_of_hosts_that_the_lab_has_not(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    hosts = [(site, host) for site in load(Path("inventories/lab")).sites for host in site.hosts]
    of_lab = {"all", *(group for site, host in hosts for group in groups(site, host))}
    applied = {role for play in plays(Path("playbooks/site.yml")) for role in roles(play)}
    proven = [play for playbook in proofs_of_site() for play in plays(playbook) if play["hosts"] in of_lab]
    assert {role for play in proven for role in roles(play)} >= {"base", "mail", "antivirus"}
    assert [play["name"] for play in proven if not roles(play) <= applied] == []
