"""What needs a person today, most urgent first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tram.register.model import Province, Site
from tram_board.state import ProvinceState, SiteState
from tram_board.texts import later
from tram_board.words import Finding, Word

_WEIGHT = {Word.BAD: 100.0, Word.ATTENTION: 10.0, Word.UNKNOWN: 3.0, Word.OK: 0.0}


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to see to: findings of a verb at a site, or silence; `with_it` are the sites silent with it."""

    site: Site
    verb: str
    word: Word
    rank: float
    findings: tuple[Finding, ...]
    with_it: tuple[str, ...] = ()


def tasks(state: ProvinceState) -> list[Task]:
    """Ranked by how bad it is times how much hangs on the site (sites below it, functions it has).

    Silence is one task at the highest site of those silent together: a cut above is not as many faults as it has sites
    below. What is unknown at a site that is heard is one task, not one a verb.
    """
    if state.problem:
        return []
    impact = _impact(state.province)
    found = []
    silent = _silences(state)
    for one in state.sites.values():
        if one.silent:
            if one.site.code in silent:
                rank = _WEIGHT[Word.BAD] / 2 * impact[one.site.code]
                findings = tuple(one.verbs["reach"].findings) if "reach" in one.verbs else ()
                found.append(Task(one.site, "reach", Word.UNKNOWN, rank, findings, tuple(silent[one.site.code])))
            continue
        found.extend(_of(one, impact[one.site.code]))
    return sorted(found, key=lambda task: (-task.rank, task.site.code, task.verb))


def _of(one: SiteState, impact: float) -> list[Task]:
    found = []
    unknown: list[Finding] = []
    for verb, judgement in one.verbs.items():
        known = tuple(finding for finding in judgement.findings if finding.word is not Word.UNKNOWN)
        if known:
            found.append(Task(one.site, verb, judgement.word, _WEIGHT[judgement.word] * impact, known))
        unknown += [finding for finding in judgement.findings if finding.word is Word.UNKNOWN]
    if unknown:
        found.append(Task(one.site, unknown[0].verb, Word.UNKNOWN, _WEIGHT[Word.UNKNOWN] * impact, tuple(unknown)))
    return found


def _silences(state: ProvinceState) -> dict[str, list[str]]:
    """The highest silent sites, each with the silent sites below it."""
    parents = {site.code: site.parent for site in state.province.sites}
    silent = {code for code, one in state.sites.items() if one.silent}
    groups: dict[str, list[str]] = {}
    for code in sorted(silent):
        top = code
        while (above := parents.get(top)) is not None and above in silent:
            top = above
        groups.setdefault(top, [])
        if top != code:
            groups[top].append(code)
    return groups


def _impact(province: Province) -> dict[str, float]:
    below: defaultdict[str, int] = defaultdict(int)
    parents = {site.code: site.parent for site in province.sites}
    for parent in parents.values():
        above = parent
        while above is not None:
            below[above] += 1
            above = parents.get(above)
    return {
        site.code: 1.0 + 0.1 * below[site.code] + 0.1 * len({f for host in site.hosts for f in host.functions})
        for site in province.sites
    }


ADVICE = {
    "reach": later("Call the site: is there power, is there a line?"),
    "hardware": later("Look at the evidence; order the part or free the disk."),
    "mail": later("See why the queue stands still."),
    "documents": later("Tell the office which papers wait."),
    "antivirus": later("See that the scanner runs and its signatures come."),
    "baseline": later("Deliver the baseline again, or write a waiver."),
    "backup": later("Run the backup by hand and read what it says."),
}


def plain_head(state: ProvinceState) -> dict[str, object]:
    """What every answer about the province begins with."""
    return {
        "province": state.province.code,
        "at": state.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "state": str(state.word),
        "problem": state.problem,
        "verbs": list(state.verbs),
        "unjudged": list(state.unjudged),
        "sites": {str(word): count for word, count in state.counts.items()},
    }


def plain_site(one: SiteState) -> dict[str, object]:
    """A site's state for machines."""
    return {
        "code": one.site.code,
        "name": one.site.name,
        "tier": one.site.tier,
        "parent": one.site.parent,
        "state": str(one.word),
        "silent": one.silent,
        "verbs": {verb: str(judgement.word) for verb, judgement in one.verbs.items()},
    }


def plain_tasks(found: Sequence[Task]) -> list[dict[str, object]]:
    """Tasks for machines."""
    return [
        {
            "site": task.site.code,
            "verb": task.verb,
            "state": str(task.word),
            "rank": round(task.rank, 1),
            "silent_with_it": list(task.with_it),
            "findings": [plain_finding(finding) for finding in task.findings],
        }
        for task in found
    ]


def plain_finding(finding: Finding) -> dict[str, object]:
    """A finding for machines, in English."""
    return {
        "state": str(finding.word),
        "verb": finding.verb,
        "host": finding.host,
        "text": finding.text.format(**finding.values),
        "evidence": finding.evidence,
        "runbook": finding.runbook,
    }
