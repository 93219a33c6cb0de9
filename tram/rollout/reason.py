"""Why a site stands where it does in a plan, and why a wave may not go on: codes with values, worded by the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The English of each code; operators get it in their language (tram/cli/rollout_words.py).
TEXTS = {
    # why a site stands here
    "hub": "the hub first: the others use its services",
    "pilot": "pilot site",
    "first": "no pilot in the register: the readiest site tries first",
    "share": "the next {size}",
    "rest": "the rest",
    "ready": "its last run ended well",
    "new": "never tried before",
    "silent": "not reached the last time",
    "troubled": "its last run failed",
    "line": "{link}: {down} down, {up} up, {rtt}, {loss} lost",
    "no_line": "beside the centre",
    # why it does not fit
    "no_window": "{minutes} min are needed, its hours are {hours}",
    "over_cap": "{bytes} bytes are more than the {cap} allowed on its line",
    # why a wave may not go on
    "approval": "a person is to let wave {wave} begin",
    "failed": "{host} failed: {reason}",
    "too_few": "{reached} of {total} sites' hosts were reached, {needed} are needed",
    "no_evidence": "{host} is done by the centre's word only: its own report has not come",
    "pushed": "{host} is done, but it took no bundle and was verified by nobody: {reason}",
    "nothing_verified": "{host} is done, but nothing was verified there",
    "verify_failed": "{host}: {role}: {message}",
    "errors": "{host} told of {count} failed tasks though it is done",
}

# Only these stop a wave; everything else holds it until evidence comes or a person decides.
STOPPING = ("failed",)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a code of `TEXTS` and its values (plain data)."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What an approval names it by: the code, and the host or wave it is about."""
        about = [str(self.values[name]) for name in ("host", "wave", "role") if name in self.values]
        return ":".join([self.code, *about])

    @property
    def stops(self) -> bool:
        """Whether it stops the wave rather than holds it."""
        return self.code in STOPPING

    def plain(self) -> dict[str, Any]:
        """As the ledger and JSON have it."""
        return {"code": self.code, **self.values}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Reason:
        """From what `plain` gave."""
        return cls(str(plain["code"]), {name: value for name, value in plain.items() if name != "code"})

    def __str__(self) -> str:
        return TEXTS[self.code].format(**self.values)
