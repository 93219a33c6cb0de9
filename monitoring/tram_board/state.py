"""How the province is: the one place where readings become states. The board and `tram status` both ask here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tram.register.model import Province, Site
from tram_board.asking import Source
from tram_board.judging import JUDGES, Bench, Limits, concerns, heard, in_use, stale
from tram_board.readings import BY_HOST, Readings, gather
from tram_board.texts import later
from tram_board.words import VERBS, Finding, Judgement, Word, judged, worst

INTERVAL = timedelta(seconds=60)
_PATIENCE = 3
# Silence is said only of a question that was answered.
_HEARD = {"up"}
# What a verb's judge reads: when one of these questions failed, the verb is unknown for everybody.
_ASKED = {
    "reach": ("up", "exporter", "link_up", "link_loss", "link_rtt"),
    "hardware": ("exporter", "risk", "risk_unknown", "disk_free", "md_failed"),
    "mail": ("exporter", "mail_oldest", "mail_queue"),
    "documents": ("exporter", "overdue"),
    "antivirus": ("exporter", "antivirus_up", "signatures", "findings"),
    "baseline": ("audited", "baseline", "drift"),
    "backup": ("exporter", "backup"),
}


@dataclass(frozen=True, slots=True)
class SiteState:
    """One site: the word of each verb that concerns it, and of it as a whole. `silent`: nothing comes from any host."""

    site: Site
    word: Word
    verbs: Mapping[str, Judgement]
    silent: bool

    @property
    def findings(self) -> list[Finding]:
        """All findings, verb by verb."""
        return [finding for judgement in self.verbs.values() for finding in judgement.findings]


@dataclass(frozen=True, slots=True)
class ProvinceState:
    """The province, or the part of it a person may see, at one moment. `problem` says why nothing could be asked."""

    province: Province
    at: datetime
    verbs: tuple[str, ...]
    sites: Mapping[str, SiteState]
    problem: str
    readings: Readings

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The verbs that nobody does here, or that are not watched."""
        return tuple(verb for verb in VERBS if verb not in self.verbs)

    @property
    def counts(self) -> dict[Word, int]:
        """How many sites have each word."""
        counted = Counter(state.word for state in self.sites.values())
        return {word: counted[word] for word in reversed(Word)}

    def counts_of(self, verb: str) -> dict[Word, int]:
        """How many sites have each word of one verb; those it does not concern are not counted."""
        counted = Counter(state.verbs[verb].word for state in self.sites.values() if verb in state.verbs)
        return {word: counted[word] for word in reversed(Word)}

    @property
    def word(self) -> Word:
        """The worst word of any site."""
        return worst(state.word for state in self.sites.values())

    def limited(self, codes: Collection[str]) -> ProvinceState:
        """Only these sites, as if there were no others."""
        sites = {code: state for code, state in self.sites.items() if code in codes}
        return ProvinceState(self.province, self.at, self.verbs, sites, self.problem, self.readings)


def window(interval: timedelta = INTERVAL) -> timedelta:
    """How old a sample may be: three intervals, as everything that is said in docs/contracts/metrics.md."""
    return _PATIENCE * interval


def look(
    province: Province,
    source: Source,
    at: datetime,
    *,
    verbs: Sequence[str] = tuple(VERBS),
    interval: timedelta = INTERVAL,
    limits: Limits | None = None,
    site: str | None = None,
) -> ProvinceState:
    """Ask, and judge: the state of the province (or of one site) now. Never raises for what did not answer."""
    return state_of(province, gather(source, at, window(interval), site), verbs=verbs, limits=limits, site=site)


def state_of(
    province: Province,
    readings: Readings,
    *,
    verbs: Sequence[str] = tuple(VERBS),
    limits: Limits | None = None,
    site: str | None = None,
) -> ProvinceState:
    """The state these readings mean. What the province does not watch (`verbs`) or do is left out, not good."""
    verbs = tuple(verb for verb in verbs if in_use(verb, province))
    sites = {
        one.code: _site_state(one, readings, verbs, limits or Limits())
        for one in province.sites
        if site in (None, one.code)
    }
    # One question unanswered makes its verbs unknown; when none was answered there is one cause, said once.
    problem = next(iter(readings.failed.values()), "") if len(readings.failed) == len(BY_HOST) else ""
    return ProvinceState(province, readings.at, tuple(verbs), sites, problem, readings)


def _site_state(site: Site, readings: Readings, verbs: Sequence[str], limits: Limits) -> SiteState:
    benches = [Bench(site, host, readings, limits) for host in site.hosts]
    found: dict[str, Judgement] = {}
    for verb in verbs:
        concerned = [bench for bench in benches if concerns(verb, bench.host)]
        if concerned:
            found[verb] = judged(finding for bench in concerned for finding in _findings(verb, bench))
    if not benches:
        text = later("the register has no server of this site")
        found["reach"] = judged([Finding(Word.UNKNOWN, "reach", "", text)])
    asked = readings.failed.keys().isdisjoint(_HEARD)
    silent = asked and bool(benches) and not any(heard(bench) for bench in benches)
    return SiteState(site, worst(judgement.word for judgement in found.values()), found, silent)


def _findings(verb: str, bench: Bench) -> list[Finding]:
    asked = (*_ASKED[verb], *(() if verb == "reach" else ("reading_failed",)))
    failed = [bench.readings.failed[name] for name in asked if name in bench.readings.failed]
    if failed:
        text = later("the hub's time series did not answer")
        return [bench.say(Word.UNKNOWN, verb, text, failed[0])]
    # A silent host is one fact, said by reach; of its other verbs nothing is known.
    if verb != "reach" and not heard(bench):
        return [bench.say(Word.UNKNOWN, verb, later("silent: nothing has come from it"))]
    found = list(JUDGES[verb](bench))
    if verb in VERBS and verb != "reach" and not stale(bench, verb, verb):
        # A reading that failed by name is a hole in what was looked at.
        for sample in bench.readings.of("reading_failed", bench.site.code, bench.host.inventory_name):
            if sample.labels.get("exporter") == verb:
                text = later("could not be read: {reading}")
                name = sample.labels.get("reading", "")
                found.append(bench.say(Word.UNKNOWN, verb, text, "tram_exporter_readings_failed", reading=name))
    return found
