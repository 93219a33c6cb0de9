"""Deliveries beside rollouts whose host was not reached: tried again when they are due."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tram.ledger import Job, Ledger


def owed(ledger: Ledger, inventory: Path, age_limit: timedelta) -> list[Job]:
    """The hosts of plain deliveries that are due, first due first; not those given up for their age."""
    kinds: dict[str, str] = {}
    found = []
    for row in ledger.carried_over(age_limit):
        kind = kinds.setdefault(row.run, ledger.show(row.run).run.kind)
        if kind == "deliver" and row.due and not row.too_old:
            found.append(Job(row.run, row.host, row.site, row.playbook, str(inventory.resolve()), ledger.url))
    return found
