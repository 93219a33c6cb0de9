"""Take over bare hosts: identity pinned, operator account, the centre's key, sudo, proved by using them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources

import paramiko

from tram.act.connect import FirstContact, connect
from tram.act.key import CentreKey
from tram.act.outcome import HostResult, LoginRefused, NotReached, Outcome, StepFailed
from tram.act.pins import Pins
from tram.act.session import Login, Session, log_in, read_keys
from tram.act.target import Target
from tram.core.errors import TramError

INSTALL = timedelta(minutes=15)
"""How long the script may take: apt may fetch python3 (9 MB) over the slowest line we know (256 kbit/s)."""

MANAGED = "sudo -n true && python3 -c ''"
"""What a managed host answers with 0 to its operator."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How to get into a bare host: as whom, with what, and what vouches for its identity at first contact.

    `agent`: whether keys of the ssh agent are tried, too. `dry_run` looks only: it pins nothing and changes nothing.
    """

    user: str = "root"
    password: str | None = None
    agent: bool = True
    first: FirstContact = field(default_factory=FirstContact)
    dry_run: bool = False


def bootstrap(
    targets: Sequence[Target],
    entry: Entry,
    key: CentreKey | None,
    *,
    parallel: int = 8,
    ended: Callable[[HostResult], None] = lambda _: None,
    afresh: Callable[[str], None] = lambda _: None,
) -> list[HostResult]:
    """Bootstrap every target, at most `parallel` at a time; results in the order of `targets`.

    One host's trouble never stops another. `key` may be None with a dry run only: there was none yet. `ended` is called
    in this thread as each host ends, `afresh` with the name of each that did not know its operator: a machine set up
    anew, whatever one of that name was before.
    """
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        running = [pool.submit(bootstrap_host, target, entry, key) for target in targets]
        try:
            for future in as_completed(running):
                result = future.result()
                if "account" in result.changes and not entry.dry_run:
                    afresh(result.name)
                ended(result)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in running]


def bootstrap_host(target: Target, entry: Entry, key: CentreKey | None) -> HostResult:
    """Bootstrap one host. Every error that is the host's or the link's is in the result, none is raised."""
    try:
        changes, fingerprint = _take_over(target, entry, key)
        return HostResult(target.name, target.address, Outcome.DONE, changes, fingerprint)
    except NotReached as problem:
        return HostResult(target.name, target.address, Outcome.NOT_REACHED, problem=problem)
    except TramError as problem:
        return HostResult(target.name, target.address, Outcome.FAILED, problem=problem)


def _take_over(target: Target, entry: Entry, key: CentreKey | None) -> tuple[tuple[str, ...], str]:
    """The changes made (or due, with a dry run) and the host key's fingerprint."""
    pins = Pins(target.pins)
    changes: list[str] = []

    def reach() -> paramiko.Transport:
        transport = connect(target, pins, entry.first)
        shown = transport.get_remote_server_key()
        if not pins.of(target) and "identity" not in changes:
            changes.append("identity")
            if not entry.dry_run:
                pins.add(target, shown)
        return transport

    with _enter(target, entry, key, reach) as session:
        fingerprint = session.transport.get_remote_server_key().fingerprint
        changes += _run_script(session, target, key, check=entry.dry_run)
        if entry.dry_run or (session.user == target.operator and changes == []):
            return tuple(changes), fingerprint
    _prove(target, _operator(target, key), reach)
    return tuple(changes), fingerprint


def _operator(target: Target, key: CentreKey | None) -> Login:
    return Login(target.operator, (key.key,) if key else ())


def _enter(target: Target, entry: Entry, key: CentreKey | None, reach: Callable[[], paramiko.Transport]) -> Session:
    """A session that may become root: as the operator where the host is managed already, otherwise as `entry.user`.

    A managed host is so checked and healed without root's password, also after root's own login was closed.
    """
    if key is not None:
        try:
            session = log_in(target, reach(), _operator(target, key))
        except LoginRefused:
            pass  # a bare host does not know the operator
        else:
            if session.run("sudo -n true").code == 0:
                return session
            session.transport.close()
    keys = [*read_keys(target.identity_files), *([key.key] if key else [])]
    if entry.agent:
        keys += paramiko.Agent().get_keys()
    keys = list(dict.fromkeys(keys))
    return log_in(target, reach(), Login(entry.user, tuple(keys), entry.password))


def _run_script(session: Session, target: Target, key: CentreKey | None, *, check: bool) -> list[str]:
    script = resources.files("tram.act").joinpath("operator.sh").read_text(encoding="utf-8")
    words = ["sh", "-s", "--", "check" if check else "apply", target.operator, key.public if key else ""]
    become = [] if session.user == "root" else ["sudo", "-n"]
    answer = session.run(shlex.join([*become, *words]), stdin=script, within=INSTALL)
    if answer.code != 0:
        hint = "nothing is half done there: mend that, then run this again"
        if answer.last_words.startswith("apt "):
            hint = "give the host a way to a mirror, or its installation medium (apt-cdrom add); then run this again"
        raise StepFailed(f"{target.name}: {answer.last_words}", hint=hint)
    return [line.removeprefix("change ") for line in answer.stdout.splitlines() if line.startswith("change ")]


def _prove(target: Target, operator: Login, reach: Callable[[], paramiko.Transport]) -> None:
    """Use what was set up, from the outside, as everything that comes later will."""
    try:
        with log_in(target, reach(), operator) as session:
            answer = session.run(MANAGED)
    except LoginRefused as error:
        raise StepFailed(
            f"{target.name}: everything is in place, yet {target.operator} is not let in with the centre's key",
            hint="look at AllowUsers, AllowGroups and AuthorizedKeysFile: sshd -T; then run this again",
        ) from error
    if answer.code != 0:
        raise StepFailed(
            f"{target.name}: {target.operator} gets in, but not through `{MANAGED}`: {answer.last_words}",
            hint="look for a later rule that asks for a password: sudo -l -U " + target.operator,
        )
