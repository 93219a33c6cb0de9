"""The shape of the register's files: every key, its type and what it is for. Outside data enters here (pydantic)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tram.core.units import parse_rate, parse_share, parse_span
from tram.register.problem import BadValue

# What a host can be for; each is a group in the inventory and, once it exists, a role of the same name.
FUNCTIONS = (
    "hub_cache",
    "dns",
    "pki",
    "mirror",
    "antivirus_mirror",
    "site_cache",
    "antivirus",
    "directory",
    "mail",
    "webmail",
    "documents",
    "watch_hub",
    "watch_site",
    "board",
    "backup_hub",
    "backup",
)

CODE_HINT = "small letters a-z, digits and single hyphens, a letter first, at most 40"
_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _from_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parse a value that must be written as text; any other type is left for pydantic to refuse."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _from_unit(parse: Callable[[str], Any], example: str) -> BeforeValidator:
    """Parse a quantity; a bare number is refused, because nobody can say of what."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise BadValue(f"{'nothing' if value is None else value} is not text", hint=f'write it as "{example}"')
        return parse(value)

    return BeforeValidator(read)


def _text(value: str) -> str:
    clean = " ".join(unicodedata.normalize("NFC", value).split())  # a Mac writes NFD: equal to the eye, not to `==`
    if not clean:
        raise BadValue("is empty", hint="write some text or leave the key out")
    if clean.startswith("="):
        raise BadValue(f'"{clean}" starts with =', hint="a spreadsheet would take it for a formula")
    return clean


def is_code(value: str) -> bool:
    """Whether this can be the code of a site, and so the name of its file."""
    return len(value) <= 40 and _CODE.fullmatch(value) is not None


def _code(value: str) -> str:
    if not is_code(value):
        raise BadValue(f'"{value}" is not a code', hint=CODE_HINT)
    return value


def _word(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", value):
        raise BadValue(
            f'"{value}" is not a name', hint="small letters a-z, digits and underscores, letter first, at most 31"
        )
    return value


def _domain(value: str) -> str:
    if len(value) > 200 or "." not in value or not all(_LABEL.fullmatch(label) for label in value.split(".")):
        raise BadValue(f'"{value}" is not a domain name', hint='write it as "huong-khe.tinh.example", in small letters')
    return value


def _network(value: str) -> IPv4Network:
    try:
        address, slash, bits = value.partition("/")
        if not slash or not bits.isdecimal():
            raise BadValue(f'"{value}" is not a network', hint='write address and bits: "192.0.2.0/24"')
        network = IPv4Network(value, strict=False)
    except (AddressValueError, NetmaskValueError) as error:
        raise BadValue(f'"{value}" is not a network', hint='write address and bits: "192.0.2.0/24"') from error
    if str(network.network_address) != address:
        raise BadValue(f'"{value}" is an address inside a network, not a network', hint=f'did you mean "{network}"?')
    return network


def _address(value: str) -> IPv4Address:
    try:
        return IPv4Address(value)
    except AddressValueError as error:
        raise BadValue(
            f'"{value}" is not an IPv4 address', hint='write four numbers from 0 to 255: "192.0.2.10"'
        ) from error


Text = Annotated[str, _from_text(_text)]
Code = Annotated[str, _from_text(_code)]
Word = Annotated[str, _from_text(_word)]
Domain = Annotated[str, _from_text(_domain)]
Network = Annotated[IPv4Network, _from_text(_network)]
Address = Annotated[IPv4Address, _from_text(_address)]
Rate = Annotated[int, _from_unit(parse_rate, "4 Mbit/s")]
Span = Annotated[timedelta, _from_unit(parse_span, "60 ms")]
Share = Annotated[float, _from_unit(parse_share, "0.5 %")]


class Shape(BaseModel):
    """Frozen, no unknown keys, no silent conversion ("2048" is not 2048)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TierShape(Shape):
    order: int = Field(ge=1, le=99, description="1 is the top; sites are listed and rolled out in this order")
    name_vi: Text = Field(description="name in Vietnamese")
    name_en: Text = Field(description="name in English")


class LinkClassShape(Shape):
    provider: Text = Field(description="who sells the line")
    kind: Text = Field(description="technology, in words the provider uses: FTTH, ADSL, leased line")
    down: Rate = Field(description="rate towards the site, e.g. 4 Mbit/s")
    up: Rate = Field(description="rate from the site, e.g. 512 kbit/s")
    rtt: Span = Field(description="round trip to the hub, e.g. 60 ms")
    loss: Share = Field(description="packets lost on the way, e.g. 0.5 %")


class ProvinceShape(Shape):
    """province.yml"""

    code: Code = Field(description="short name of the province, also names its secrets folder")
    name: Text = Field(description="name in Vietnamese")
    domain: Domain = Field(description="DNS domain of the province; the hub's own mail domain")
    hub: Code = Field(description="code of the site where all links end")
    operator: Word = Field(default="tram", description="account that manages the hosts")
    lab: bool = Field(default=False, description="true for a province in a box (`tram lab`)")
    tiers: dict[Word, TierShape] = Field(min_length=1, description="levels of administration, by name")
    link_classes: dict[Code, LinkClassShape] = Field(min_length=1, description="kinds of line, by name")


class LinkShape(Shape):
    link_class: Code = Field(alias="class", description="a link class of province.yml")
    provider: Text | None = Field(default=None, description="instead of the class's")
    kind: Text | None = Field(default=None, description="instead of the class's")
    down: Rate | None = Field(default=None, description="instead of the class's, e.g. 4 Mbit/s")
    up: Rate | None = Field(default=None, description="instead of the class's, e.g. 512 kbit/s")
    rtt: Span | None = Field(default=None, description="instead of the class's, e.g. 60 ms")
    loss: Share | None = Field(default=None, description="instead of the class's, e.g. 0.5 %")


class BoardShape(Shape):
    x: int = Field(ge=0, le=100, description="percent from the left")
    y: int = Field(ge=0, le=100, description="percent from the top")


class ContactShape(Shape):
    post: Text = Field(description="a post, never a person: Văn thư, Chuyên trách CNTT")
    phone: Text = Field(description='as text, "0239 000 0001": a number would lose its leading 0')


class HostShape(Shape):
    name: Code = Field(description="short name, unique in the site")
    address: Address = Field(description="IPv4 address inside the site's network")
    year: int = Field(ge=1990, le=2100, description="year the server was bought")
    model: Text = Field(description="maker and model")
    ram_mb: int = Field(ge=128, le=4_194_304, description="memory in MB")
    cores: int = Field(ge=1, le=1024, description="processor cores")
    suite: Literal["bookworm", "trixie"] = Field(default="bookworm", description="Debian release: bookworm or trixie")
    functions: list[Word] = Field(default_factory=list, description=f"what it is for: {', '.join(FUNCTIONS)}")


class SiteShape(Shape):
    """sites/<code>.yml"""

    code: Code = Field(description="short name of the site; the file is called `<code>.yml`")
    name: Text = Field(description="name in Vietnamese")
    tier: Word = Field(description="a tier of province.yml")
    parent: Code | None = Field(default=None, description="code of the site above; every site but the hub has one")
    board: BoardShape | None = Field(default=None, description="place on the board; without it, the board finds one")
    network: Network = Field(description="the site's own network, e.g. 192.0.2.0/24")
    domain: Domain | None = Field(default=None, description="mail and DNS domain; default `<code>.<province's domain>`")
    link: LinkShape | None = Field(default=None, description="line to the hub; every site but the hub has one")
    contact: ContactShape | None = Field(default=None, description="whom to call")
    pilot: bool = Field(default=False, description="true: changes come here first")
    hosts: list[HostShape] = Field(default_factory=list, description="its servers")
