"""Labs of the shape a story asks for: some of the lab's sites, each host with the functions it needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.lab.lab import Lab, down, open_lab, up
from tram.push.playbook import run_playbook

from .conftest import LAB, REPO, take_over

MINE = os.environ.get("TRAM_TEST_LAB")
"""A lab of the story's shape that is up and has all its roles: it is used as it is and left standing."""


def write_inventory(folder: Path, sites: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """Write the lab's inventory with these sites only, and say where.

    `sites`: by code, a mapping for each host of what it has otherwise than the site's first in the lab, such as its
    functions and suite. Accounts come along where a host has mail.
    """
    inventory = folder / "lab"
    shutil.copytree(LAB, inventory, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (inventory / "sites").glob("*.yml"):
        hosts = _write_hosts(path, sites[path.stem]) if path.stem in sites else path.unlink()
        if not any("mail" in host["functions"] for host in hosts or ()):
            (inventory / f"group_vars/site_{path.stem.replace('-', '_')}.yml").unlink()
    return inventory


def _write_hosts(path: Path, hosts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    first = site["hosts"][0]
    network, _, last = first["address"].rpartition(".")
    further = [{"name": f"srv{n + 1}", "address": f"{network}.{int(last) + n}"} if n else {} for n in range(len(hosts))]
    site["hosts"] = written = [{**first, **names, **host} for names, host in zip(further, hosts, strict=True)]
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return written


@contextmanager
def own_lab(inventory: Path, name: str, *books: str) -> Iterator[Lab]:
    """The inventory's hosts, taken over, with these playbooks applied; gone afterwards. See MINE for one that stays."""
    name = MINE or f"{name}{os.getpid() % 100000}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        if MINE:
            yield open_lab(name)
            return
        try:
            lab = up(inventory, name, print)
            take_over(lab)
            for book in books:
                assert run_playbook(REPO / f"playbooks/{book}.yml", inventory).failures() == [], book
            yield lab
        finally:
            down(name)
