"""What is said to the operator: Vietnamese, with English beside it."""

from __future__ import annotations


class Refused(Exception):
    """What was asked for is not done, and nothing was changed."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(both(vi, en))


def both(vi: str, en: str) -> str:
    """One line in both languages."""
    return f"{vi} · {en}"
