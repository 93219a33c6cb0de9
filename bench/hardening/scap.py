"""What OpenSCAP says of a host: results of `oscap xccdf eval` as counts, whole and fair, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import yaml

HERE = Path(__file__).resolve().parent
PROFILES = ("anssi_bp28_intermediary", "anssi_bp28_enhanced", "cis_level1_server", "cis_level2_server")
PREFIX = "xccdf_org.ssgproject.content_"
_XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One profile on one host: each rule's result by its name, without the content's prefix."""

    results: Mapping[str, str]

    def share(self, without: Iterable[str] = ()) -> tuple[int, int]:
        """(passed, judged) of the rules whose names match no pattern of `without`."""
        patterns = list(without)
        kept = [said for rule, said in self.results.items() if not any(fnmatchcase(rule, one) for one in patterns)]
        counted = Counter(kept)
        passed = counted["pass"] + counted["fixed"]
        return passed, passed + counted["fail"] + counted["error"] + counted["unknown"]

    def failed(self) -> list[str]:
        """Names of rules that failed, or that oscap could not judge."""
        return sorted(rule for rule, said in self.results.items() if said in ("fail", "error", "unknown"))

    def counts(self) -> dict[str, int]:
        """How many rules ended how."""
        return dict(sorted(Counter(self.results.values()).items()))


def read_results(text: str) -> Verdict:
    """The rules that a profile selects, from the XML of `oscap xccdf eval --results`."""
    root = ElementTree.fromstring(text)  # noqa: S314 - written by oscap on a host of our own lab
    found: dict[str, str] = {}
    for rule in root.iter(f"{_XCCDF}rule-result"):
        said = rule.findtext(f"{_XCCDF}result", "unknown")
        if said != "notselected":
            found[rule.attrib["idref"].removeprefix(f"{PREFIX}rule_")] = said
    return Verdict(found)


def selections(datastream: str) -> dict[str, tuple[frozenset[str], frozenset[tuple[str, str]]]]:
    """By profile of PROFILES that a datastream has: the rules it selects, the values it chooses."""
    found = {}
    root = ElementTree.fromstring(datastream)  # noqa: S314 - Debian's, or built by whoever runs this
    for profile in root.iter(f"{_XCCDF}Profile"):
        name = profile.attrib["id"].removeprefix(f"{PREFIX}profile_")
        if name in PROFILES:
            chosen = (one for one in profile if one.tag in (f"{_XCCDF}refine-value", f"{_XCCDF}set-value"))
            values = frozenset((one.attrib["idref"], one.get("selector") or one.text or "") for one in chosen)
            rules = (one.attrib["idref"] for one in profile.iter(f"{_XCCDF}select") if one.get("selected") == "true")
            found[name] = frozenset(rule.removeprefix(f"{PREFIX}rule_") for rule in rules), values
    return found


def container_patterns() -> list[str]:
    """Rules that a container cannot meet (container.yml)."""
    groups = yaml.safe_load((HERE / "container.yml").read_text(encoding="utf-8"))
    return [pattern for group in groups.values() for pattern in group["rules"]]


def container_reason(rule: str) -> str | None:
    """Why a container cannot meet a rule; None when it can."""
    groups = yaml.safe_load((HERE / "container.yml").read_text(encoding="utf-8"))
    for group in groups.values():
        if any(fnmatchcase(rule, pattern) for pattern in group["rules"]):
            return str(group["reason"])
    return None


def percent(share: tuple[int, int]) -> float:
    """A share as per cent with one decimal; 0 when nothing was judged."""
    passed, judged = share
    return round(100 * passed / judged, 1) if judged else 0.0
