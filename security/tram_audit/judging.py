"""One control against the facts of one host: a verdict with its evidence."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from tram.look import harmless
from tram.register import Host, Site
from tram_audit.control import Both, Check, ControlShape, WaiverShape
from tram_audit.facts import Facts
from tram_audit.loading import Profile, Rules, expired
from tram_audit.settings import Settings


class Status(StrEnum):
    """How a control stands on a host."""

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` says why it is not simply pass or fail; `evidence` is what was seen, "look: key = value"."""

    control: str
    host: str
    status: Status
    evidence: tuple[str, ...] = ()
    reason: Both | None = None
    waiver: WaiverShape | None = None


_MOST_EVIDENCE = 12


def profile_for(rules: Rules, site: Site, host: Host) -> Profile:
    """The first profile, in the order of the file, that is for such a host."""
    for profile in rules.profiles.values():
        shape = profile.shape
        wanted = [
            *([site.is_hub] if shape.hub else []),
            *([host.year <= shape.year_until] if shape.year_until is not None else []),
            *([shape.function in host.functions] if shape.function is not None else []),
        ]
        if all(wanted):
            return profile
    return list(rules.profiles.values())[-1]


def judge_host(
    rules: Rules, profile: Profile, host: Host, facts: Facts, *, operator: str, today: datetime.date
) -> Iterator[Verdict]:
    """A verdict for every control of the profile; `operator` is the account the centre comes by."""
    for code in profile.controls:
        control = rules.controls[code]
        verdict = _judge(control, profile.spares, host, facts, operator)
        mine = [w for w in rules.waivers if w.control == code and host.inventory_name in w.hosts]
        yield _waived(verdict, mine, today) if verdict.status is Status.FAIL and mine else verdict


def _waived(verdict: Verdict, waivers: Sequence[WaiverShape], today: datetime.date) -> Verdict:
    """A failure that is known and allowed for a time; an expired waiver allows nothing."""
    last = max(waivers, key=WaiverShape.ends)
    if expired(last, today):
        reason = Both(vi=f"miễn trừ hết hạn ngày {last.expires}", en=f"its waiver expired on {last.expires}")
        return Verdict(verdict.control, verdict.host, Status.FAIL, verdict.evidence, reason, last)
    reason = Both(vi=f"đến {last.expires}, {last.owner}: {last.reason}", en=f"until {last.expires}: {last.reason}")
    return Verdict(verdict.control, verdict.host, Status.WAIVED, verdict.evidence, reason, last)


def _judge(control: ControlShape, spares: Mapping[str, Both], host: Host, facts: Facts, operator: str) -> Verdict:
    name = host.inventory_name
    if (reason := spares.get(control.id) or _elsewhere(control, host, facts)) is not None:
        return Verdict(control.id, name, Status.NOT_APPLICABLE, (), reason)
    unknown: list[str] = []
    wrong: list[str] = []
    right: list[str] = []
    outside: list[str] = []
    if (control.applies.machine or control.applies.suites) and "system" not in facts.known:
        unknown.append(f"system: {facts.unknown.get('system', 'was not looked at')}")
    for check in control.check:
        settings = facts.known.get(check.look)
        if settings is None:
            unknown.append(f"{check.look}: {facts.unknown.get(check.look, 'was not looked at')}")
            continue
        found = _matching(settings, check.key)
        if not found and check.only is None:
            kind = {"pass": right, "fail": wrong, "not applicable": outside}[check.absent]
            kind.append(f"{check.look}: {check.key} is not there")
            continue
        bad = list(_bad(check, found, host.functions, operator))
        wrong += [f"{check.look}: {line}" for line in bad]
        if not bad:
            right += [f"{check.look}: {key} = {' | '.join(values)}" for key, values in found.items()][:3]
    # What is wrong is wrong, whatever else could not be seen; what could not be seen is never right.
    if wrong:
        return Verdict(control.id, name, Status.FAIL, _short(wrong))
    if unknown:
        reason = Both(vi="không xem được: " + unknown[0], en="could not be seen: " + unknown[0])
        return Verdict(control.id, name, Status.UNKNOWN, _short(unknown), reason)
    if outside and not right:
        reason = Both(vi="máy này không có: " + outside[0], en="not on this host: " + outside[0])
        return Verdict(control.id, name, Status.NOT_APPLICABLE, _short(outside), reason)
    return Verdict(control.id, name, Status.PASS, _short(right))


def _elsewhere(control: ControlShape, host: Host, facts: Facts) -> Both | None:
    """Why the control is not for this host; the machine is what was seen, the functions are the register's."""
    applies = control.applies
    if applies.functions and not set(applies.functions) & set(host.functions):
        named = ", ".join(applies.functions)
        return Both(vi=f"máy này không có chức năng {named}", en=f"the host has no function {named}")
    suite, virt = facts.one("system", "suite"), facts.one("system", "virt")
    if applies.suites and suite and suite not in applies.suites:
        return applies.reason
    seen = "" if not virt else "metal" if virt == "none" else "container"
    return applies.reason if applies.machine and seen and seen != applies.machine else None


def _matching(settings: Settings, key: str) -> dict[str, tuple[str, ...]]:
    if "*" not in key and "?" not in key:
        return {key: settings[key]} if key in settings else {}
    return {name: values for name, values in settings.items() if fnmatchcase(name, key)}


def _bad(check: Check, found: Mapping[str, tuple[str, ...]], functions: Sequence[str], operator: str) -> Iterator[str]:
    """Each setting that is not as it must be, in words."""
    if check.only is not None:
        allowed = [*check.only, *(key for function in functions for key in check.by_function.get(function, []))]
        allowed = [pattern.replace("@operator", operator) for pattern in allowed]
        for key, values in found.items():
            if not _fits(key, allowed):
                yield f"{key} = {' | '.join(values)}"
        return
    if check.includes is not None:
        items = [item for values in found.values() for value in values for item in _items(value)]
        missing = [pattern for pattern in check.includes if not any(fnmatchcase(item, pattern) for item in items)]
        yield from (f"{check.key} has no {pattern}" for pattern in missing)
        return
    for key, values in found.items():
        for value in values:
            if not _holds(check, value):
                yield f"{key} = {value or '(empty)'}"


def _holds(check: Check, value: str) -> bool:
    items = _items(value)
    if check.equals is not None:
        return value in check.equals
    if check.at_least is not None or check.at_most is not None:
        number = re.fullmatch(r"-?\d+", value)
        low, high = check.at_least, check.at_most
        return bool(number) and (low is None or int(value) >= low) and (high is None or int(value) <= high)
    if check.within is not None:
        return bool(items) and all(_fits(item, check.within) for item in items)
    if check.without is not None:
        return not any(_fits(item, check.without) for item in items)
    assert check.mode is not None
    seen = re.match(r"[0-7]+", value)
    return bool(seen) and int(value.split(maxsplit=1)[0], 8) & ~int(check.mode, 8) & 0o7777 == 0


def _items(value: str) -> list[str]:
    """A list as programs write it: with commas, or blanks."""
    return [item for item in re.split(r"[,\s]+", value) if item]


def _fits(item: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(item, pattern) for pattern in patterns)


def _short(lines: Sequence[str]) -> tuple[str, ...]:
    """Evidence that a page can hold, and that does nothing to who reads it: the words are the host's."""
    plain = [harmless(line) for line in dict.fromkeys(lines)]
    cut = [line if len(line) <= 300 else line[:297] + "…" for line in plain]
    more = len(cut) - _MOST_EVIDENCE
    return (*cut[:_MOST_EVIDENCE], *([f"… {more} more"] if more > 0 else []))
