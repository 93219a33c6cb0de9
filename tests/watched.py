"""What stories of the watch share: what the hub's store has, what is in the mailbox of whoever is on duty."""

from __future__ import annotations

import itertools
import json
import time
import urllib.parse
from email import message_from_bytes, policy
from pathlib import Path

from tram.lab.lab import Lab

from .person import Person

HUB = "trung-tam-hub1"
SCRAPE_SECONDS = 60
TEXTFILES = "/var/lib/prometheus/node-exporter"


def ask(lab: Lab, path: str, **words: str) -> str:
    """What the hub's store answers on its loopback."""
    url = f"http://127.0.0.1:8428{path}?{urllib.parse.urlencode(words)}"
    ran = lab.sh(HUB, ["curl", "--silent", "--globoff", "--max-time", "30", url])
    assert ran.code == 0, ran
    return ran.stdout


def rows(lab: Lab, query: str) -> list[tuple[dict[str, str], float]]:
    """The series of an instant query: labels and value."""
    found = json.loads(ask(lab, "/api/v1/query", query=query))["data"]["result"]
    return [(row["metric"], float(row["value"][1])) for row in found]


def labels(lab: Lab, query: str) -> list[dict[str, str]]:
    """The series of an instant query, by their labels."""
    return [one for one, _value in rows(lab, query)]


def moments(lab: Lab, host: str, start: float, end: float | None = None) -> list[float]:
    """When each sample of a host was taken, from `start` on."""
    bounds = {"start": f"{start:.0f}"} | ({"end": f"{end:.0f}"} if end else {})
    found: set[float] = set()
    for line in ask(lab, "/api/v1/export", **{"match[]": f'up{{host="{host}"}}'}, **bounds).splitlines():
        found.update(stamp / 1000 for stamp in json.loads(line)["timestamps"])
    return sorted(found)


def missing(stamps: list[float]) -> int:
    """Samples that were due between the first and the last and are not there."""
    return sum(round((later - before) / SCRAPE_SECONDS) - 1 for before, later in itertools.pairwise(stamps))


def fresh(lab: Lab, host: str) -> bool:
    """Whether a sample of the last minute and a half is at the hub."""
    return bool(moments(lab, host, time.time() - 90))


def said(lab: Lab, host: str) -> dict[str, float]:
    """What a host's agent says of itself."""
    found: dict[str, float] = json.loads(lab.sh(host, ["cat", "/run/tram-watch/said.json"]).stdout)
    return found


def root_of(lab: Lab, host: str) -> Path:
    """A host's files, from outside."""
    return Path(f"/proc/{lab.machines[host].init_pid()}/root")


def tell(lab: Lab, host: str, name: str, text: str) -> None:
    """A textfile of a host; none when the text is empty."""
    path = root_of(lab, host) / TEXTFILES.lstrip("/") / f"{name}.prom"
    path.unlink(missing_ok=True)
    if text:
        new = path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.rename(path)


def letters(duty: Person, word: str) -> list[str]:
    """Subjects of the letters in the mailbox whose subject holds a word."""
    session = duty.imap()
    try:
        _, found = session.search(None, "ALL")
        subjects = []
        for number in found[0].split():
            _, data = session.fetch(number.decode(), "(BODY.PEEK[HEADER])")
            assert isinstance(data[0], tuple)
            subjects.append(str(message_from_bytes(data[0][1], policy=policy.default)["Subject"]))
        return [subject for subject in subjects if word in subject]
    finally:
        session.logout()
