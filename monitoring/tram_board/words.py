"""What the board says of a thing, and why: the words of state and the findings behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tram_board.texts import later


class Word(StrEnum):
    """How a thing is. *unknown* is never good, and never hides what is known to be bad."""

    OK = "ok"
    UNKNOWN = "unknown"
    ATTENTION = "attention"
    BAD = "bad"


_RANK = {word: number for number, word in enumerate(Word)}


def worst(words: Iterable[Word]) -> Word:
    """bad, else attention, else unknown, else ok; of nothing: unknown, for nothing was looked at."""
    return max(words, key=_RANK.__getitem__, default=Word.UNKNOWN)


VERBS = {
    "reach": later("Reach"),
    "hardware": later("Hardware"),
    "mail": later("Mail"),
    "documents": later("Documents"),
    "antivirus": later("Antivirus"),
    "baseline": later("Baseline"),
    "backup": later("Backup"),
}
WORDS = {
    Word.OK: later("in order"),
    Word.ATTENTION: later("needs attention"),
    Word.BAD: later("bad"),
    Word.UNKNOWN: later("unknown"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a word. `text` is a msgid with places for `values`; `runbook` a page's name or ''."""

    word: Word
    verb: str
    host: str
    text: str
    values: Mapping[str, str] = field(default_factory=dict)
    evidence: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The word on one verb of a host or site, with its findings, worst first."""

    word: Word
    findings: tuple[Finding, ...]


def judged(findings: Iterable[Finding], *, otherwise: Word = Word.OK) -> Judgement:
    """The worst of the findings decides; `otherwise` when there is none."""
    found = sorted(findings, key=lambda finding: -_RANK[finding.word])
    return Judgement(worst(finding.word for finding in found) if found else otherwise, tuple(found))


# How rollouts, waves and hosts in them stand, by the ledger's words. `tram metrics` tells a word by its place here:
# a new one comes last.
STANDINGS = {
    "planned": later("planned"),
    "waiting": later("waiting"),
    "running": later("running"),
    "soaking": later("being watched"),
    "resting": later("resting"),
    "passed": later("passed"),
    "paused": later("paused"),
    "held": later("held"),
    "stopped": later("stopped"),
    "done": later("done"),
    "aborted": later("given up"),
    "failed": later("failed"),
    "reverted": later("failed, reverted"),
    "refused": later("failed, refused"),
    "not reached": later("not reached"),
}

SAID = {
    "quarantined": later("quarantined"),
    "reported": later("reported"),
    "bad_command": later("smartctl did not accept its command line"),
    "open_failed": later("The disk could not be opened"),
    "raid_volume": later("This is a RAID controller's volume; the disks behind it were not read"),
    "no_smart_data": later("The disk returned no SMART reading"),
    "scan": later("This file is a list of disks (smartctl --scan), not a disk's reading"),
    "no_json": later("smartctl did not print a whole JSON document"),
    "not_run": later("smartctl could not be run, or took too long"),
    "no_disks": later("No disk was found to read"),
    "age": later("The disk's age is not known"),
    "partial": later("A part of the reading is missing"),
    "implausible": later("A number cannot be true (65535, for example)"),
    "backwards": later("A counter went backwards: another disk, or a wrong reading"),
    "reading_failed": later("A hardware reading failed"),
    "silent": later("The host sent no reading within a day"),
    "clock": later("The host's clock is wrong (before 2020): nothing can be compared with before"),
}
"""What an exporter's codes mean: states of findings, and why a risk is not wholly known (risk.yml, `unknown`)."""


def told(finding: Finding, translate: Callable[[str], str]) -> str:
    """A finding for people, its values in their language, too, where they are words of ours."""
    values = {name: translate(SAID[value]) if value in SAID else value for name, value in finding.values.items()}
    return translate(finding.text).format(**values)
