"""What OpenSCAP says of a host: results of `oscap xccdf eval` as counts, whole and fair, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
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


def dependent(datastream: str, values: Iterable[str]) -> frozenset[str]:
    """Rules whose verdict hangs on one of these values."""
    wanted = {f"{PREFIX}value_{name}" for name in values}
    root = ElementTree.fromstring(datastream)  # noqa: S314 - Debian's, or built by whoever runs this
    return frozenset(
        rule.attrib["id"].removeprefix(f"{PREFIX}rule_")
        for rule in root.iter(f"{_XCCDF}Rule")
        if any(one.get("value-id") in wanted for one in rule.iter(f"{_XCCDF}check-export"))
    )


def tailoring() -> dict[str, Any]:
    """What tailoring.yml says: `values` by name, `rules` as groups with their reason."""
    found: dict[str, Any] = yaml.safe_load((HERE / "tailoring.yml").read_text(encoding="utf-8"))
    return found


def tailoring_file(datastream: str, profiles: Iterable[str]) -> str:
    """tailoring.yml's values as oscap reads them (XCCDF): of each profile one that extends it, named tram_PROFILE."""
    given = "".join(
        f'<set-value idref="{PREFIX}value_{name}">{value}</set-value>' for name, value in tailoring()["values"].items()
    )
    texts = "".join(
        f'<Profile id="xccdf_tram_profile_{name}" extends="{PREFIX}profile_{name}">'
        f"<title>{name}</title>{given}</Profile>"
        for name in profiles
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<Tailoring xmlns="{_XCCDF[1:-1]}" id="xccdf_tram_tailoring_site"><benchmark href="{datastream}"/>'
        f'<version time="2026-01-01T00:00:00">1</version>{texts}</Tailoring>'
    )


def tailored_out(rule: str) -> str | None:
    """Why tailoring.yml leaves a rule out; None when it does not."""
    for group in tailoring()["rules"]:
        if any(fnmatchcase(rule, pattern) for pattern in group["rules"]):
            return str(group["reason"])
    return None


def container_patterns() -> list[str]:
    """Rules that a container cannot meet (container.yml)."""
    groups = yaml.safe_load((HERE / "container.yml").read_text(encoding="utf-8"))
    return [pattern for group in groups.values() for pattern in group["rules"]]


def container_lynis() -> frozenset[str]:
    """Tests of Lynis that a container cannot meet (container.yml)."""
    groups = yaml.safe_load((HERE / "container.yml").read_text(encoding="utf-8"))
    return frozenset(test for group in groups.values() for test in group.get("lynis", []))


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
