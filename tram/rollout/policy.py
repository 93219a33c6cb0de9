"""The rules a rollout goes by: defaults here, a province's own in inventories/<province>/rollout.yml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tram.core.errors import BadInput
from tram.core.units import format_share, format_span, parse_share, parse_span

FILE = "rollout.yml"


def _span(value: object) -> object:
    return parse_span(value) if isinstance(value, str) else value


def _share(value: object) -> object:
    return parse_share(value) if isinstance(value, str) else value


Span = Annotated[timedelta, BeforeValidator(_span), PlainSerializer(format_span)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_share), PlainSerializer(format_share)]
Size = Annotated[str, BeforeValidator(str), Field(pattern=r"^([1-9]\d{0,3}|([1-9]\d?|100) ?%|rest)$")]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day, by the province's clock, in which a line may be used; `until` before `since` is over night."""

    since: TimeOfDay
    until: TimeOfDay

    @property
    def length(self) -> timedelta:
        """How long it is open a day."""
        return timedelta(minutes=(_minutes(self.until) - _minutes(self.since)) % 1440 or 1440)

    def opens(self, at: datetime, offset: timedelta) -> datetime:
        """`at` itself when it is open then, otherwise when it opens next."""
        here = at.astimezone(timezone(offset))
        since = here.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=_minutes(self.since))
        for start in (since - timedelta(days=1), since):
            if start <= here < start + self.length:
                return at
        return since if here < since else since + timedelta(days=1)

    def closes(self, at: datetime, offset: timedelta) -> datetime:
        """When it closes that is open at `at`, or opens next."""
        opened = self.opens(at, offset).astimezone(timezone(offset))
        since = opened.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=_minutes(self.since))
        return (since if since <= opened else since - timedelta(days=1)) + self.length


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """What a class of lines allows. `hours`: when (None: always); `cap_bytes`: the most for one host's run;
    `stage_bytes`: the most that `tram stage` brings to a site in one night."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    hours: Window | None = None
    cap_bytes: Annotated[int, Field(gt=0)] | None = None
    stage_bytes: Annotated[int, Field(gt=0)] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """All the rules. Spans are written "5 min", shares "80 %", sizes of waves "1", "10 %" or "rest".

    `growth` are the sizes of the waves after the hub; the first is tried by pilots. `max_failed` is how many may fail
    before everything stops; `min_reached` the share of a wave that must have answered; `approve` the numbers of the
    waves that a person lets begin; `reach` for how long one that does not answer is called, before others get its turn;
    `age_limit` how long a host not reached is tried again, at first after `retry_first`, then ever later up to
    `retry_most`. `hub_first` are the functions that others use at the hub. `quiet` are the hours in which `tram stage`
    uses the lines of sites.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    growth: Annotated[tuple[Size, ...], Field(min_length=1)] = ("1", "10 %", "30 %", "rest")
    soak: Span = timedelta(minutes=5)
    max_failed: Annotated[int, Field(ge=0)] = 0
    min_reached: Share = 0.8
    need_verify: bool = True
    approve: tuple[int, ...] = ()
    reach: Span = timedelta(minutes=2)
    age_limit: Span = timedelta(days=14)
    retry_first: Span = timedelta(minutes=10)
    retry_most: Span = timedelta(hours=2)
    parallel: Annotated[int, Field(ge=1, le=64)] = 16
    hub_first: tuple[str, ...] = (
        "hub_cache",
        "dns",
        "pki",
        "mirror",
        "antivirus_mirror",
        "directory",
        "mail",
        "watch_hub",
    )
    utc_offset: Span = timedelta(hours=7)
    quiet: Window = field(default_factory=lambda: Window("20:00", "05:00"))
    links: Mapping[str, LinkPolicy] = field(default_factory=dict)

    def link(self, link_class: str) -> LinkPolicy:
        """What a class of lines allows; one that is not named allows everything."""
        return self.links.get(link_class, LinkPolicy())

    def plain(self) -> dict[str, Any]:
        """As the ledger has it, and `of` reads it."""
        found: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return found

    @classmethod
    def of(cls, plain: object, where: str) -> Policy:
        """From plain data; `where` begins each line of the error.

        Raises: BadInput with every error in it.
        """
        try:
            return _ADAPTER.validate_python(plain)
        except ValidationError as error:
            lines = [f"{where}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise BadInput("\n".join(lines), hint="docs/contracts/ledger.md lists the rules of a rollout") from error


_ADAPTER = TypeAdapter(Policy)


def load_policy(folder: Path) -> Policy:
    """The province's rules: the defaults, and what rollout.yml in its folder says otherwise.

    Raises: BadInput with every error in that file.
    """
    path = folder / FILE
    try:
        found = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Policy()
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(f"{path}: cannot be read: {str(error).splitlines()[0]}", hint="correct the file") from error
    return Policy.of(found or {}, str(path))


def wave_size(size: Size, total: int) -> int:
    """How many of `total` sites a wave of this size has: at least one."""
    if size == "rest":
        return total
    if size.endswith("%"):
        return max(1, math.ceil(int(size.rstrip(" %")) * total / 100))
    return int(size)


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return 60 * int(hours) + int(minutes)
