"""The tables in README.md, from the rows of results.json: `python bench/delivery/table.py`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- /table -->"
_TUNED, _OURS, _LOCAL = "ansible-core tuned", "tram", "ansible-playbook -c local"
_BAD, _ADSL = "bad", "adsl"
_RUNTIME_BYTES = 5e6


@dataclass(frozen=True, slots=True)
class Target:
    """One number to reach: what, on which line, peer and ours, how many times less ours is to be."""

    what: str
    line: str
    peer: float
    ours: float
    times: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.peer / self.ours

    @property
    def reached(self) -> str:
        return "reached" if self.ratio >= self.times else "**missed**"


def write(found: Mapping[str, Any]) -> None:
    """Put the tables into README.md, and print them."""
    text = README.read_text()
    tables = "\n".join(_page(found)) + "\n"
    README.write_text(text[: text.index(_BEGIN) + len(_BEGIN)] + tables + text[text.index(_END) :])
    print(tables)


def targets(found: Mapping[str, Any]) -> list[Target]:
    """The issue's numbers, tram against tuned Ansible; target CPU against Ansible run on the host itself."""
    rows = found["rows"]

    def of(engine: str, line: str, run: str, *names: str) -> float | None:
        values = [
            sum(row[name] for name in names)
            for row in rows
            if row["engine"] == engine and row["run"] == run and row["line"] == line
        ]
        return statistics.median(values) if values else None

    both, packets = ("bytes_down", "bytes_up"), ("packets_down", "packets_up")
    again, still_open = "no change", "no change, connection open"
    plan: list[tuple[str, str, str, tuple[str, ...], float]] = []
    for line in (_BAD, _ADSL):
        plan += [("first", "first", line, both, 500), (again, again, line, both, 5000)]
        plan += [(still_open, again, line, both, 5000)]
        plan += [("first", "first", line, packets, 50), (again, again, line, packets, 50)]
    for run in ("first", again):
        plan += [(run, run, _BAD, ("wall",), 10), (run, run, _BAD, ("controller_cpu",), 50)]
        plan += [(f"{run}, 3 hosts in one delivery", run, _ADSL, ("controller_cpu",), 50)]
    words = {both: ("bytes", "B"), packets: ("packets", ""), ("wall",): ("wall time", "s")}
    words[("controller_cpu",)] = ("controller CPU a host", "s")
    found_targets = []
    for run, peer, line, names, times in plan:
        what, unit = words[names]
        label = f"{what}, {'first run' if run == 'first' else run}"
        theirs, ours = of(_TUNED, line, peer, *names), of(_OURS, line, run, *names)
        if theirs is not None and ours is not None:
            found_targets.append(Target(label, line, theirs, ours, times, unit))
    for line in (_BAD, _ADSL):
        theirs, ours = of(_LOCAL, line, again, "target_cpu"), of(_OURS, line, again, "target_cpu")
        if theirs is not None and ours is not None:
            found_targets.append(Target("target CPU, no change, against `-c local`", line, theirs, ours, 5, "s"))
    return found_targets


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    machine, versions = found["machine"], found["versions"]
    loads = [row["load"] for row in found["rows"]]
    load = f"{min(loads)} to {max(loads)} (median {statistics.median(loads):.1f})"
    said = ", ".join(f"{name} {number}" for name, number in versions.items())
    yield f"{found['date']}, {found['minutes']} min, {machine['cores']} cores, load {load}; {said}."
    if note := found.get("note"):
        yield f"**{note}**"
    yield ""
    yield "| number to reach | line | tuned Ansible | tram | tuned ÷ tram | target | |"
    yield "|---|---|---|---|---|---|---|"
    for target in targets(found):
        peer, ours = _figure(target.peer, target.unit), _figure(target.ours, target.unit)
        line = f"| {target.what} | {target.line} | {peer} | {ours} | {target.ratio:,.1f} | {target.times:,.0f} |"
        yield f"{line} {target.reached} |"
    runtime = found["runtime"]["bytes"]
    met = "reached" if runtime <= _RUNTIME_BYTES else "**missed**"
    yield f"| one-time runtime | any | – | {runtime / 1e6:.2f} MB | | ≤ 5 MB | {met} |"
    for line in _lines(found):
        yield ""
        yield from _engines(found, line)
    yield ""
    yield from _cuts(found)


def _lines(found: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in found["lines"]]


def _engines(found: Mapping[str, Any], line: str) -> Iterator[str]:
    """Every engine on one line."""
    told = found["lines"][line]
    rate = f"{told['down_bps'] / 1000:.0f}/{told['up_bps'] / 1000:.0f} kbit/s"
    yield f"**{line}: {rate}, {told['rtt'] * 1000:.0f} ms, {told['loss']:.1%} lost.** First run → run without change."
    yield ""
    yield "| engine | kB to the host | kB back | packets | wall s | controller CPU s | target CPU s |"
    yield "|---|---|---|---|---|---|---|"
    names = list(dict.fromkeys(row["engine"] for row in found["rows"]))
    for name in [one for one in names if one not in (_OURS, _LOCAL)] + [_OURS]:
        pair = [row for run in ("first", "no change") if (row := _row(found, name, line, run))]
        if len(pair) < 2:
            yield f"| {name} | not measured in this run | | | | | |"
            continue
        cells = [" → ".join(f"{row['bytes_' + way] / 1000:,.1f}" for row in pair) for way in ("down", "up")]
        cells.append(" → ".join(f"{row['packets_down'] + row['packets_up']:,}" for row in pair))
        cells += [" → ".join(f"{row[key]:,.1f}" for row in pair) for key in ("wall", "controller_cpu", "target_cpu")]
        yield f"| {name} | " + " | ".join(cells) + " |"
    if local := _row(found, _LOCAL, line, "no change"):
        yield f"| {_LOCAL} (on the host) | – | – | – | → {local['wall']:,.1f} | – | → {local['target_cpu']:,.1f} |"
    yield from _floor(found, line)


def _floor(found: Mapping[str, Any], line: str) -> Iterator[str]:
    """What no engine can do better: the change set over the line, two round trips (to be there; to ask and be
    answered), and the host's own work as tram does it, on one core."""
    told = found["lines"][line]
    floors, ratios = [], []
    for run in ("first", "no change"):
        ours = _row(found, _OURS, line, run)
        if ours is None:
            return
        seconds = found["change_set_bytes"][run] * 8 / told["down_bps"] + 2 * told["rtt"] + ours["target_cpu"]
        floors.append(f"{seconds:,.1f}")
        ratios.append(f"{ours['wall'] / seconds:.2f}")
    size = found["change_set_bytes"]["first"] / 1000
    yield f"| physical limit | {size:.1f} → 0 | 0 | – | {' → '.join(floors)} | – | – |"
    yield f"| tram ÷ physical limit | | | | {' → '.join(ratios)} | | |"


def _cuts(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"**The line ({_ADSL}) is cut for 90 s in the middle of a first run.**"
    yield ""
    yield "| engine | says in the end | wall s | whole role on the host | tasks that ran or will run twice |"
    yield "|---|---|---|---|---|"
    for row in found["rows"]:
        if row["run"] == "cut":
            whole = "yes" if row["at_the_end"] else "no"
            yield f"| {row['engine']} | {row['outcome']} | {row['wall']:,.0f} | {whole} | {row['tasks_again']} |"


def _row(found: Mapping[str, Any], engine: str, line: str, run: str) -> Mapping[str, Any] | None:
    return next((row for row in found["rows"] if (row["engine"], row["line"], row["run"]) == (engine, line, run)), None)


def _figure(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 1000:,.1f} kB"
    return f"{value:,.2f} {unit}".strip() if unit else f"{value:,.0f}"


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()))
