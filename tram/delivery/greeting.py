"""What a host says first, read with care: it is another machine's word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tram.core.canonical import is_digest
from tram.core.frames import Readable, read_frame
from tram.core.order import is_run
from tram.delivery.line import Barred, LineLost
from tram.register import Host, Province, Site

# A host has few runs that wait and few trees; more is not believed.
_MOST = 200


@dataclass(frozen=True, slots=True)
class Told:
    """A run of which the centre has not acknowledged all: its events are from `first` to before `next_seq`."""

    run: str
    state: str
    first: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class Greeting:
    """Where the host stands. `serial`: of the last order it accepted; `partial`: bytes it has of packs by digest."""

    serial: int
    runtimes: tuple[str, ...]
    trees: tuple[str, ...]
    partial: Mapping[str, int]
    runs: Mapping[str, Told]
    free_bytes: int
    clock: str
    busy: str | None


def read_greeting(stream: Readable, province: Province, site: Site, host: Host) -> Greeting:
    """The host's first frame.

    Raises: LineLost when it says nothing; Barred when it is another host, or speaks what we do not know.
    """
    frame = read_frame(stream)
    if frame is None:
        raise LineLost(f"{host.inventory_name}: the connection ended before the host said anything")
    if frame["t"] == "error":
        raise Barred(
            f"{host.inventory_name}: its runner cannot work: {_text(frame.get('message'))[:300]}",
            hint=f"tram deliver --install --limit {host.inventory_name} sets it up anew",
        )
    if frame["t"] != "state":
        raise Barred(f"{host.inventory_name}: its runner begins with {_text(frame['t'])[:40]!r}, not with its state")
    said = tuple(_text(frame.get(name)) for name in ("province", "site", "host"))
    meant = (province.code, site.code, host.inventory_name)
    if said != meant:
        raise Barred(
            f"{host.inventory_name}: who answers there is {'/'.join(said)[:200]}, meant was {'/'.join(meant)}",
            hint="compare the register's address with the host; nothing was sent to it",
        )
    return Greeting(
        serial=_whole(frame.get("serial")),
        runtimes=tuple(_text(found) for found in _list(frame.get("runtime"))),
        trees=tuple(found for found in _list(frame.get("trees")) if is_digest(found)),
        partial={
            pack: size
            for pack, size in list(_mapping(frame.get("partial")).items())[:_MOST]
            if is_digest(pack) and type(size) is int and size > 0
        },
        runs={told.run: told for found in _list(frame.get("runs")) if (told := _told(found)) is not None},
        free_bytes=_whole(frame.get("free_bytes")),
        clock=_text(frame.get("clock"))[:40],
        busy=found if isinstance(found := frame.get("busy"), str) and is_run(found) else None,
    )


def _told(found: Any) -> Told | None:
    if not isinstance(found, dict) or not isinstance(found.get("run"), str) or not is_run(found["run"]):
        return None
    following = max(1, _whole(found.get("next_seq")))
    return Told(found["run"], _text(found.get("state")), max(1, _whole(found.get("from"))), following)


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _whole(found: Any) -> int:
    return found if type(found) is int and found >= 0 else 0


def _list(found: Any) -> list[Any]:
    return found[:_MOST] if isinstance(found, list) else []


def _mapping(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
