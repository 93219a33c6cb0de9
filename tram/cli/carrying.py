"""A playbook to many hosts at once, as `tram deliver` and `tram demo` do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tram.bundle import Content, build_all
from tram.cli.deliver_view import View
from tram.cli.i18n import _
from tram.delivery.fallback import deliver_or_push
from tram.delivery.followup import follow_up
from tram.delivery.host import Delivered, Way, find_host
from tram.delivery.install import NotInstalled
from tram.delivery.memory import runtime
from tram.ledger import Ended, Job, Ledger, Outcome, new_run_id, utc_now
from tram.register import Host, Province
from tram.rollout.fanout import Work


def begin(
    ledger: Ledger, province: Province, playbook: Path, hosts: Sequence[Host], *, check: bool = False
) -> list[Job]:
    """A new run of this playbook, written down before anything is sent."""
    run = new_run_id(utc_now())
    pairs = [(host.inventory_name, find_host(province, host.inventory_name)[0].code) for host in hosts]
    kind = "check" if check else "deliver"
    ledger.begin(run, province=province.code, playbook=str(playbook), hosts=pairs, kind=kind)
    folder = str(province.folder.resolve())
    return [Job(run, name, site, str(playbook), folder, ledger.url, check) for name, site in pairs]


def put_together(
    province: Province, playbook: Path, hosts: Sequence[Host], *, check: bool = False
) -> dict[str, Content]:
    """Every bundle, before a run is begun: a mistake in one is found while nothing was written down or sent.

    Raises: BadInput with all that is wrong with the first that cannot be built.
    """
    return build_all(playbook, province, hosts, secrets=province.secrets_dir, check=check)


def carry(
    ledger: Ledger,
    province: Province,
    jobs: Sequence[Job],
    view: View,
    *,
    contents: Mapping[str, Content],
    way: Way,
    parallel: int = 8,
) -> list[Delivered]:
    """Every host of a run, then, in a run of its own, those for whom something changed by what hosts returned.

    Raises: BadInput when a bundle cannot be built again with what came back.
    """
    playbook, check = Path(jobs[0].playbook), jobs[0].check
    results = _carry(ledger, province, jobs, view, contents=contents, way=way, parallel=parallel)
    if check or not any(result.files for result in results):
        return results
    contents = follow_up(ledger, province, jobs[0].run)
    if contents:
        view.note(_("what came back changes something for {hosts}").format(hosts=", ".join(sorted(contents))))
        later = begin(ledger, province, playbook, [find_host(province, name)[1] for name in contents])
        results += _carry(ledger, province, later, view, contents=contents, way=way, parallel=parallel)
    return results


def _carry(
    ledger: Ledger,
    province: Province,
    jobs: Sequence[Job],
    view: View,
    *,
    contents: Mapping[str, Content],
    way: Way,
    parallel: int,
) -> list[Delivered]:
    """Each host by its bundle, the hub's hosts before all others, for what those use is there. One that can carry no
    bundle is pushed to. Where the hub failed the others are not begun: they stay owed."""
    built = runtime().id
    results: dict[str, Delivered] = {}

    def note(problem: NotInstalled, host: str) -> None:
        view.note(_("{host} takes no bundle, it is pushed to: {reason}").format(host=host, reason=problem.message))

    def one(job: Job) -> Ended:
        mine = replace(way, content=contents[job.host], runtime=built)
        found = deliver_or_push(
            job, province, ledger, mine, tell=view.tell, note=lambda problem: note(problem, job.host)
        )
        results[job.host] = found
        return found.ended

    ended: dict[str, Ended] = {}
    hub = [job for job in jobs if job.site == province.hub.code]
    for batch in (hub, [job for job in jobs if job not in hub]):
        if any(end.outcome is Outcome.FAILED for end in ended.values()):
            reason = _("the hub comes first, and failed")
            ended |= {job.host: Ended(Outcome.NOT_REACHED, reason) for job in batch}
            break
        with ThreadPoolExecutor(parallel) as pool:
            ended |= dict(zip([job.host for job in batch], pool.map(Work(one), batch), strict=True))
    return [results.get(job.host) or Delivered(job.run, job.host, job.site, ended[job.host]) for job in jobs]
