"""The exporter `mail`: how much waits, comes, goes and is refused. Counts only: no sender, recipient or content.

Source: postqueue(1) -j; Postfix's log lines as postconf(5) and smtpd(8) describe them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tram_exporters.machine import Machine
from tram_exporters.textfile import EARLIEST, Page, Unreadable, put

_REJECT = re.compile(
    r"^(?:NOQUEUE|[0-9A-Za-z]+): (?P<milter>milter-)?reject: [^;]*?: "
    r"(?:(?P<reply>[45]\d\d)(?: (?P<status>[45]\.\d+\.\d+))?|(?P<alone>[45]\.\d+\.\d+)) "
)
MOST_LINES = 50_000
_REASONS = (
    ("5.1.1", "recipient_unknown"),
    ("5.1.8", "sender_domain"),
    ("5.1.7", "sender_unknown"),
    ("5.7.23", "spf"),
    ("5.3.4", "too_large"),
    ("5.2.2", "mailbox_full"),
    ("5.7", "policy"),
)


def collect(state: Path, machine: Machine | None = None) -> Page:
    """One run."""
    machine = machine or Machine()
    page = Page("mail")
    with page.reading("queue"):
        _queue(page, machine)
    with page.reading("log"):
        _log(page, machine, state / "mail.json")
    return page


def _queue(page: Page, machine: Machine) -> None:
    said = machine.run(["postqueue", "-j"], 30)
    if said.code:
        raise Unreadable(f"postqueue: {said.stderr.strip()[:80]}")
    arrived = [json.loads(line)["arrival_time"] for line in said.stdout.splitlines() if line.strip()]
    page.gauge("tram_mail_queue_messages", "Messages that wait in Postfix's queue.", len(arrived))
    if machine.now >= EARLIEST:
        oldest = max((machine.now - float(at) for at in arrived), default=0.0)
        page.gauge(
            "tram_mail_queue_oldest_seconds",
            "Age of the oldest message that waits; 0 when none does.",
            max(0.0, oldest),
        )


def classify(lines: Iterable[str]) -> dict[str, int]:
    """How many of Postfix's log lines say what: received, sent, or refused for which reason."""
    found: dict[str, int] = {}
    for line in lines:
        what = _what(line)
        if what:
            found[what] = found.get(what, 0) + 1
    return found


def _what(line: str) -> str | None:
    if ": message-id=" in line:
        return "received"
    if " status=sent (" in line:
        return "sent"
    refused = _REJECT.match(line)
    if refused is None:
        return None
    code = refused["status"] or refused["alone"] or ""
    if (refused["reply"] or code).startswith("4"):
        return "rejected later"
    if refused["milter"]:
        return "rejected content"
    return "rejected " + next((name for begin, name in _REASONS if code.startswith(begin)), "other")


def _log(page: Page, machine: Machine, path: Path) -> None:
    """Count what the journal says since the last run; what was counted is kept, the place in the journal too."""
    kept = _read(path)
    argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE", "SYSLOG_FACILITY=2"]
    cursor = kept.get("cursor")
    # So many at a time: what gathered while nobody counted is caught up with, run by run.
    begin = [f"--after-cursor={cursor}", f"--lines={MOST_LINES}"] if cursor else ["--lines=1"]
    said = machine.run([*argv, *begin], 40)
    if said.code and cursor:
        # The journal was turned over and lost the place; what lies between is not counted rather than counted twice.
        said = machine.run([*argv, "--lines=1"], 40)
        cursor = None
    if said.code:
        raise Unreadable(f"journalctl: {said.stderr.strip()[:80]}")
    entries = [json.loads(line) for line in said.stdout.splitlines() if line.strip()]
    counts: dict[str, Any] = kept.get("counts", {})
    if cursor:
        texts = (entry.get("MESSAGE") for entry in entries)
        for what, more in classify(text for text in texts if isinstance(text, str)).items():
            counts[what] = counts.get(what, 0) + more
    after = entries[-1]["__CURSOR"] if entries else cursor
    put(path, json.dumps({"cursor": after, "counts": counts}, sort_keys=True) + "\n")
    page.counter("tram_mail_received_total", "Messages taken into the queue.", counts.get("received", 0))
    page.counter("tram_mail_sent_total", "Deliveries that succeeded, here or elsewhere.", counts.get("sent", 0))
    for reason in sorted(
        {"recipient_unknown", "content", "later", *(what[9:] for what in counts if what.startswith("rejected "))}
    ):
        refused = counts.get(f"rejected {reason}", 0)
        page.counter("tram_mail_rejected_total", "Refused by kind; `later` was put off.", refused, reason=reason)


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(key): int(value) for key, value in kept["counts"].items() if int(value) >= 0}
        return {"cursor": kept.get("cursor"), "counts": counts}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
