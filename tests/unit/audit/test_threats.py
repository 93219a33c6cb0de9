"""security/threats.md: each claim has a number of its own, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from .bare import REPO, rules

PAGE = (REPO / "security/threats.md").read_text(encoding="utf-8")
CLAIM = re.compile(r"^\| (T\d+\.\d+) \|(.*)\|$", re.M)


def claims() -> dict[str, str]:
    """Number → the row."""
    return {match[1]: match[2] for match in CLAIM.finditer(PAGE)}


def test_claims_are_numbered_without_a_gap() -> None:
    found = [match[1] for match in CLAIM.finditer(PAGE)]
    actors = sorted({int(code[1:].partition(".")[0]) for code in found})
    wanted = [f"T{a}.{n + 1}" for a in actors for n in range(sum(code.startswith(f"T{a}.") for code in found))]
    assert found == wanted
    assert len(found) >= 30


def test_every_claim_says_what_stops_it_and_every_attacker_what_does_not() -> None:
    for code, row in claims().items():
        assert all(part.strip() for part in row.split(" | ")), code
    chapters = PAGE.split("\n## T")[1:-1]
    assert [chapter[:20] for chapter in chapters if "Not stopped:" not in chapter or "Không chặn" not in chapter] == []


def test_the_controls_it_names_are_there() -> None:
    words = {word for row in claims().values() for word in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", row)}
    kinds = {code.partition("-")[0] for code in rules().controls}
    assert {word for word in words if word.partition("-")[0] in kinds} <= set(rules().controls)
    assert len(words & set(rules().controls)) >= 30


def test_the_files_it_names_are_there() -> None:
    named = re.findall(r"`((?:tests|docs)/[^`]+)`|\]\(([^)]+)\)", PAGE)
    places = [REPO / path if path else REPO / "security" / link for path, link in named]
    missing = [str(place) for place in places if not place.exists()]
    story = REPO / "tests/stories/test_threats.py"
    assert [path for path in missing if Path(path) != story] == []
