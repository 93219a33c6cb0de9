"""Which packages the roles of a playbook install on each host, as their `meta/tram.yml` says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tram.bundle.workshop import open_workshop
from tram.core.errors import BadInput
from tram.register import Host, Province

# Source: Debian Policy 5.6.1.
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


def packages_of(
    playbook: Path, province: Province, hosts: Sequence[Host], *, secrets: Path
) -> dict[str, tuple[str, ...]]:
    """The names by host, at most what is installed: what a role decides on the host itself is not known here.

    Raises: BadInput with every error, also when Ansible cannot read the inventory.
    """
    names = [host.inventory_name for host in hosts]
    shop = open_workshop(playbook, province, secrets.resolve(), names)
    problems = list(shop.problems)
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        mine: set[str] = set()
        for wish, filled in zip(shop.wishes, shop.answer.filled[name], strict=True):
            if wish.key != "packages" or filled is None:
                continue
            words = [filled] if isinstance(filled, str) else filled
            if isinstance(words, list) and all(isinstance(word, str) and _NAME.fullmatch(word) for word in words):
                mine.update(words)
            else:
                problems.append(wish.place.problem(f'"{wish.pattern}" for {name}: {_reason(words)}'))
        found[name] = tuple(sorted(mine))
    if problems:
        raise BadInput("\n".join(str(problem) for problem in problems), hint="docs/contracts/bundle.md says how")
    return found


def _reason(filled: Any) -> str:
    return str(filled["!error"]) if isinstance(filled, Mapping) and "!error" in filled else "is no list of packages"
