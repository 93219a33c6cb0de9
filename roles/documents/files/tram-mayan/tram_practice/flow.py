"""A document's flow as a picture: what is done, where it is, what is late."""

from __future__ import annotations

from html import escape
from typing import Any

from django.utils import timezone

WIDE, HIGH, GAP = 190, 64, 46
DONE, HERE, LATE, AHEAD = "#2e7d32", "#1565c0", "#c62828", "#eceff1"


def draw(title: str, states: list[dict[str, Any]], late: bool) -> str:
    """An SVG. States: label, when (text), who (text), is: done, here or ahead."""
    width = len(states) * (WIDE + GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="100%" viewBox="0 0 {width} 190" '
        'preserveAspectRatio="xMinYMin meet" font-family="DejaVu Sans, sans-serif" '
        f'role="img" aria-label="{escape(title)}">',
        f'<rect width="{width}" height="190" fill="white"/>',
        f'<text x="20" y="30" font-size="17" font-weight="bold">{escape(title)}</text>',
    ]
    for place, state in enumerate(states):
        left = 20 + place * (WIDE + GAP)
        fill = {"done": DONE, "here": LATE if late else HERE, "ahead": AHEAD}[state["is"]]
        ink = "#37474f" if state["is"] == "ahead" else "white"
        mark = {"done": "✓ ", "here": "● ", "ahead": ""}[state["is"]]
        parts += [
            f'<g data-state="{state["is"]}">',
            f'<rect x="{left}" y="55" width="{WIDE}" height="{HIGH}" rx="10" fill="{fill}"/>',
            f'<text x="{left + WIDE / 2}" y="92" font-size="15" text-anchor="middle" fill="{ink}">'
            f"{mark}{escape(state['label'])}</text>",
            small(left, 140, state["who"]),
            small(left, 157, state["when"]),
            "</g>",
        ]
        if place:
            line = f"M{left - GAP + 6} 87 H{left - 10} m-9 -6 l9 6 l-9 6"
            parts.append(f'<path d="{line}" stroke="#607d8b" stroke-width="2" fill="none"/>')
    late_word = "quá hạn · overdue" if late else "đang ở đây · here"
    words = [(DONE, "đã qua · done"), (LATE if late else HERE, late_word), ("#90a4ae", "chưa tới · ahead")]
    legend = " ".join(f'<tspan fill="{colour}">■ {word}</tspan>' for colour, word in words)
    parts.append(f'<text x="20" y="182" font-size="12">{legend}</text></svg>')
    return "\n".join(parts)


def small(left: int, top: int, text: str) -> str:
    """A line below a state."""
    return f'<text x="{left + WIDE / 2}" y="{top}" font-size="12" text-anchor="middle">{escape(text)}</text>'


def states_of(instance: Any) -> list[dict[str, Any]]:
    """The states of a document's flow, in order, and what happened in each."""
    reached: dict[int, tuple[str, str]] = {}
    for entry in instance.log_entries.order_by("datetime", "pk"):
        state = entry.transition.destination_state_id if entry.transition else None
        if state is not None:
            who = entry.user.username if entry.user else ""
            reached[state] = (who, timezone.localtime(entry.datetime).strftime("%d/%m/%Y %H:%M"))
    found = []
    here = instance.state_active
    for state in instance.workflow.states.order_by("completion", "label"):
        if state.pk == here.pk:
            how = "done" if state.final else "here"
        else:
            how = "done" if state.completion < here.completion else "ahead"
        who, when = reached.get(state.pk, ("", "")) if how != "ahead" else ("", "")
        found.append({"label": state.label, "is": how, "who": who, "when": when})
    return found
