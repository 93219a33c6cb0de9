"""Fetch what hosts wrote down: their journals, packed on the host because the line is the narrow place."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

from tram.act.come import come
from tram.act.key import CentreKey
from tram.act.outcome import HostResult, NotReached, Outcome, StepFailed
from tram.act.target import Target
from tram.core.errors import TramError


def collect_journals(
    targets: Sequence[Target], key: CentreKey, since: timedelta, folder: Path, *, parallel: int = 8
) -> list[HostResult]:
    """The journal of the last `since` of every target into `folder`; results in the order of `targets`.

    `changes` of a result that is done is the file written. One host's trouble never stops another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        return list(pool.map(partial(_collect, key=key, since=since, folder=folder), targets))


def _collect(target: Target, key: CentreKey, since: timedelta, folder: Path) -> HostResult:
    try:
        path = collect_journal(target, key, since, folder)
        return HostResult(target.name, target.address, Outcome.DONE, (str(path),))
    except NotReached as problem:
        return HostResult(target.name, target.address, Outcome.NOT_REACHED, problem=problem)
    except TramError as problem:
        return HostResult(target.name, target.address, Outcome.FAILED, problem=problem)


def collect_journal(target: Target, key: CentreKey, since: timedelta, folder: Path) -> Path:
    """The journal of the last `since` in `folder`/<host>.journal.gz (text, one entry a line, UTC).

    An older file is replaced only when the new one is whole. Only a pinned host is asked, as its operator.
    Raises: NotReached, IdentityUnknown, IdentityChanged, LoginRefused, StepFailed.
    """
    path = folder / f"{target.name}.journal.gz"
    part = path.with_suffix(".part")
    journal = f"journalctl --quiet --no-pager --utc --output=short-iso --since=-{int(since.total_seconds())}s"
    # bash for pipefail: a journal that cannot be read must not look like an empty one.
    command = f"sudo -n bash -o pipefail -c {shlex.quote(journal + ' | gzip -c')}"
    try:
        with come(target, key) as session:
            part.touch(mode=0o600)  # what people did is in it
            with part.open("wb") as file:
                answer = session.save(command, file, within=timedelta(minutes=2))
        if answer.code != 0:
            raise StepFailed(f"{target.name}: journalctl: {answer.last_words}", hint="is the host bootstrapped?")
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)
