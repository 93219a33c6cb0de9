"""A host's work on another machine: taken over, its roles applied, its backup brought back, compared and proven.

`tram replace` keeps what comes of it, `tram drill restore` only the proof. Each step is written down when it is done:
interrupted, the same command goes on there.
"""

from __future__ import annotations

import copy
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tram.act.backup import Wish, ask_hub, keeper, passphrase, restore, tell
from tram.act.bootstrap import Entry, bootstrap_host
from tram.act.come import come
from tram.act.key import CentreKey
from tram.act.outcome import Outcome, StepFailed
from tram.act.target import Target, targets
from tram.core.errors import BadInput
from tram.core.files import write_whole
from tram.delivery.returned import forget
from tram.push.playbook import run_playbook
from tram.register import Host, Province

STEPS = ("contents", "takeover", "roles", "door", "restore", "compare", "settle", "verify")
"""What both commands do, in this order."""
BESIDE = frozenset({"host"})
"""Services that are not put in their place: /etc is what the roles make it; the old one is kept beside, to look at."""


@dataclass(frozen=True, slots=True)
class Job:
    """Whose work, on which machine; `hub` keeps the backups; `playbooks` is the folder of the project's."""

    province: Province
    host: Host
    machine: Target
    hub: Target
    key: CentreKey
    entry: Entry
    playbooks: Path
    drill: bool = False

    @property
    def folder(self) -> Path:
        """Where the steps are remembered; a drill has secrets of its own there, too."""
        kind = "drill" if self.drill else "replace"
        return self.province.secrets_dir / "backup" / "rebuild" / f"{kind}-{self.host.inventory_name}"

    @property
    def secrets(self) -> Path:
        """Which secrets the roles read and write: a drill must not change what the living host goes by."""
        return self.folder / "secrets" if self.drill else self.province.secrets_dir


class Book:
    """The steps that are done, and what each of them found."""

    def __init__(self, file: Path, machine: str, told: Callable[[str, bool], None]) -> None:
        self.file, self.told = file, told
        try:
            self.data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.data = {"machine": machine, "began": _now(), "done": {}}
        if self.data["machine"] != machine:
            raise BadInput(
                f"it was begun on {self.data['machine']}, not on {machine}",
                hint=f"go on there, or forget that try: rm -r {file.parent}",
            )

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """What the step found, now or when it was done."""
        done = self.data["done"]
        self.told(name, name in done)
        if name not in done:
            began = datetime.now(UTC)
            said = work()
            done[name] = {"said": said, "at": _now(), "seconds": round((datetime.now(UTC) - began).total_seconds(), 1)}
            self._write()
        return done[name]["said"]

    def undo(self, name: str) -> bool:
        """Forget that a step was done; whether it was."""
        was = self.data["done"].pop(name, None) is not None
        self._write()
        return was

    def _write(self) -> None:
        write_whole(self.file, json.dumps(self.data, indent=1, sort_keys=True), mode=0o600)


@contextmanager
def opened(job: Job, told: Callable[[str, bool], None]) -> Iterator[Book]:
    """The job's book, while no other command is at it.

    Raises: BadInput when one is, or when it was begun on another machine.
    """
    job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (job.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                f"{job.host.inventory_name}: another command is rebuilding it", hint="wait for its end"
            ) from error
        yield Book(job.folder / "state.json", f"{job.machine.name} ({job.machine.address})", told)


def rebuild(job: Job, book: Book) -> dict[str, Any]:
    """All of STEPS; what the archive had, what came back and how.

    Raises: StepFailed, NotReached, BadInput: the next call goes on with the step that failed.
    """
    name = job.host.inventory_name
    found = book.step("contents", lambda: look(job))
    book.step("takeover", lambda: take_over(job))
    book.step("before", lambda: crossed(job))
    with overlay(job) as words:
        book.step("roles", lambda: apply_roles(job, found, words))
        if "verify" not in book.data["done"]:  # proven, it may be emptied by now, and is let in no more
            book.step("door", lambda: let_in(job, words))
        book.step("restore", lambda: bring_back(job, found))
        book.step("compare", lambda: compare(found, book.data["done"]["restore"]["said"]))
        book.step("settle", lambda: settle(job, found, words))
        book.step("verify", lambda: play(job, "ops/prove.yml", [*words, "--limit", name]))
    book.step("after", lambda: crossed(job))
    # A copy: a step that is undone afterwards took its time all the same.
    return {"contents": found, **copy.deepcopy(book.data)}


def look(job: Job) -> dict[str, Any]:
    """What the newest archive has, read at the hub.

    Raises: BadInput, Tampered, StepFailed, NotReached.
    """
    secret = passphrase(job.province.secrets_dir, job.host.inventory_name)
    with come(job.hub, job.key) as session:
        found: dict[str, Any] = ask_hub(session, ["contents", job.host.inventory_name], secret)
    return found


def crossed(job: Job) -> int:
    """Bytes the machine has sent and received."""
    with come(job.machine, job.key) as session:
        said = session.run("cat /proc/net/dev").stdout
    # Source: proc(5): after the colon, bytes received come first, bytes sent are the ninth.
    rows = [line.split(":", 1) for line in said.splitlines() if ":" in line]
    return sum(int(row.split()[n]) for name, row in rows if name.strip() != "lo" for n in (0, 8))


def take_over(job: Job) -> str:
    """The machine is the centre's; the fingerprint of its key."""
    if job.drill:
        shutil.copytree(
            job.province.secrets_dir, job.secrets, ignore=shutil.ignore_patterns("rebuild"), dirs_exist_ok=True
        )
        job.secrets.chmod(0o700)
    result = bootstrap_host(job.machine, job.entry, job.key)
    if result.problem is not None:
        raise result.problem
    assert result.outcome is Outcome.DONE
    forget(job.secrets, job.host.inventory_name)
    return result.fingerprint


@contextmanager
def overlay(job: Job) -> Iterator[list[str]]:
    """The words that have Ansible take the machine for the host."""
    with tempfile.TemporaryDirectory(prefix="tram-") as folder:
        # A connection of its own: the one to the dead machine may still be held open under the same address.
        mine = {"ansible_host": job.machine.address, "ansible_control_path_dir": folder}
        mine |= {"tram_secrets_dir": str(job.secrets)} if job.drill else {}
        file = Path(folder) / "machine.json"
        file.write_text(json.dumps({"all": {"hosts": {job.host.inventory_name: mine}}}), encoding="utf-8")
        yield ["-i", str(file)]


def play(job: Job, playbook: str, words: Sequence[str]) -> dict[str, int]:
    """Run a playbook to its end.

    Raises: StepFailed with the first failures.
    """
    # Ansible refuses to start in a locale that is none; an operator's may be that.
    recap = run_playbook(job.playbooks / playbook, job.province.folder, extra=words, env={"LC_ALL": "C.UTF-8"})
    if recap.code != 0:
        raise StepFailed(
            f"playbooks/{playbook}: {'; '.join(recap.failures()[:3]) or f'exit {recap.code}'}",
            hint="mend that, then run the same command again: it goes on here",
        )
    return {"changed": len(recap.changed())}


def apply_roles(job: Job, found: dict[str, Any], words: Sequence[str]) -> dict[str, int]:
    """What the host is for; what takes from the backup must be there before it, also where site.yml has it not."""
    usual = (job.playbooks / "site.yml").read_text(encoding="utf-8")
    more = [book for book in _books(job, found) if book not in usual]
    limit = ["--limit", job.host.inventory_name]
    return {book: play(job, book, [*words, *limit])["changed"] for book in ("site.yml", *more)}


def _books(job: Job, found: dict[str, Any]) -> list[str]:
    """The playbooks of the services that an archive has."""
    return [book for service in found["services"] if (job.playbooks / (book := f"{service}.yml")).is_file()]


def let_in(job: Job, words: Sequence[str]) -> dict[str, int]:
    """The machine can read the backup; who could before, cannot any more, unless this is a drill."""
    name = job.host.inventory_name
    play(job, "backup.yml", [*words, "--limit", name])
    if job.drill:
        with come(job.machine, job.key) as session:  # it must hand in nothing in the living host's name
            ran = session.run("sudo -n systemctl disable --now tram-backup.timer")
        if ran.code != 0:
            raise StepFailed(f"{job.machine.name}: {ran.last_words}", hint="it was not let in; run it again")
        made = job.secrets / "backup/keys" / f"{name}.pub"
        guest(job).write_bytes(made.read_bytes())
    return play(job, "backup.yml", ["--limit", job.hub.name])


def guest(job: Job) -> Path:
    """The key by which a drill's machine is let in beside the living host (role backup_hub)."""
    return job.province.secrets_dir / "backup/keys" / f"{job.host.inventory_name}.drill.pub"


def shut_out(job: Job) -> None:
    """A drill's machine reads the backup no more."""
    guest(job).unlink(missing_ok=True)
    play(job, "backup.yml", ["--limit", job.hub.name])


def bring_back(job: Job, found: dict[str, Any]) -> dict[str, Any]:
    """Every service of the archive; what came of each. Told to do it again, what came before is kept aside."""
    came: dict[str, Any] = {}
    for service in found["services"]:
        wish = Wish(
            found["archive"],
            services=(service,),
            in_place=service not in BESIDE,
            overwrite=True,
            keep_newer=True,
            who=f"pid {os.getpid()}",
        )
        with come(job.machine, job.key) as session:
            came[service] = restore(session, wish)
    return came


def compare(found: dict[str, Any], came: dict[str, Any]) -> dict[str, Any]:
    """Files, bytes and digest of every path, as the archive has them and as they lie on the machine.

    Raises: StepFailed.
    """
    for service, paths in found["services"].items():
        there = {one["path"]: one for one in came[service]["restored"]}
        for path in paths:
            one = there.get(path["path"], {})
            for kind in ("files", "bytes", "sha256"):
                if one.get(kind) != path[kind]:
                    raise StepFailed(
                        f"{service}: {path['path']}: {kind}: the archive has {path[kind]}, the machine {one.get(kind)}",
                        hint="something wrote there meanwhile, or the disk is bad: see its journal",
                    )
    every = [path for paths in found["services"].values() for path in paths]
    return {"files": sum(one["files"] for one in every), "bytes": sum(one["bytes"] for one in every)}


def settle(job: Job, found: dict[str, Any], words: Sequence[str]) -> dict[str, int]:
    """The services' roles once more: what they made for an empty machine gives way to what came back."""
    also = [] if job.drill else [job.hub.name]
    limit = ",".join([job.host.inventory_name, *also])
    books = _books(job, found) + (["backup.yml"] if "backups" in found["services"] else [])
    return {book: play(job, book, [*words, "--limit", limit])["changed"] for book in books}


def tell_kept(job: Job) -> dict[str, str]:
    """The hosts whose backups are kept here go on with what this hub has, which is older than what they remember; which
    of them could not be told, and why."""
    kept = [
        one.inventory_name
        for site in job.province.sites
        for one in site.hosts
        if "backup" in one.functions and keeper(job.province, one.inventory_name) == job.host.inventory_name
    ]
    return tell(targets(job.province, kept), job.key) if kept else {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
