"""Which host has which release in effect: what hosts told the mirror, kept before the mirror's log is rotated away.

A host tells by asking for /signatures/seen/SERIAL?profile=…&state=…; who it is, its certificate says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import shelf
from .place import Place

PREFIX = "/signatures/seen/"
STATES = ("active", "refused", "failed")
HOSTS_MAX = 20_000
Hosts = dict[str, dict[str, Any]]


def kept(place: Place) -> Hosts:
    """All hosts that ever told anything: the highest serial in effect and since when, and what was said last.

    Call it `alone`.
    """
    book = place.state / "seen.json"
    try:
        known = json.loads(book.read_text(encoding="utf-8"))
        hosts, read = dict(known["hosts"]), dict(known["read"])
    except (OSError, ValueError, KeyError, TypeError):
        hosts, read = {}, {}
    before = json.dumps([hosts, read])
    for path in (place.access_log.with_name(place.access_log.name + ".1"), place.access_log):
        read = taken(path, hosts, read, place.caches)
    if json.dumps([hosts, read]) != before:
        shelf.replace(book, json.dumps({"hosts": hosts, "read": read}, ensure_ascii=False).encode(), 0o600)
    return hosts


def taken(path: Path, hosts: Hosts, read: dict[str, Any], caches: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """Take what is new in a log; return how far that is, by the file and not by its name: logs are renamed."""
    try:
        with path.open("rb") as file:
            number, size = os.fstat(file.fileno()).st_ino, os.fstat(file.fileno()).st_size
            key = str(number)
            start = int(read.get(key, 0))
            file.seek(start if start <= size else 0)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                heard(line, hosts, caches)
                start = file.tell()
    except OSError:
        return read
    others = {name: at for name, at in read.items() if name != key}
    return {**dict(list(others.items())[-1:]), key: start}


def heard(line: bytes, hosts: Hosts, caches: Mapping[str, Collection[str]]) -> None:
    """Take one line of the log. What is no report, or is nonsense, is passed over."""
    for host, serial, profile, state, when in report(line, caches):
        if host not in hosts and len(hosts) >= HOSTS_MAX:
            return
        what = hosts.setdefault(host, {"active": 0, "active_at": ""})
        what.update(serial=serial, profile=profile, state=state, at=when)
        if state == "active" and serial > int(what["active"]):
            what.update(active=serial, active_at=when)


def report(line: bytes, caches: Mapping[str, Collection[str]]) -> Iterator[tuple[str, int, str, str, str]]:
    """What a line of the log reports, if it does. A site's cache may speak for the hosts of its site, nobody else for
    another."""
    try:
        given = json.loads(line)
        if given["status"] != 204 or not given["path"].startswith(PREFIX) or not given["client"]:
            return
        host = given.get("for") or given["client"]
        if host != given["client"] and host not in caches.get(given["client"], ()):
            return
        split = urlsplit(given["path"])
        asked = {key: values[-1][:40] for key, values in parse_qs(split.query).items()}
        serial = split.path.removeprefix(PREFIX)
        if serial.isascii() and serial.isdigit() and len(serial) <= 12 and asked.get("state") in STATES:
            yield host, int(serial), asked.get("profile", ""), asked["state"], given["time"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return
