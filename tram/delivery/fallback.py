"""Where no runtime can be put on a host: plain Ansible, task by task over its line, and it is said so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tram.core.errors import TramError
from tram.delivery.host import Way, deliver_host
from tram.delivery.install import NotInstalled
from tram.delivery.outcome import Delivered
from tram.delivery.parcel import find_host
from tram.delivery.policy import policy_for
from tram.delivery.progress import Phase, Progress, Tell
from tram.ledger import Ended, Job, Ledger, Outcome, utc_now
from tram.push.playbook import Recap, TaskResult, run_playbook
from tram.register import Province


def deliver_or_push(
    job: Job,
    province: Province,
    ledger: Ledger,
    way: Way | None = None,
    *,
    tell: Tell = lambda _progress: None,
    note: Callable[[NotInstalled], None] = lambda _problem: None,
) -> Delivered:
    """Deliver to one host; one that cannot take the runtime is pushed to, after `note` was told why.

    Not over a line with a byte cap: a push takes what it takes, and nobody can count it before.

    Raises: as `deliver_host`; NotInstalled where pushing is no way out.
    """
    try:
        return deliver_host(job, province, ledger, way, tell)
    except NotInstalled as problem:
        site, _host = find_host(province, job.host)
        if policy_for(site.link, province).cap_bytes is not None and not (way and way.now_anyway):
            raise
        note(problem)
        return pushed(job, push(job, [job.host], tell), problem)


def push(job: Job, hosts: Sequence[str], tell: Tell = lambda _progress: None) -> Recap:
    """Run the job's playbook on these hosts with `ansible-playbook`, task by task over their lines."""
    extra = ["--limit", ",".join(hosts), *(["--check"] if job.check else [])]
    done: Counter[str] = Counter()

    def follow(result: TaskResult) -> None:
        done[result.host] += 1
        tell(Progress(result.host, Phase.APPLYING, done=done[result.host], task=result.task, heard=utc_now()))

    env = {"LC_ALL": "C.UTF-8"}  # Ansible does not start in a locale that the machine has not
    return run_playbook(Path(job.playbook), Path(job.inventory), extra=extra, env=env, follow=follow)


def pushed(job: Job, recap: Recap, why: TramError | None = None) -> Delivered:
    """What Ansible's own recap means for one host; `why` it was not delivered to."""
    stats = recap.stats.get(job.host, {})
    failures = [line.partition(": ")[2] for line in recap.failures() if line.startswith(f"{job.host}: ")]
    if stats.get("unreachable") or not stats:
        ended = Ended(Outcome.NOT_REACHED, failures[-1] if failures else "Ansible did not reach it")
    elif stats.get("failures"):
        ended = Ended(Outcome.FAILED, failures[-1] if failures else "a task failed")
    else:
        ended = Ended(Outcome.DONE, f"pushed: {why.message}" if why else "")
    return Delivered(job.run, job.host, job.site, ended)
