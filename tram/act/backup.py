"""Backups over the operator's connection: the hub lists, checks and prunes, a host brings back its own.

A host's passphrase is the centre's; it is handed to the hub's program by standard input and stays nowhere there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.act.come import come
from tram.act.key import CentreKey
from tram.act.outcome import StepFailed
from tram.act.session import Session
from tram.act.target import Target
from tram.core.errors import BadInput, TramError
from tram.register import Province

AT_HUB = "tram-backup-hub"
AT_HOST = "tram-backup"
LONG = timedelta(hours=12)
"""Neither program says anything before its end, and an ADSL line carries some GB in a night."""
_TAMPERED = 3


class Tampered(StepFailed):
    """The hub misses archives that nobody pruned, or a key was replaced."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to come back: services and absolute paths of an archive ("latest" or its name); `to` a folder at the host
    (None: the host's own place for it). `who` is told to whoever wants to restore meanwhile."""

    archive: str = "latest"
    services: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    to: str | None = None
    in_place: bool = False
    overwrite: bool = False
    dry: bool = False
    who: str = "the centre"
    keep_newer: bool = False


def passphrase(secrets: Path, host: str) -> str:
    """A host's passphrase, as role backup made it at the centre.

    Raises: BadInput when there is none.
    """
    path = secrets / "backup" / "passphrases" / host
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadInput(
            f"{host}: the centre has no passphrase of its backup ({path})",
            hint="give it the function backup and run playbooks/backup.yml; had it one, put the secrets back",
        ) from error


def keeper(province: Province, host: str) -> str:
    """Who keeps a host's backup, by inventory name: the hub; for the hub's own hosts one elsewhere, if there is one.

    Raises: BadInput when nobody does.
    """
    every = [
        (site, one.inventory_name) for site in province.sites for one in site.hosts if "backup_hub" in one.functions
    ]
    central = [name for site, name in every if site.is_hub]
    elsewhere = [name for site, name in every if not site.is_hub]
    of_hub = any(host == one.inventory_name for one in province.hub.hosts)
    found = (elsewhere if of_hub and elsewhere else central)[:1]
    if found and found != [host]:
        return found[0]
    if not central:
        raise BadInput(
            f"{province.folder}: no host of the hub has the function backup_hub",
            hint=f"add it in sites/{province.hub.code}.yml, then run playbooks/backup.yml",
        )
    raise BadInput(
        f"{host}: keeps the others' backups, and nobody keeps its own",
        hint="give a host of another site the function backup_hub, then run playbooks/backup.yml",
    )


def ask_hub(session: Session, words: Sequence[str], secret: str) -> Any:
    """What the hub's program says of a host: `list`, `check` or `prune`, the host, options.

    Raises: Tampered, StepFailed, NotReached.
    """
    answer = session.run(shlex.join(["sudo", "-n", AT_HUB, *words]), stdin=f"{secret}\n", within=LONG)
    if answer.code == _TAMPERED:
        raise Tampered(
            _said(answer.last_words, AT_HUB), hint="docs/runbooks/backup-history-missing.md says how to go back"
        )
    if answer.code != 0:
        raise StepFailed(
            f"{session.target.name}: {_said(answer.last_words, AT_HUB)}",
            hint="if the program is missing: give the hub the function backup_hub and run playbooks/backup.yml",
        )
    return json.loads(answer.stdout)


def restore(session: Session, wish: Wish) -> dict[str, Any]:
    """What came back, and where it is.

    Raises: BadInput when something stands in the way and nothing was changed; StepFailed, NotReached.
    """
    words = [AT_HOST, "restore", "--archive", wish.archive, "--by", wish.who]
    words += [word for name in wish.services for word in ("--service", name)]
    words += [word for path in wish.paths for word in ("--path", path)]
    words += ["--in-place"] if wish.in_place else ["--to", wish.to] if wish.to else []
    words += [
        flag
        for flag, on in (("--overwrite", wish.overwrite), ("--dry-run", wish.dry), ("--keep-newer", wish.keep_newer))
        if on
    ]
    answer = session.run(shlex.join(["sudo", "-n", *words]), within=LONG)
    if answer.code == 0:
        found: dict[str, Any] = json.loads(answer.stdout)
        return found
    said = f"{session.target.name}: {_said(answer.last_words, AT_HOST)}"
    if answer.code == BadInput.exit_code:
        raise BadInput(said, hint="nothing was changed")
    raise StepFailed(said, hint=f"on the host: sudo {AT_HOST} status")


def tell(hosts: Sequence[Target], key: CentreKey) -> dict[str, str]:
    """Have each host forget how new the hub's state was: after the hub went back to an older one. Who was not told, and
    why."""

    def one(host: Target) -> str:
        try:
            with come(host, key) as session:
                answer = session.run(f"sudo -n {AT_HOST} forget")
        except TramError as problem:
            return problem.message
        return "" if answer.code == 0 else _said(answer.last_words, AT_HOST)

    with ThreadPoolExecutor(8) as pool:
        return {host.name: said for host, said in zip(hosts, pool.map(one, hosts), strict=True) if said}


def document_path(session: Session, host: str, words: str, archive: str, secret: str) -> tuple[str, str]:
    """The archive, and the file in it of the one document with these words in its name, number or subject.

    Raises: BadInput for none or several; StepFailed, NotReached.
    """
    said = ask_hub(session, ["find", "--archive", archive, "--", host, words], secret)
    found = said["found"]
    if len({one["document"] for one in found}) == 1:
        return said["archive"], found[0]["path"]  # its newest file
    listed = "; ".join(f"{one['label']} ({', '.join(one['told'][:3])})" for one in found[:5])
    raise BadInput(
        f"{words}: {'no document' if not found else f'{len(found)} files of several documents'} in {said['archive']}",
        hint=f"more words of its name or number: {listed}" if found else "words of its name, its number or its subject",
    )


def mailbox_path(address: str) -> str:
    """Where role mail has a mailbox.

    Raises: BadInput.
    """
    user, at, domain = address.partition("@")
    if not (user and at and domain) or "/" in address or user.startswith(".") or domain.startswith("."):
        raise BadInput(f"{address}: is no address of a mailbox", hint="like van-thu@so-noi-vu.tinh.example")
    return f"/var/vmail/{domain}/{user}"


def _said(last: str, program: str) -> str:
    return last.removeprefix(f"{program}: ").removesuffix(" Nothing was changed")
