"""Which host has which release in effect: what hosts told the mirror, taken from its log before that is rotated away."""

from __future__ import annotations

from typing import Any

from .place import Place


def kept(place: Place) -> dict[str, dict[str, Any]]:
    """All hosts that ever told anything."""
    return {}
