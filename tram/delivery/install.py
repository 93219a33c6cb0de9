"""Put runtime and runner on a host, over a line that may break at any byte. docs/contracts/runtime.md"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from tram.bundle import allowed_signers
from tram.bundle.runtime import Runtime, pack_of
from tram.core.canonical import digest, dumps
from tram.core.errors import TramError
from tram.delivery.line import Line, LineLost
from tram.delivery.progress import Phase, Teller
from tram.register import Host, Province, Site
from tram.site.install.plan import COMMANDS, Put, install_plan

_PIECE_BYTES = 1 << 14
_LINE_BYTES = 16 * 2**10
_KEPT_BEFORE = 1  # older runtimes that stay, for whoever goes back
_SSH_PORT = 22


class NotInstalled(TramError):
    """The host cannot take the runtime; the sentence says why."""


def installer() -> bytes:
    """The program that does the host's part, as source."""
    return resources.files("tram.site.install").joinpath("installer.py").read_bytes()


def site_files(province: Province, site: Site, host: Host) -> tuple[Put, ...]:
    """Every file that makes a host ours beside the runtime itself."""
    # Who is asked whether the line is up: an answer of any kind will do.
    probes = [] if site.is_hub else [(str(province.hub_host.address), _SSH_PORT)]
    return install_plan(
        province.code,
        site.code,
        host.inventory_name,
        operator=province.operator,
        allowed_signers=allowed_signers(province),
        probes=probes,
    )


def request(host: str, files: Sequence[Put], runtime: Runtime) -> bytes:
    """What a host is asked to have, as one line without its end."""
    asked = {
        "host": host,
        "index": runtime.index,
        "keep": _KEPT_BEFORE,
        "files": [[put.path, put.mode, put.content.decode()] for put in files],
        "commands": COMMANDS,
    }
    return dumps(asked)


def answer(runtime: Runtime, lacks: Sequence[int]) -> tuple[dict[str, Any], bytes, bytes]:
    """What a host is given that lacks the base and the files of these numbers: the line that says so, base, files."""
    paths = sorted(runtime.files)
    pack = pack_of(runtime.files, (paths[number] for number in lacks))
    coming = {"base_from": 0, "files": list(lacks), "pack": digest(pack), "bytes": len(pack), "from": 0}
    return coming, runtime.base.path.read_bytes(), pack


def install(line: Line, files: Sequence[Put], runtime: Runtime, teller: Teller) -> None:
    """Bring this host to `runtime`: what is there already is not sent again, and again changes nothing.

    Raises: NotInstalled; LineLost, and then calling it again goes on from what the host has.
    """
    source = installer()
    _send(line, f"{len(source)}\n".encode() + source + request(teller.now.host, files, runtime) + b"\n")
    has = _hear(line)
    lacks = _lacking(has, runtime)
    coming, base, pack = answer(runtime, lacks)
    coming["base_from"] = start = _number(has.get("base"), len(base))
    parts = has.get("parts")
    coming["from"] = _number(parts.get(coming["pack"]), len(pack)) if isinstance(parts, dict) else 0
    data = base[start:] + pack[coming["from"] :]
    before = (start if start < len(base) else 0) + coming["from"]
    teller.tell(heard=True, phase=Phase.INSTALLING, sent=before, total=before + len(data), note="")
    if lacks or start < len(base):
        _send(line, dumps(coming) + b"\n")
        for at in range(0, len(data), _PIECE_BYTES):
            _send(line, data[at : at + _PIECE_BYTES])
            while line.waiting():
                _hear(line)
                teller.tell(heard=True, sent=before + at)
    while not (told := _hear(line)).get("done"):
        teller.tell(heard=True, task=str(told.get("step", ""))[:40])
    teller.tell(heard=True, sent=before + len(data), task="")
    line.finish()


def _lacking(has: dict[str, Any], runtime: Runtime) -> list[int]:
    """The numbers of the files that the host says it lacks."""
    lacks = has.get("lacks")
    if not isinstance(lacks, list) or any(type(found) is not int for found in lacks):
        raise LineLost("the installer answers what was not asked")
    return [number for number in lacks if 0 <= number < len(runtime.files)]


def _send(line: Line, data: bytes) -> None:
    """Hand over all of `data`.

    Raises: NotInstalled, LineLost: what the installer said before it hung up, if it said anything, else that it did.
    """
    try:
        line.write(data)
    except LineLost:
        for text in line.unread().splitlines(keepends=True):
            if text.endswith(b"\n"):
                _meaning(text)
        raise


def _hear(line: Line) -> dict[str, Any]:
    """One line of the installer's.

    Raises: NotInstalled when it says what is in the way; LineLost when it says nothing sensible.
    """
    text = bytearray()
    while not text.endswith(b"\n"):
        text += line.read(1)
        if len(text) > _LINE_BYTES:
            raise LineLost("the installer's answer has no end")
    return _meaning(bytes(text))


def _meaning(text: bytes) -> dict[str, Any]:
    """What one line of the installer's says. Raises: as `_hear`."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise LineLost(f"the installer answers {text[:80]!r}")
    if "error" in found:
        words = str(found["error"])[:500]
        if found.get("again"):
            raise LineLost(words)
        raise NotInstalled(
            f"the runtime cannot be installed: {words}", hint="correct that on the host, then run this again"
        )
    return found


def _number(given: Any, most: int) -> int:
    return given if type(given) is int and 0 <= given <= most else 0
