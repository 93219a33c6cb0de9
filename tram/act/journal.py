"""Fetch what a host wrote down: its journal, packed on the host because the line is the narrow place."""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path

from tram.act.connect import FirstContact, connect
from tram.act.key import CentreKey
from tram.act.outcome import StepFailed
from tram.act.pins import Pins
from tram.act.session import Login, log_in
from tram.act.target import Target


def collect_journal(target: Target, key: CentreKey, since: timedelta, folder: Path) -> Path:
    """The journal of the last `since` in `folder`/<host>.journal.gz (text, one entry a line, UTC).

    An older file is replaced only when the new one is whole. Only a pinned host is asked, as its operator.
    Raises: NotReached, IdentityUnknown, IdentityChanged, LoginRefused, StepFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target.name}.journal.gz"
    part = path.with_suffix(".part")
    journal = f"journalctl --quiet --no-pager --utc --output=short-iso --since=-{int(since.total_seconds())}s"
    # bash for pipefail: a journal that cannot be read must not look like an empty one.
    command = f"sudo -n bash -o pipefail -c {shlex.quote(journal + ' | gzip -c')}"
    transport = connect(target, Pins(target.pins), FirstContact())
    with log_in(target, transport, Login(target.operator, (key.key,))) as session, part.open("wb") as file:
        answer = session.save(command, file, within=timedelta(minutes=2))
    if answer.code != 0:
        part.unlink()
        raise StepFailed(f"{target.name}: journalctl: {answer.last_words}", hint="is the host bootstrapped?")
    return part.replace(path)
