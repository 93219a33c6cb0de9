"""`tram replace` and `tram drill restore`: a host's work on another machine, from register, roles and backup."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace as changed
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tram.act.backup import AT_HOST, LONG, keeper
from tram.act.bootstrap import Entry
from tram.act.certificate import check_words, issue, text
from tram.act.come import come
from tram.act.outcome import IdentityChanged, IdentityUnknown, LoginRefused, NotReached, StepFailed
from tram.act.password import read_password
from tram.act.pins import Pins
from tram.act.rebuild import STEPS, Book, Job, guest, look, opened, play, rebuild, shut_out, tell_kept
from tram.act.target import Target, targets
from tram.cli.backup import LAB, AsJson, DryRun, Inventory
from tram.cli.host import first_contact
from tram.cli.i18n import _
from tram.cli.rollout_words import size
from tram.cli.staging import centre_key
from tram.core.errors import BadInput, TramError
from tram.core.files import write_whole
from tram.lab.lab import open_lab
from tram.register import Host, Province, Site, load
from tram.register.moving import moved
from tram.rollout import expected as forecasts

PLAYBOOKS = Path("playbooks")
PROOFS = Path("build/restore-proofs")
WORDS = {
    "contents": _("what the newest backup has"),
    "takeover": _("take the machine over"),
    "roles": _("apply the host's roles"),
    "door": _("let it read the backup"),
    "restore": _("bring the backup back"),
    "compare": _("compare with the archive, file by file"),
    "settle": _("apply the services' roles to what came back"),
    "verify": _("prove each service"),
}
ENDS = _(
    "Ends with 0, 1 when a step failed (the same command goes on there), 2 for wrong input, when nothing was changed."
)
EXAMPLES = (
    _("Examples:")
    + """

  tram replace huong-khe/srv1 --address 203.0.113.10 --dry-run

  tram replace huong-khe-srv1 --address 203.0.113.12 --fingerprint SHA256:…

"""
    + ENDS
)

HostName = Annotated[str, typer.Argument(metavar="SITE|SITE/HOST", help=_("Whose backup it is."))]
Spare = Annotated[
    str, typer.Option(metavar="HOST", help=_("A host of the register without functions; it is emptied afterwards."))
]
Proofs = Annotated[Path, typer.Option("--out", metavar="DIR", help=_("Where the certificate goes."))]
Fingerprint = Annotated[
    str, typer.Option(metavar="SHA256:…", help=_("Fingerprint read at the console of the one host."))
]
AcceptNew = Annotated[
    bool, typer.Option("--accept-new", help=_("Pin hosts never seen before without comparing fingerprints."))
]
User = Annotated[str, typer.Option(help=_("Whom to come as: root, or an account with sudo."))]
PasswordFile = Annotated[
    Path | None, typer.Option(help=_("File with that account's password; only its owner may read it."))
]


def replace(
    host: HostName,
    *,
    address: Annotated[str, typer.Option(metavar="ADDRESS", help=_("Where the new, bare machine is."))],
    inventory: Inventory = LAB,
    fingerprint: Fingerprint = "",
    accept_new: AcceptNew = False,
    user: User = "root",
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """A dead host's work on a new machine: roles, backup, proof, its place."""
    province = load(inventory)
    site, dead = _host(province, host)
    try:
        IPv4Address(address)
    except AddressValueError as error:
        raise BadInput(f"--address {address}: is no address", hint="like 203.0.113.10") from error
    moved(province, site, dead.name, address)
    old = targets(province, [dead.inventory_name])[0]
    entry = _entry(province, fingerprint, user, password_file, accept_new=accept_new)
    job = _job(province, dead, changed(old, address=address), entry, drill=False)
    console = Console(stderr=True, highlight=False)
    if dry_run:
        _foretell(job, site, look(job), console, as_json=as_json)
        return
    with _running(job, console) as book:
        expected = _foretell(job, site, book.step("contents", lambda: look(job)), console)
        book.step("fence", lambda: _fence(job, old))
        report = rebuild(job, book)
        # What it was is remembered: begun again here, the register says the new one already.
        if address != book.step("address", lambda: str(dead.address)):
            file = province.folder / "sites" / f"{site.code}.yml"
            write_whole(file, moved(province, site, dead.name, address))
            if (PLAYBOOKS / "dns.yml").is_file():
                book.step("names", lambda: play(job, "dns.yml", ["--limit", job.hub.name]))
        silent = tell_kept(job) if "backup_hub" in dead.functions else {}
    _remember(job, site, report)
    shutil.rmtree(job.folder)
    for name, why in silent.items():
        text_ = _("{name}: {why}; when it answers: tram backup forget {name}")
        console.print(text_.format(name=name, why=why), markup=False)
    more = {"host": dead.inventory_name, "address": address, "not_told": sorted(silent)}
    _end(site, report, console, more, expected, as_json=as_json)


replace.__doc__ = _("A dead host's work on a new machine: roles, backup, proof, its place.")


def drill(
    host: HostName,
    *,
    spare: Spare,
    inventory: Inventory = LAB,
    out: Proofs = PROOFS,
    fingerprint: Fingerprint = "",
    accept_new: AcceptNew = False,
    user: User = "root",
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """The living host is not touched, but told at the end that its backup was proven."""
    province = load(inventory)
    site, living = _host(province, host)
    machine = targets(province, [spare])[0]
    if any(one.inventory_name == spare and one.functions for other in province.sites for one in other.hosts):
        raise BadInput(f"{spare}: has work of its own", hint="a spare has functions: [] in the register")
    entry = _entry(province, fingerprint, user, password_file, accept_new=accept_new)
    job = _job(province, living, machine, entry, drill=True)
    console = Console(stderr=True, highlight=False)
    if dry_run:
        _foretell(job, site, look(job), console, as_json=as_json)
        return
    with _running(job, console) as book:
        expected = _foretell(job, site, book.step("contents", lambda: look(job)), console)
        try:
            report = rebuild(job, book)
        finally:
            # Whatever came of it: the spare reads the living host's backup no longer than this command runs.
            if book.undo("door") or guest(job).exists():
                shut_out(job)
        ended = datetime.now(UTC)
        fate = _wipe(province, machine, report)
    document = text(living.inventory_name, site.code, report, ended, fate)
    file = issue(province, document, out, f"{living.inventory_name}-{ended:%Y%m%dT%H%M%SZ}")
    _remember(job, site, report)
    shutil.rmtree(job.folder)
    told = _tell(province, living, ended, console)
    check = f"ssh-keygen {' '.join(check_words(province, file))} <{file}"
    console.print(_("Certificate: {file}; check it: {check}").format(file=file, check=check), markup=False)
    _end(site, report, console, {"certificate": str(file), "told": told}, expected, as_json=as_json)


def _host(province: Province, wanted: str) -> tuple[Site, Host]:
    name = wanted.replace("/", "-", 1)
    known = [(site, host) for site in province.sites for host in site.hosts if "backup" in host.functions]
    found = [(site, host) for site, host in known if name in (site.code, host.inventory_name)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(host.inventory_name for _site, host in known) or "none"
    raise BadInput(
        f"{wanted}: {'is no host or site that is backed up' if not found else 'has several hosts'}",
        hint=f"give SITE/HOST; there are: {listed}",
    )


def _entry(province: Province, fingerprint: str, user: str, password_file: Path | None, *, accept_new: bool) -> Entry:
    password = read_password(password_file) if password_file else None
    return Entry(user, password, agent=not province.lab, first=first_contact(fingerprint, accept_new=accept_new))


def _job(province: Province, host: Host, machine: Target, entry: Entry, *, drill: bool) -> Job:
    keeps = keeper(province, host.inventory_name)
    if not (PLAYBOOKS / "site.yml").is_file():
        raise BadInput("playbooks/site.yml is not here", hint="call this in the project's folder")
    return Job(
        province,
        host,
        machine,
        targets(province, [keeps])[0],
        centre_key(province),
        entry,
        PLAYBOOKS.resolve(),
        drill,
    )


@contextmanager
def _running(job: Job, console: Console) -> Iterator[Book]:
    """The book of the job; each step is said as it begins."""

    said: set[str] = set()

    def told(step: str, done: bool) -> None:
        if step in WORDS and step not in said:
            said.add(step)
            mark = _("done before") if done else "…"
            console.print(f"{STEPS.index(step) + 1}/{len(STEPS)} {WORDS[step]} {mark}", markup=False)

    with opened(job, told) as book:
        yield book


def _foretell(
    job: Job, site: Site, found: dict[str, Any], console: Console, *, as_json: bool = False
) -> forecasts.Expected:
    """What it will cost, before anything is done."""
    expected = forecasts.expect(found, site.link, forecasts.last_like(job.province, job.host.inventory_name))
    if as_json:
        typer.echo(json.dumps({**found, **forecasts.said(expected)}, ensure_ascii=False, indent=1))
        return expected
    said = _("{archive}: {bytes} to bring back, {minutes} min; in all {all_bytes} and {all_minutes} min, {like}")
    like = (
        _("as the last one took ({like})").format(like=expected.like) if expected.like else _("a guess: the first one")
    )
    console.print(
        said.format(
            archive=found["archive"], bytes=size(expected.restore_bytes), minutes=_minutes(expected.restore_seconds),
            all_bytes=size(expected.bytes), all_minutes=_minutes(expected.seconds), like=like,
        ),
        markup=False,
    )  # fmt: skip
    return expected


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"


def _remember(job: Job, site: Site, report: dict[str, Any]) -> None:
    forecasts.remember(job.province, forecasts.measured(job.host.inventory_name, report, site.link))


def _fence(job: Job, old: Target) -> str:
    """The centre trusts the dead host's key no more.

    Raises: BadInput when it is alive.
    """
    try:
        come(old, job.key).transport.close()
    except LoginRefused:
        pass  # it has shown the key we pinned
    except (NotReached, IdentityChanged, IdentityUnknown):
        for target in (old, job.machine):
            Pins(target.pins).forget(target)
        return "forgotten"
    raise BadInput(
        f"{old.name} answers at {old.address}: it is not dead",
        hint="switch it off and take it off the network; two hosts of one name would both get its mail",
    )


def _wipe(province: Province, machine: Target, report: dict[str, Any]) -> str:
    """The spare forgets what it was; in a lab, it is made anew."""
    if province.lab:
        open_lab(province.state_dir.name).renew(machine.name)
        Pins(machine.pins).forget(machine)
        return "destroyed"
    came = [one for said in report["done"]["restore"]["said"].values() for one in said["restored"]]
    paths = [place for one in came for place in (one["target"], one.get("aside")) if place]
    gone = shlex.join(["/etc/tram-backup", "/etc/dovecot/users", "/var/lib/tram-backup-site", *paths])
    with come(machine, centre_key(province)) as session:
        ran = session.run(f"sudo -n rm -rf -- {gone} && date -u | sudo -n tee /etc/tram-drill-ended", within=LONG)
    if ran.code != 0:
        raise StepFailed(f"{machine.name}: {ran.last_words}", hint="empty it by hand: it holds what was brought back")
    return "emptied, to be set up anew"


def _tell(province: Province, living: Host, at: datetime, console: Console) -> bool:
    """The living host's metric; a host that does not answer is said."""
    command = f"sudo -n {AT_HOST} proven --at {at.timestamp():.0f}"
    try:
        with come(targets(province, [living.inventory_name])[0], centre_key(province)) as session:
            ran = session.run(command)
        if ran.code == 0:
            return True
        said = ran.last_words
    except TramError as problem:
        said = problem.message
    console.print(f"{living.inventory_name}: {said}: {command}", markup=False)
    return False


def _end(
    site: Site,
    report: dict[str, Any],
    console: Console,
    more: dict[str, Any],
    expected: forecasts.Expected,
    *,
    as_json: bool,
) -> None:
    done = report["done"]
    carried = sum(one["bytes_on_line"] for one in done["restore"]["said"].values())
    took = forecasts.measured("", report, site.link)
    seconds = took.apart_seconds + done["restore"]["seconds"]
    whole = None if took.apart_bytes is None else took.apart_bytes + carried
    said = {
        **more,
        "archive": report["contents"]["archive"],
        "compared": done["compare"]["said"],
        "line_bytes": carried,
        "restore_seconds": done["restore"]["seconds"],
        "whole_bytes": whole,
        "whole_seconds": round(seconds),
        **forecasts.said(expected),
        "steps_seconds": {name: one["seconds"] for name, one in done.items()},
    }
    if as_json:
        typer.echo(json.dumps(said, ensure_ascii=False, indent=1))
        return
    text_ = _("{files} files, {bytes}, as the archive has them; {carried} on the line in {minutes} min.")
    console.print(
        text_.format(
            files=said["compared"]["files"], bytes=size(said["compared"]["bytes"]),
            carried=size(whole if whole is not None else carried), minutes=_minutes(seconds),
        ),
        markup=False,
    )  # fmt: skip
