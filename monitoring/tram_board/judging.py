"""One host, one verb: from its readings to findings. A verb without evidence is *unknown*, whatever else is fine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from tram.core.units import format_share, format_span
from tram.register.model import Host, Link, Province, Site
from tram_board.readings import Readings
from tram_board.texts import later
from tram_board.words import Finding, Word

_MISSING = later("{what}: no value has come")
_HOUR, _DAY = 3600.0, 86400.0

# How often each exporter runs; one silent for three times that says nothing any more.
INTERVALS = {
    "link": timedelta(minutes=1),
    "hardware": timedelta(minutes=2),
    "mail": timedelta(minutes=1),
    "antivirus": timedelta(minutes=1),
    # Asked by the centre over the line: `tram documents timer`.
    "documents": timedelta(hours=1),
    "baseline": timedelta(days=7),
    "backup": timedelta(days=1),
}
# A slow run, a timer a little late and the way to the hub.
_UNDERWAY = timedelta(minutes=4)
_PATIENCE = 3
# A host's clock may be this far ahead of the hub's; beyond, its times prove nothing.
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a reading needs a person. Our policy, not a standard's: docs/contracts/board.md."""

    loss_attention: float = 0.05
    loss_bad: float = 0.20
    rtt_factor: float = 3.0
    risk_attention: float = 0.10
    risk_bad: float = 0.30
    disk_attention: float = 0.10
    disk_bad: float = 0.03
    mail_attention: float = _HOUR
    mail_bad: float = 4 * _HOUR
    queue_attention: float = 500
    signatures_attention: float = 2 * _DAY
    signatures_bad: float = 7 * _DAY
    backup_attention: float = 26 * _HOUR
    backup_bad: float = 3 * _DAY
    proof_bad: float = 35 * _DAY


@dataclass(frozen=True, slots=True)
class Bench:
    """What a judge has before him: one host of a site, the readings, the limits."""

    site: Site
    host: Host
    readings: Readings
    limits: Limits

    def one(self, name: str) -> float | None:
        """The single value of a reading; None: unknown."""
        return self.readings.one(name, self.site.code, self.host.inventory_name)

    def many(self, name: str, label: str) -> list[tuple[str, float]]:
        """The values of a reading by a label."""
        samples = self.readings.of(name, self.site.code, self.host.inventory_name)
        return sorted((sample.labels.get(label, ""), sample.value) for sample in samples)

    def say(self, word: Word, verb: str, text: str, evidence: str = "", runbook: str = "", **values: str) -> Finding:
        """A finding about this host."""
        return Finding(word, verb, self.host.inventory_name, text, values, evidence, runbook)

    def age(self, moment: float) -> float:
        """Seconds since a moment a host told of."""
        return self.readings.at.timestamp() - moment


def heard(bench: Bench) -> bool:
    """Whether its agent's word came within the window: it says each time whether the host could be read."""
    return bench.one("up") is not None


def stale(bench: Bench, verb: str, exporter: str) -> Finding | None:
    """Why what this exporter says is not to be believed; None when it is fresh."""
    if exporter == "baseline":
        # The centre says this one of its hosts, by the audits it keeps.
        seen, evidence = bench.one("audited"), "tram_baseline_audited_timestamp_seconds"
    else:
        seen = dict(bench.many("exporter", "exporter")).get(exporter)
        evidence = f'tram_exporter_last_success_timestamp_seconds{{exporter="{exporter}"}}'
    if not seen:
        return bench.say(
            Word.UNKNOWN, verb, later("nothing has come of {what}"), evidence, "exporter-stale", what=exporter
        )
    age = bench.age(seen)
    if age < -_AHEAD.total_seconds():
        text = later("the host's clock is {ahead} ahead, its times prove nothing")
        return bench.say(Word.UNKNOWN, verb, text, evidence, "clock-wrong", ahead=span(-age))
    if age > (_PATIENCE * INTERVALS[exporter] + _UNDERWAY).total_seconds():
        text = later("the last word of {what} is {age} old")
        return bench.say(Word.UNKNOWN, verb, text, evidence, "exporter-stale", what=exporter, age=span(age))
    return None


def _needed(bench: Bench, verb: str, name: str, metric: str) -> Iterator[Finding]:
    if bench.one(name) is None:
        yield bench.say(Word.UNKNOWN, verb, _MISSING, metric, what=metric)


def _over(value: float, attention: float, bad: float) -> Word | None:
    return Word.BAD if value >= bad else Word.ATTENTION if value >= attention else None


def reach(bench: Bench) -> Iterator[Finding]:
    """Whether the host is heard, and whether its line keeps the contract of the register."""
    if not heard(bench):
        text = later("silent: nothing has come from it")
        yield bench.say(Word.UNKNOWN, "reach", text, "up", "silent-site")
        return
    link = bench.site.link
    # The first host of a site speaks for its line.
    if link is None or bench.host is not bench.site.hosts[0]:
        return
    if gone := stale(bench, "reach", "link"):
        yield gone
        return
    yield from _needed(bench, "reach", "link_up", "tram_link_up")
    if bench.one("link_up") == 0:
        yield bench.say(Word.BAD, "reach", later("its line is down"), "tram_link_up = 0", "link-bad")
    yield from contract(bench, link)


def contract(bench: Bench, link: Link) -> Iterator[Finding]:
    """What of the line's delay and loss is not as the register says it should be."""
    limits = bench.limits
    loss, rtt = bench.one("link_loss"), bench.one("link_rtt")
    yield from _needed(bench, "reach", "link_loss", "tram_link_loss_ratio")
    if loss is not None and loss > link.loss + limits.loss_attention:
        word = Word.BAD if loss >= limits.loss_bad else Word.ATTENTION
        text = later("the line loses {loss} of packets; by contract {agreed}")
        words = {"loss": share(loss), "agreed": format_share(link.loss)}
        yield bench.say(word, "reach", text, f"tram_link_loss_ratio = {loss:.3g}", "link-bad", **words)
    # A lost ping has no delay: no value of it is no fault of its own.
    if rtt is not None and rtt > limits.rtt_factor * link.rtt.total_seconds():
        text = later("the line takes {rtt} there and back; by contract {agreed}")
        words = {"rtt": f"{rtt * 1000:.0f} ms", "agreed": format_span(link.rtt)}
        yield bench.say(Word.ATTENTION, "reach", text, f"tram_link_rtt_seconds = {rtt:.3g}", "link-bad", **words)


def hardware(bench: Bench) -> Iterator[Finding]:
    """How likely it fails within a year, by the flags that were raised, and how full and whole its disks are."""
    limits = bench.limits
    free = bench.one("disk_free")
    yield from _needed(bench, "hardware", "disk_free", "node_filesystem_avail_bytes")
    if free is not None and free <= limits.disk_attention:
        how = Word.BAD if free <= limits.disk_bad else Word.ATTENTION
        evidence = f"node_filesystem_avail_bytes / size = {free:.3g}"
        yield bench.say(
            how, "hardware", later("a disk is full but for {free}"), evidence, "disk-full", free=share(free)
        )
    for device, count in bench.many("md_failed", "device"):
        text = later("array {device}: {count} disks have failed")
        evidence = f'node_md_disks{{state="failed",device="{device}"}}'
        yield bench.say(Word.BAD, "hardware", text, evidence, "disk-failing", device=device, count=f"{count:.0f}")
    if gone := stale(bench, "hardware", "hardware"):
        yield gone
        return
    for reason, _value in bench.many("risk_unknown", "reason"):
        text = later("not everything can be read: {reason}")
        yield bench.say(Word.UNKNOWN, "hardware", text, "tram_host_risk_unknown", reason=reason)
    risk = bench.one("risk")
    yield from _needed(bench, "hardware", "risk", "tram_host_risk_ratio")
    if risk is not None and (word := _over(risk, limits.risk_attention, limits.risk_bad)):
        flags = [
            " ".join(filter(None, (sample.labels.get(name, "") for name in ("component", "disk", "signal"))))
            for sample in bench.readings.of("flag", bench.site.code, bench.host.inventory_name)
        ]
        evidence = f"tram_host_risk_ratio = {risk:.3g}" + (f": {', '.join(sorted(flags))}" if flags else "")
        yield bench.say(
            word, "hardware", later("fails within a year with {risk}"), evidence, "disk-failing", risk=share(risk)
        )


def mail(bench: Bench) -> Iterator[Finding]:
    """Whether mail leaves."""
    if gone := stale(bench, "mail", "mail"):
        yield gone
        return
    limits, runbook = bench.limits, "mail-queue-grows"
    oldest, queue = bench.one("mail_oldest"), bench.one("mail_queue")
    yield from _needed(bench, "mail", "mail_oldest", "tram_mail_queue_oldest_seconds")
    yield from _needed(bench, "mail", "mail_queue", "tram_mail_queue_messages")
    if oldest is not None and (word := _over(oldest, limits.mail_attention, limits.mail_bad)):
        evidence = f"tram_mail_queue_oldest_seconds = {oldest:.0f}"
        yield bench.say(word, "mail", later("a message has waited for {age}"), evidence, runbook, age=span(oldest))
    if queue is not None and queue >= limits.queue_attention:
        evidence = f"tram_mail_queue_messages = {queue:.0f}"
        text = later("{count} messages wait")
        yield bench.say(Word.ATTENTION, "mail", text, evidence, runbook, count=f"{queue:.0f}")


def documents(bench: Bench) -> Iterator[Finding]:
    """Whether papers wait longer than they may."""
    if gone := stale(bench, "documents", "documents"):
        yield gone
        return
    overdue = bench.one("overdue")
    yield from _needed(bench, "documents", "overdue", "tram_documents_overdue")
    if overdue:
        text = later("{count} papers are overdue")
        evidence = f"tram_documents_overdue = {overdue:.0f}"
        yield bench.say(Word.ATTENTION, "documents", text, evidence, count=f"{overdue:.0f}")


def antivirus(bench: Bench) -> Iterator[Finding]:
    """Whether the scanner runs, by signatures of these days, and what it found."""
    if gone := stale(bench, "antivirus", "antivirus"):
        yield gone
        return
    limits, runbook, old = bench.limits, "virus-found", "antivirus-old"
    up, signatures = bench.one("antivirus_up"), bench.one("signatures")
    # On a small machine no engine is kept in memory, and none is told of.
    yield from _needed(bench, "antivirus", "signatures", "tram_antivirus_signatures_timestamp_seconds")
    if up == 0:
        yield bench.say(Word.BAD, "antivirus", later("the scanner does not run"), "tram_antivirus_engine_up = 0", old)
    if signatures is not None:
        age = bench.age(signatures)
        if word := _over(age, limits.signatures_attention, limits.signatures_bad):
            evidence = "tram_antivirus_signatures_timestamp_seconds"
            yield bench.say(word, "antivirus", later("signatures are {age} old"), evidence, old, age=span(age))
    for state, count in bench.many("findings", "state"):
        text = later("{count} findings: {state}")
        evidence = f'tram_antivirus_findings{{state="{state}"}}'
        yield bench.say(Word.ATTENTION, "antivirus", text, evidence, runbook, count=f"{count:.0f}", state=state)


def baseline(bench: Bench) -> Iterator[Finding]:
    """Whether the host is as the security baselines say."""
    if gone := stale(bench, "baseline", "baseline"):
        yield gone
        return
    results = dict(bench.many("baseline", "result"))
    if not results.get("pass"):
        yield bench.say(Word.UNKNOWN, "baseline", _MISSING, "tram_baseline_controls", what="tram_baseline_controls")
    texts = {
        "fail": later("{count} controls do not hold"),
        "expired": later("{count} waivers have run out"),
        "unknown": later("{count} controls could not be looked at"),
    }
    for result, text in texts.items():
        if count := results.get(result):
            word = Word.UNKNOWN if result == "unknown" else Word.ATTENTION
            evidence = f'tram_baseline_controls{{result="{result}"}}'
            yield bench.say(word, "baseline", text, evidence, "baseline-drift", count=f"{count:.0f}")
    if drift := bench.one("drift"):
        text = later("{count} controls held before and do not now")
        yield bench.say(Word.ATTENTION, "baseline", text, "tram_baseline_drift", "baseline-drift", count=f"{drift:.0f}")


def backup(bench: Bench) -> Iterator[Finding]:
    """Whether each service was backed up, when last, and whether that was ever brought back."""
    if gone := stale(bench, "backup", "backup"):
        yield gone
        return
    services = bench.many("backup", "service")
    metric = "tram_backup_last_success_timestamp_seconds"
    if not services:
        yield bench.say(Word.UNKNOWN, "backup", _MISSING, metric, what=metric)
    # A host that was given a service since its backup was set up says nothing of it.
    for missing in sorted({"mail", "documents"} & {*bench.host.functions} - {*dict(services)}) if services else ():
        evidence = f'{metric}{{service="{missing}"}}'
        yield bench.say(Word.UNKNOWN, "backup", _MISSING, evidence, what=evidence)
    for service, moment in services:
        age = bench.age(moment)
        if word := _over(age, bench.limits.backup_attention, bench.limits.backup_bad):
            text = later("the last backup of {service} is {age} old")
            evidence = f'{metric}{{service="{service}"}}'
            yield bench.say(word, "backup", text, evidence, "backup-old", service=service, age=span(age))
    yield from _proven(bench)


def _proven(bench: Bench) -> Iterator[Finding]:
    """Whether a drill brought the backup back within the month and a few days."""
    metric = "tram_backup_last_restore_proof_timestamp_seconds"
    proof = bench.one("proof")
    if proof is None:
        yield bench.say(Word.UNKNOWN, "backup", _MISSING, metric, what=metric)
    elif proof == 0:
        yield bench.say(Word.BAD, "backup", later("no restore of it was ever proven"), metric, "backup-old")
    elif (age := bench.age(proof)) >= bench.limits.proof_bad:
        text = later("the last proven restore is {age} old")
        yield bench.say(Word.BAD, "backup", text, metric, "backup-old", age=span(age))


JUDGES: dict[str, Callable[[Bench], Iterator[Finding]]] = {
    "reach": reach,
    "hardware": hardware,
    "mail": mail,
    "documents": documents,
    "antivirus": antivirus,
    "baseline": baseline,
    "backup": backup,
}
_ONLY_WITH = {"mail": {"mail"}, "documents": {"documents"}, "antivirus": {"antivirus"}}
_KEEPS = {"mail", "documents", "directory", "pki"}


def concerns(verb: str, host: Host) -> bool:
    """Whether a verb has a meaning on a host: no mail is expected of one without the function mail."""
    wanted = _KEEPS if verb == "backup" else _ONLY_WITH.get(verb)
    return wanted is None or not wanted.isdisjoint(host.functions)


_USED_WITH = {**_ONLY_WITH, "backup": {"backup", "backup_hub"}}


def in_use(verb: str, province: Province) -> bool:
    """Whether the province does this at all. What nobody does is not judged: it is neither good nor bad."""
    wanted = _USED_WITH.get(verb)
    return wanted is None or any(not wanted.isdisjoint(h.functions) for site in province.sites for h in site.hosts)


def share(value: float) -> str:
    """A share for people: "3.2 %"."""
    return f"{100 * value:.1f} %".replace(".0 %", " %")


def span(seconds: float) -> str:
    """A time for people, in its largest unit: "3 d", "5 h", "40 min"."""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
