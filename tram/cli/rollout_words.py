"""The codes of rollouts in the operator's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram.ledger import Ended, HostRow, Outcome, State, utc_now
from tram.rollout.reason import Reason

REASONS = {
    "hub": _("the hub first: the others use its services"),
    "pilot": _("pilot site"),
    "first": _("no pilot in the register: the readiest site tries first"),
    "share": _("the next {size}"),
    "rest": _("the rest"),
    "ready": _("its last run ended well"),
    "new": _("never tried before"),
    "silent": _("not reached the last time"),
    "troubled": _("its last run failed"),
    "line": _("{link}: {down} down, {up} up, {rtt}, {loss} lost"),
    "no_line": _("beside the centre"),
    "no_window": _("{minutes} min are needed, its hours are {hours}"),
    "over_cap": _("{bytes} bytes are more than the {cap} allowed on its line"),
    "approval": _("a person is to let wave {wave} begin"),
    "failed": _("{host} failed: {reason}"),
    "too_few": _("{reached} of {total} hosts were reached, {needed} are needed"),
    "no_evidence": _("{host} is done by the centre's word only: its own report has not come"),
    "pushed": _("{host} is done, but it took no bundle and was verified by nobody: {reason}"),
    "nothing_verified": _("{host} is done, but nothing was verified there"),
    "verify_failed": _("{host}: {role}: {message}"),
    "errors": _("{host} told of {count} failed tasks though it is done"),
}
WAVES = {"hub": both("hub"), "pilot": both("pilot"), "rest": both("rest")}
STATES = {
    State.WAITING: ("dim", both("waiting")),
    State.RUNNING: ("cyan", both("running")),
    State.DONE: ("green", both("done")),
    State.FAILED: ("red", both("failed")),
    State.REVERTED: ("red", both("failed, reverted")),
    State.REFUSED: ("red", both("failed, refused")),
    State.NOT_REACHED: ("yellow", both("not reached")),
}
OUTCOMES = {
    Outcome.DONE: STATES[State.DONE],
    Outcome.FAILED: STATES[State.FAILED],
    Outcome.NOT_REACHED: STATES[State.NOT_REACHED],
}
STANDINGS = {
    "planned": ("dim", both("planned")),
    "waiting": ("dim", both("waiting")),
    "running": ("cyan", both("running")),
    "soaking": ("cyan", both("being watched")),
    "resting": ("yellow", both("resting")),
    "passed": ("green", both("passed")),
    "paused": ("yellow", both("paused")),
    "held": ("yellow", both("held")),
    "stopped": ("red", both("stopped")),
    "aborted": ("red", both("aborted")),
    "done": ("green", both("done")),
}


def reason(plain: Mapping[str, Any] | Reason) -> str:
    """One reason in words, safe to print."""
    found = plain if isinstance(plain, Reason) else Reason.of(plain)
    return escape(REASONS[found.code].format(**found.values))


def coloured(word: tuple[str, str], *, lines: bool = False) -> str:
    """A word in its colour; with `lines` the English under the Vietnamese, for a narrow column."""
    text = word[1].replace(" · ", "\n") if lines else word[1]
    return f"[{word[0]}]{text}[/]"


def host_line(host: str, ended: Ended) -> str:
    """How a host ended, in one line, safe to print."""
    parts = [ended.reason] if ended.reason else []
    if ended.next_try and ended.outcome is Outcome.NOT_REACHED:
        parts.append(_("again from {at}").format(at=clock(ended.next_try)))
    why = f": {escape('; '.join(parts))}" if parts else ""
    return f"{escape(host)}: {coloured(OUTCOMES[ended.outcome])}{why}"


def add_columns(table: Table, *headings: str) -> None:
    """Columns with these headings, the English under the Vietnamese; the first is never broken over lines."""
    for heading in headings:
        table.add_column(heading.replace(" · ", "\n"), overflow="fold", no_wrap=not table.columns)


def size(count: int) -> str:
    """Bytes for people, by thousands: 950 B, 21.4 kB, 5.1 MB."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def span(length: timedelta) -> str:
    """A span for people, to one unit: 5 s, 3 min, 2 h, 4 d."""
    seconds = max(0.0, length.total_seconds())
    for limit, unit, scale in ((90, "s", 1), (90 * 60, "min", 60), (36 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds / 86400:.0f} {_('d')}"


def wave_name(name: str) -> str:
    """A wave's name in words; a size is its own."""
    return WAVES.get(name, name)


def share(part: int, whole: int) -> str:
    """A bar with its figures: ███░░ 3/5."""
    filled = round(10 * part / whole) if whole else 0
    return f"{'█' * filled}{'░' * (10 - filled)} {part}/{whole}"


def ago(at: datetime | None) -> str:
    """How long ago; a dash for never."""
    return "–" if at is None else _("{span} ago").format(span=span(utc_now() - at))


def clock(at: datetime) -> str:
    """A moment by this machine's clock."""
    return f"{at.astimezone():%d/%m %H:%M:%S}"


def progress(row: HostRow) -> str:
    """How far a host is: its share of bytes, its task n of m; what the site itself says."""
    parts = [] if row.percent is None else [f"{row.percent} %"]
    if row.tasks_done is not None:
        parts.append(_("task {done} of {total}").format(done=row.tasks_done, total=row.tasks_total or "?"))
    if row.outcome is None and row.task:
        parts.append(escape(row.task))
    elif row.outcome is None and row.site_state:
        parts.append(escape(row.site_state))
    return ", ".join(parts) or "–"
