"""What the centre asks of one host, in a few hundred bytes; this is what is signed."""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tram.core.canonical import (
    BadDocument,
    check_format,
    dumps,
    fields,
    format_time,
    is_digest,
    kind,
    loads,
    parse_time,
)
from tram.core.tree import MAX_BYTES, check_path

FORMAT = 1
NAMESPACE = "tram-order"  # of the signature (ssh-keygen -Y): a signature made for anything else is none here
MAX_JSON_BYTES = 8 * 2**10
MAX_SERIAL = 2**53 - 1  # the largest whole number every JSON reader keeps exact
MAX_CONFIRM_SECONDS = 7 * 86_400

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")
_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}", re.ASCII)
_RUNTIME = re.compile(r"[0-9a-f]{16}")
_TEXTS = ("province", "site", "host", "run", "playbook", "tree", "runtime")


@dataclass(frozen=True, slots=True)
class Order:
    """One order, checked when it is made.

    `host` is the inventory name, `serial` grows strictly for each host, `tree` and `bytes` are digest and size of what
    to apply, `runtime` the runtime that must apply it, `after` the run before it on this host, `confirm_seconds` how
    long the host waits for the centre's word before it goes back (None: no confirmation).

    Raises: BadDocument for a value that cannot be.
    """

    province: str
    site: str
    host: str
    run: str
    serial: int
    playbook: str
    tree: str
    bytes: int
    runtime: str
    issued: datetime
    expires: datetime
    after: str | None = None
    check: bool = False
    confirm_seconds: int | None = None

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "issued", self.issued.astimezone(UTC).replace(microsecond=0))
        object.__setattr__(self, "expires", self.expires.astimezone(UTC).replace(microsecond=0))
        if self.expires <= self.issued:
            _refuse("expires", f"{format_time(self.expires)} is not after issued {format_time(self.issued)}")

    @classmethod
    def parse(cls, data: builtins.bytes) -> Order:
        """The order that these canonical bytes are.

        Raises: BadDocument.
        """
        found = loads(data, what="order", limit=MAX_JSON_BYTES)
        check_format(found, FORMAT, what="order")
        given = fields(found, _KEYS, what="order")
        text = {name: _text(name, given[name]) for name in _TEXTS}
        return cls(
            province=text["province"],
            site=text["site"],
            host=text["host"],
            run=text["run"],
            serial=_whole("serial", given["serial"]),
            playbook=text["playbook"],
            tree=text["tree"],
            bytes=_whole("bytes", given["bytes"]),
            runtime=text["runtime"],
            issued=parse_time(given["issued"], what='order: "issued"'),
            expires=parse_time(given["expires"], what='order: "expires"'),
            after=None if given["after"] is None else _text("after", given["after"]),
            check=_truth("check", given["check"]),
            confirm_seconds=(
                None if given["confirm_seconds"] is None else _whole("confirm_seconds", given["confirm_seconds"])
            ),
        )

    def canonical(self) -> builtins.bytes:
        """The bytes that are signed."""
        plain = {name: getattr(self, name) for name in _FIELDS}
        plain |= {"format": FORMAT, "issued": format_time(self.issued), "expires": format_time(self.expires)}
        return dumps(plain)


_FIELDS = tuple(Order.__dataclass_fields__)
_KEYS = frozenset((*_FIELDS, "format"))


def is_name(text: str) -> bool:
    """Whether this can be the name of a province, site or host."""
    return _NAME.fullmatch(text) is not None


def is_run(text: str) -> bool:
    """Whether this can be the name of a run: 20261121T190500Z-3fa9c1."""
    return _RUN.fullmatch(text) is not None


def is_runtime(text: object) -> bool:
    """Whether this can be the id of a runtime: 0123456789abcdef."""
    return isinstance(text, str) and _RUNTIME.fullmatch(text) is not None


def _check(order: Order) -> None:
    names = "is not a name of small letters, digits and hyphens inside, at most 128"
    runs = "is not a run such as 20261121T190500Z-3fa9c1"
    wait = order.confirm_seconds
    problems = {
        "province": names if not is_name(order.province) else "",
        "site": names if not is_name(order.site) else "",
        "host": names if not is_name(order.host) else "",
        "run": runs if not is_run(order.run) else "",
        "after": runs if order.after is not None and not is_run(order.after) else "",
        "serial": f"{order.serial} is not from 1 to {MAX_SERIAL}" if not 1 <= order.serial <= MAX_SERIAL else "",
        "playbook": "does not end in .yml or .yaml" if not order.playbook.endswith((".yml", ".yaml")) else "",
        "tree": "is not 64 hexadecimal digits" if not is_digest(order.tree) else "",
        "bytes": f"{order.bytes} is less than 0" if order.bytes < 0 else "",
        "runtime": "is not 16 hexadecimal digits" if not is_runtime(order.runtime) else "",
        "confirm_seconds": (
            f"{wait} is not from 1 to {MAX_CONFIRM_SECONDS}"
            if wait is not None and not 1 <= wait <= MAX_CONFIRM_SECONDS
            else ""
        ),
        "issued": "does not know its time zone" if order.issued.tzinfo is None else "",
        "expires": "does not know its time zone" if order.expires.tzinfo is None else "",
    }
    for name, problem in problems.items():
        if problem:
            _refuse(name, problem)
    check_path(order.playbook)
    if order.bytes > MAX_BYTES:
        raise BadDocument(f'order: "bytes": {order.bytes}, at most {MAX_BYTES} are allowed', reason="too-large")


def _refuse(name: str, problem: str) -> None:
    raise BadDocument(f'order: "{name}": {problem}')


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadDocument(f'order: "{name}" is {kind(value)}, not text')
    return value


def _whole(name: str, value: object) -> int:
    if type(value) is not int:  # True is an int to isinstance
        raise BadDocument(f'order: "{name}" is {kind(value)}, not a whole number')
    return value


def _truth(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise BadDocument(f'order: "{name}" is {kind(value)}, not true or false')
    return value
