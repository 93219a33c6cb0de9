"""Who is to have something else by now, because of what hosts returned: a new key of one site's mail changes what the
hub's name server says. Nothing is kept for this: it is seen by building again and comparing with what each was given.
"""

from __future__ import annotations

from pathlib import Path

from tram.bundle import Content, build_all
from tram.delivery.parcel import find_host
from tram.ledger import Ledger, Outcome
from tram.register import Province


def follow_up(ledger: Ledger, province: Province, run: str) -> dict[str, Content]:
    """The hosts that are done with `run` and would get another tree today, with that.

    Raises: BadInput when a bundle cannot be built any more; UnknownRun.
    """
    shown = ledger.show(run)
    given = {row.host: row.tree for row in shown.hosts if row.outcome is Outcome.DONE and row.tree}
    if not given:
        return {}
    hosts = [find_host(province, name)[1] for name in given]
    built = build_all(Path(shown.run.playbook).resolve(), province, hosts, secrets=province.secrets_dir)
    return {name: content for name, content in built.items() if content.tree.digest != given[name]}
