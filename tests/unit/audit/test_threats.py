"""security/threats.md: each claim has a number of its own, and what it names is there."""

from __future__ import annotations

import re

import yaml

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


def test_every_claim_is_shown_or_says_that_it_is_not() -> None:
    stories = [*(REPO / "tests/stories").glob("*.py"), *(REPO / "tests/stories/threats").glob("*.py")]
    tried = "".join(path.read_text(encoding="utf-8") for path in stories)
    faults = yaml.safe_load((REPO / "tests/stories/audit_faults.yml").read_text(encoding="utf-8"))["faults"]
    planted = {code for fault in faults for code in str(fault["control"]).strip("[]").replace("'", "").split(", ")}
    silent = []
    for code, row in claims().items():
        named = re.search(re.escape(code) + r"(?!\d)", tried) or re.search(r"`tests/|verify\.yml`|no test yet", row)
        if not named and not planted & set(re.findall(r"`([a-z0-9-]+)`", row)):
            silent.append(code)
    assert silent == []


def test_the_files_it_names_are_there() -> None:
    named = re.findall(r"`((?:tests|docs)/[^`]+)`|\]\(([^)]+)\)", PAGE)
    places = [REPO / path if path else REPO / "security" / link for path, link in named]
    assert [str(place) for place in places if not place.exists()] == []
