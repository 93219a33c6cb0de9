"""A real answer of a bare Debian 12 host (captured/), as the audit's looks returned it, and changes to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path

from tram.look import Looked, Seen
from tram.register import Province, load
from tram_audit.facts import facts_of
from tram_audit.judging import Verdict, judge_host
from tram_audit.loading import Rules, load_rules

REPO = Path(__file__).parents[3]
HOST = "so-noi-vu-srv1"
TODAY = date(2026, 11, 21)
_CAPTURED = json.loads((Path(__file__).parent / "captured/bookworm-bare.json").read_text(encoding="utf-8"))


@cache
def lab() -> Province:
    return load(REPO / "inventories/lab")


@cache
def rules() -> Rules:
    return load_rules(REPO / "security")


def looked(**changed: Seen | tuple[str, str]) -> Looked:
    """What was captured; a look is replaced, or in its text one thing by another."""
    seen = {
        name: Seen(text, code, "missing" if code == 127 else "") for name, (code, text) in _CAPTURED["seen"].items()
    }
    for name, change in changed.items():
        if isinstance(change, Seen):
            seen[name] = change
        else:
            old, new = change
            assert old in seen[name].text, f"{name} has no {old!r}"
            seen[name] = Seen(seen[name].text.replace(old, new, 1), seen[name].code)
    return Looked(HOST, "", seen, dict(_CAPTURED["offers"]), 1.0)


def judged(
    answer: Looked | None = None, *, by: Rules | None = None, profile: str = "mail", today: date = TODAY
) -> Mapping[str, Verdict]:
    """Every control's verdict on the host that answered so."""
    by, answer = by or rules(), answer or looked()
    province = lab()
    host = next(h for site in province.sites for h in site.hosts if h.inventory_name == HOST)
    verdicts = judge_host(by, by.profiles[profile], host, facts_of(answer), operator=province.operator, today=today)
    return {verdict.control: verdict for verdict in verdicts}


def flipped(answer: Looked) -> dict[str, str]:
    """What stands otherwise than on the host as captured."""
    before = judged()
    return {code: str(now.status) for code, now in judged(answer).items() if now.status != before[code].status}
