"""Who uses what he was given: issued, activated, used in 30 days, sent. Counters: docs/contracts/accounts.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tram.accounts.directory import Entry, State
from tram.core.errors import TramError

USED_WITHIN = timedelta(days=30)


class CountersUnreadable(TramError):
    """A mail host answered with something else than its counters."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox's counters: the day of the last login (None: never), messages handed in within 30 days."""

    last_login: date | None
    sent: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """One agency: each figure counts people who are in the one before. None: unknown, the mail host did not answer."""

    agency: str
    people: int
    issued: int
    activated: int
    used: int | None
    sent: int | None


def read_counters(text: str) -> dict[str, Mailbox]:
    """What `tram-mail-counters` printed, by address.

    Raises: CountersUnreadable.
    """
    try:
        said: dict[str, Any] = json.loads(text)
        if said["version"] != 1:
            raise ValueError("another version")
        return {
            address.lower(): Mailbox(
                date.fromisoformat(one["last_login"]) if one["last_login"] else None, int(one["sent_30_days"])
            )
            for address, one in said["mailboxes"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CountersUnreadable(
            f"the counters cannot be read: {error}", hint="run playbooks/mail.yml for that host"
        ) from error


def funnels(
    state: State, agencies: Sequence[str], counters: Mapping[str, Mapping[str, Mailbox] | None], now: datetime
) -> list[Funnel]:
    """The funnel of each agency; `counters` are those of the host that has the agency's mailboxes, None when it did not
    answer."""
    found = []
    for agency in agencies:
        people = [entry for entry in state.people if entry.agency == agency and entry.state != "disabled"]
        issued = [entry for entry in people if entry.issued]
        activated = [entry for entry in issued if entry.own_password]
        boxes = counters.get(agency)
        if boxes is None:
            found.append(Funnel(agency, len(people), len(issued), len(activated), None, None))
            continue
        used = [entry for entry in activated if _used(boxes.get(entry.mail), now)]
        sent = [entry for entry in used if (box := boxes.get(entry.mail)) and box.sent > 0]
        found.append(Funnel(agency, len(people), len(issued), len(activated), len(used), len(sent)))
    return found


def _used(box: Mailbox | None, now: datetime) -> bool:
    return box is not None and box.last_login is not None and now.date() - box.last_login <= USED_WITHIN


def total(rows: Iterable[Funnel]) -> Funnel:
    """All agencies together; unknown as soon as one is."""
    rows = list(rows)
    used, sent = ([getattr(row, name) for row in rows] for name in ("used", "sent"))
    return Funnel(
        "",
        sum(row.people for row in rows),
        sum(row.issued for row in rows),
        sum(row.activated for row in rows),
        None if None in used else sum(used),
        None if None in sent else sum(sent),
    )


STAGES = ("people", "issued", "activated", "used", "sent")


def csv_lines(rows: Iterable[Funnel]) -> str:
    """One line an agency; an unknown figure is empty."""
    lines = [",".join(("agency", *STAGES))]
    for row in rows:
        values = [getattr(row, stage) for stage in STAGES]
        lines.append(",".join((row.agency, *("" if value is None else str(value) for value in values))))
    return "\n".join(lines) + "\n"


def metrics(rows: Iterable[Funnel], now: datetime) -> str:
    """For the textfile collector of Prometheus' node exporter. An unknown figure has no line: absent, not nought.

    Source: Prometheus, "Exposition formats".
    """
    lines = [
        "# HELP tram_accounts People by agency and stage: on the rosters, issued, activated, used in 30 days, sent.",
        "# TYPE tram_accounts gauge",
    ]
    for row in rows:
        for stage in STAGES:
            value = getattr(row, stage)
            if value is not None:
                lines.append(f'tram_accounts{{agency="{row.agency}",stage="{stage}"}} {value}')
    lines += [
        "# HELP tram_accounts_measured_timestamp_seconds When this was counted.",
        "# TYPE tram_accounts_measured_timestamp_seconds gauge",
        f"tram_accounts_measured_timestamp_seconds {now.astimezone(UTC).timestamp():.0f}",
    ]
    return "\n".join(lines) + "\n"


def unused(state: State, agency: str) -> list[Entry]:
    """Whose slip lies unopened: issued, never activated."""
    return [e for e in state.people if e.agency == agency and e.state != "disabled" and e.issued and not e.own_password]
