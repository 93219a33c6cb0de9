"""README.md's tables, from results.json and reasons.yml: `python bench/hardening/table.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from scap import PROFILES, Verdict, container_patterns, container_reason, percent, tailored_out

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- /table -->"
_NAMES = ("ANSSI intermediary", "ANSSI enhanced", "CIS level 1", "CIS level 2")
_AIMS = (95, 90, 97, 95)
_NO = "–"


def write(results: Mapping[str, Any]) -> None:
    """Put the tables into README.md, and print them."""
    table = "\n".join(_page(results)) + "\n"
    text = README.read_text(encoding="utf-8")
    README.write_text(text[: text.index(_BEGIN) + len(_BEGIN)] + table + text[text.index(_END) :], encoding="utf-8")
    print(table)


def reason(rule: str, host: str) -> str | None:
    """Why a rule may fail on a host: what a container lacks, a waiver, or what reasons.yml says."""
    if lacks := container_reason(rule):
        return f"container: {lacks}"
    for one in yaml.safe_load((HERE / "reasons.yml").read_text(encoding="utf-8"))["reasons"]:
        hosts = one.get("hosts", ["*"])
        if any(fnmatchcase(rule, pattern) for pattern in one["rules"]) and any(fnmatchcase(host, h) for h in hosts):
            return f"waiver: {one['waiver']}" if "waiver" in one else str(one["reason"])
    return None


def _page(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"{results['measured']}; OpenSCAP content: {results['content']}."
    yield ""
    yield from _figures(results)
    if "apply" in results:
        yield ""
        yield from _costs(results["apply"])
    if "after" in results:
        yield ""
        yield from _failures(results["after"])


def _figures(results: Mapping[str, Any]) -> Iterator[str]:
    before, after = results.get("before", {}), results.get("after", {})
    hosts = list(before or after)
    yield f"| before → after | {' | '.join(hosts)} | aim |"
    yield f"|---|{'---|' * len(hosts)}---|"
    rows: list[tuple[str, str, Any]] = [
        ("Lynis index", "≥ 88", lambda one: str(one["lynis"]["index"])),
        ("Lynis index, fair", "", lambda one: str(one["lynis"].get("fair", "?"))),
        ("Lynis warnings", "0", lambda one: str(len(one["lynis"]["warnings"]))),
        (
            "ssh-audit fail / warn",
            "0 / 0",
            lambda one: f"{len(one['ssh_audit']['fail'])} / {len(one['ssh_audit']['warn'])}",
        ),
        ("TCP ports open to a neighbour", "declared", lambda one: " ".join(map(str, one["open_ports"]["tcp"])) or _NO),
        ("UDP ports open to a neighbour", "declared", lambda one: " ".join(map(str, one["open_ports"]["udp"])) or _NO),
        ("exposure of services, median (worst)", "", _exposure),
    ]
    for profile, name, aim in zip(PROFILES, _NAMES, _AIMS, strict=True):
        rows.append((f"{name}, fair", f"≥ {aim} %", lambda one, of=profile: _share(one, of, fair=True)))
        rows.append((f"{name}, fair and tailored", "", lambda one, of=profile: _tailored(one, of)))
        rows.append((f"{name}, whole", "", lambda one, of=profile: _share(one, of, fair=False)))
    for name, wanted, told in rows:
        cells = [f"{_cell(before, host, told)} → {_cell(after, host, told)}" for host in hosts]
        yield f"| {name} | {' | '.join(cells)} | {wanted} |"


def _cell(found: Mapping[str, Any], host: str, told: Any) -> str:
    return str(told(found[host])) if host in found else "?"


def _exposure(one: Mapping[str, Any]) -> str:
    rows = sorted(one["exposure"].items(), key=lambda row: row[1])
    if not rows:
        return _NO
    return f"{rows[len(rows) // 2][1]} ({rows[-1][0].removesuffix('.service')} {rows[-1][1]})"


def _share(one: Mapping[str, Any], profile: str, *, fair: bool) -> str:
    if profile not in one["openscap"]:
        return _NO
    share = Verdict(one["openscap"][profile]).share(container_patterns() if fair else ())
    return f"{percent(share)} % of {share[1]}"


def _tailored(one: Mapping[str, Any], profile: str) -> str:
    if "openscap_tailored" not in one:
        return "?"
    if profile not in one["openscap"]:
        return _NO
    results = {**one["openscap"][profile], **one["openscap_tailored"].get(profile, {})}
    fitting = {rule: said for rule, said in results.items() if not tailored_out(rule)}
    share = Verdict(fitting).share(container_patterns())
    return f"{percent(share)} % of {share[1]}"


def _costs(apply: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| delivering `playbooks/harden.yml` | host | outcome | changed | seconds | bytes of payload to / from the host"
        " | bytes of IP on the line to / from the site |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name in ("first", "second"):
        lines = apply[name]["line_bytes"]
        for host, one in apply[name]["hosts"].items():
            changed = (one["stats"] or {}).get("changed", "?")
            carried = f"{one['sent'] or 0:,} / {one['received'] or 0:,}"
            line = lines.get(host.rpartition("-")[0])
            whole = f"{line['down']:,} / {line['up']:,}" if line else _NO
            yield f"| {name} run | {host} | {one['outcome']} | {changed} | {one['seconds']:.0f} | {carried} | {whole} |"
    yield ""
    yield (
        f"{apply.get('cores', '?')} cores for all hosts and the centre, load {apply.get('load', '?')} before. The line"
        " carries the packages too, and whatever else the site says meanwhile."
    )
    yield ""
    told = ", ".join(f"{name} {'green' if said == 'green' else 'FAILED'}" for name, said in apply["verify"].items())
    yield f"Verify playbooks afterwards: {told}."


def _failures(after: Mapping[str, Any]) -> Iterator[str]:
    failed: dict[str, dict[str, set[str]]] = {}
    for host, one in after.items():
        for profile, name in zip(PROFILES, _NAMES, strict=True):
            for rule in Verdict(one["openscap"].get(profile, {})).failed():
                failed.setdefault(rule, {}).setdefault(host, set()).add(name)
    fair = {rule: hosts for rule, hosts in sorted(failed.items()) if container_reason(rule) is None}
    yield (
        f"Rules that fail: {len(failed)}, of which {len(failed) - len(fair)} ask for what a container cannot have "
        f"([container.yml](container.yml)). The others, each with its reason ([reasons.yml](reasons.yml)):"
    )
    yield ""
    yield "| rule | hosts | profiles | why |"
    yield "|---|---|---|---|"
    for rule, hosts in fair.items():
        why = {reason(rule, host) or "**open**" for host in hosts}
        profiles = ", ".join(name for name in _NAMES if any(name in told for told in hosts.values()))
        where = "all" if len(hosts) == len(after) else ", ".join(hosts)
        yield f"| {rule} | {where} | {profiles} | {'; '.join(sorted(why))} |"


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text(encoding="utf-8")))
