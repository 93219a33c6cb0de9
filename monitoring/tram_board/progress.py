"""Rollouts where there is no ledger: as the centre told the hub of them (`tram metrics`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from tram_board.asking import Sample
from tram_board.judging import span
from tram_board.readings import Answers
from tram_board.words import STANDINGS

_WORDS = tuple(STANDINGS)
_OVER = {"done", "aborted"}
# The centre tells it every five minutes.
_OLD = 900.0


def rollouts(answers: Answers, at: datetime, codes: Collection[str]) -> tuple[list[dict[str, Any]], str]:
    """The same as `ledger.Runs.rollouts`, newest first, and why it is not (wholly) known."""
    found, failed = answers
    for name in ("rollout_told", "rollout", "rollout_wave", "rollout_host"):
        if name in failed:
            return [], failed[name]
    told = max((sample.value for sample in found.get("rollout_told", [])), default=0.0)
    if not told:
        return [], "the centre has told nothing of rollouts; there: tram metrics timer --install"
    age = at.timestamp() - told
    hosts: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in found.get("rollout_host", []):
        if sample.labels.get("site") in codes:
            hosts[sample.labels.get("run", ""), sample.labels.get("wave", "")].append(sample)
    waves: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in found.get("rollout_wave", []):
        waves[sample.labels.get("run", "")].append(sample)
    made = [_rollout(one, waves[one.labels.get("run", "")], hosts) for one in found.get("rollout", [])]
    problem = f"the centre told this {span(age)} ago and nothing since" if age > _OLD else ""
    newest = sorted(made, key=lambda one: str(one["run"]), reverse=True)
    return sorted(newest, key=lambda one: bool(one["over"])), problem


def _rollout(one: Sample, waves: Iterable[Sample], hosts: dict[tuple[str, str], list[Sample]]) -> dict[str, Any]:
    run, state = one.labels.get("run", ""), _word(one)
    shown = []
    for wave in sorted(waves, key=lambda sample: int(sample.labels.get("wave", "0"))):
        mine = sorted(hosts.get((run, wave.labels.get("wave", "")), []), key=lambda sample: sample.labels["host"])
        if mine:
            shown.append(
                {
                    "number": int(wave.labels["wave"]),
                    "name": wave.labels.get("name", ""),
                    "state": _word(wave),
                    "hosts": len(mine),
                    "counts": dict(Counter(_word(host) for host in mine)),
                    "left": [host.labels["host"] for host in mine if _word(host) != "done"],
                }
            )
    return {"run": run, "stack": one.labels.get("stack", ""), "state": state, "over": state in _OVER, "waves": shown}


def _word(sample: Sample) -> str:
    """The state a number stands for; a number of a later version is said as it is."""
    place = int(sample.value)
    return _WORDS[place] if 0 <= place < len(_WORDS) else str(place)
