"""Who is to have something else by now, because of what hosts returned: a new key of one site's mail changes what the
hub's name server says. Nothing is kept for this: it is seen by building again and comparing with what each was given.
"""

from __future__ import annotations

from pathlib import Path

from tram.bundle import Content, build_all
from tram.delivery.parcel import find_host
from tram.ledger import Job, Ledger, Outcome, new_run_id, utc_now
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


def begin(ledger: Ledger, province: Province, playbook: Path, hosts: dict[str, Content]) -> list[Job]:
    """A run of its own for those hosts, written down before anything is sent."""
    run = new_run_id(utc_now())
    pairs = [(name, find_host(province, name)[0].code) for name in hosts]
    ledger.begin(run, province=province.code, playbook=str(playbook), hosts=pairs)
    folder = str(province.folder.resolve())
    return [Job(run, name, site, str(playbook), folder, ledger.url) for name, site in pairs]
