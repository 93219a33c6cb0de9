"""The carrier for no line at all: a USB stick that goes to a host and comes back. docs/adr/0010, contracts/exchange.md.

On the stick, in tram/<province>/<host>/: 0-runtime-<id>.install and .sig, the runtime if the host lacks it (signed,
not closed: there is no secret in it); 1-order-<serial>-<run>.age, what to carry out; 2-files-<run>.age, what to ask
for when that is done (both closed for that host alone); answer-<time>-<n>.frames, what the host says (`tram-courier`).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tram.bundle import build, centre_key
from tram.bundle.envelope import pinned_key, seal
from tram.bundle.runtime import Runtime
from tram.bundle.signing import sign_bytes
from tram.core.canonical import dumps
from tram.core.errors import BadInput
from tram.core.events import Event
from tram.core.frames import BrokenWire, read_data, read_frame, write_data, write_frame
from tram.core.order import MAX_SERIAL, is_name, is_run, is_runtime
from tram.delivery import returned
from tram.delivery.contact import DATA_FRAME_BYTES, order_message
from tram.delivery.install import answer, installer, request, site_files
from tram.delivery.memory import HostMemory
from tram.delivery.parcel import Parcel, find_host
from tram.delivery.ssh import SshCarrier
from tram.ledger import Job, Ledger, Outcome, UnknownRun
from tram.register import Host, Province, Site

# A stick may lie in a drawer for a while; an order that is older is not carried out.
VALID = timedelta(days=60)
_MAX_ANSWER_BYTES = 64 * 2**20
_ACKNOWLEDGED_RUNS = 50
_RUNTIME = "0-runtime-"


@dataclass(slots=True)
class News:
    """What one host's answers on a stick brought: how many events were new, files that came, orders it turned away."""

    host: str
    events: int = 0
    files: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def folder(stick: Path, province: Province, host: str) -> Path:
    """Where a host's things are on a stick."""
    return stick / "tram" / province.code / host


def put(stick: Path, job: Job, province: Province, ledger: Ledger, parcel: Parcel) -> int:
    """Put a run on a stick for its host, whole: nothing is taken for granted. Returns the bytes written.

    `parcel` was made with `confirm=None` and `valid=VALID`: a stick is no contact, and it is slow.

    Raises: BadInput when no key of the host is pinned, the stick cannot be written, or the bundle has mistakes.
    """
    key = pinned_key(province, parcel.host)
    order, signature = parcel.order(0)
    name, data = parcel.pack_beside(())
    frames = io.BytesIO()
    for run, seq in _known(ledger, job.host):
        write_frame(frames, {"t": "ack", "run": run, "seq": seq})
    write_frame(frames, order_message(order, signature, name, data, 0))
    for start in range(0, len(data), DATA_FRAME_BYTES):
        write_data(frames, data[start : start + DATA_FRAME_BYTES])
    asking = io.BytesIO()
    write_frame(asking, {"t": "files", "run": job.run})
    place = folder(stick, province, job.host)
    sealed = {
        f"1-order-{order.serial:010d}-{job.run}.age": seal(frames.getvalue(), key),
        f"2-files-{job.run}.age": seal(asking.getvalue(), key),
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob(f"[12]-*-{job.run}.age"):
            old.unlink()
        for file, content in sealed.items():
            (place / f"{file}.part").write_bytes(content)
            (place / f"{file}.part").replace(place / file)
    except OSError as error:
        raise BadInput(f"{place}: {error.strerror}", hint="is the stick full, or read-only?") from error
    return sum(map(len, sealed.values()))


def put_runtime(stick: Path, province: Province, site: Site, host: Host, runtime: Runtime) -> int:
    """Put the runtime on a stick for a host that lacks it, whole. Returns the bytes written.

    Beside it lies the program that installs it, for a host that has none of ours yet.

    Raises: BadInput when the stick cannot be written.
    """
    asked = request(host.inventory_name, site_files(province, site, host), runtime) + b"\n"
    coming, base, pack = answer(runtime, range(len(runtime.files)))
    place = folder(stick, province, host.inventory_name)
    name = f"{_RUNTIME}{runtime.id}"
    files = {
        place.parent / "install.py": installer(),
        place / f"{name}.sig": sign_bytes(asked, centre_key(province)).encode(),
        place / f"{name}.install": asked + dumps(coming) + b"\n" + base + pack,
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob(f"{_RUNTIME}*"):
            old.unlink()
        for path, content in files.items():
            path.with_suffix(".part").write_bytes(content)
            path.with_suffix(".part").replace(path)
    except OSError as error:
        raise BadInput(f"{place}: {error.strerror}", hint="is the stick full, or read-only?") from error
    return sum(map(len, files.values()))


def take(stick: Path, province: Province, ledger: Ledger) -> list[News]:
    """Take in what hosts answered, any number of times and in any order; each event is recorded once.

    Raises: BadInput when there is nothing of this province on the stick.
    """
    home = stick / "tram" / province.code
    if not home.is_dir():
        raise BadInput(f"{stick}: nothing of province {province.code} is on it", hint="give the stick's directory")
    known = {host.inventory_name for site in province.sites for host in site.hosts}
    found = []
    for place in sorted(path for path in home.iterdir() if path.is_dir() and is_name(path.name)):
        answers = sorted(place.glob("answer-*.frames"))
        if not answers:
            continue
        if place.name not in known:
            raise BadInput(f"{place}: the register has no such host", hint="is it another province's stick?")
        news = News(place.name)
        for path in answers:
            _take(path, news, province, ledger)
        found.append(news)
    return found


def orders(stick: Path, province: Province, host: Host) -> list[Path]:
    """What lies on the stick for this host."""
    return sorted(folder(stick, province, host.inventory_name).glob("[012]-*"))


def tidy(stick: Path, province: Province, ledger: Ledger) -> None:
    """Remove what is done with: orders whose result is known, a runtime that is installed, and every answer (all of
    them are in the ledger)."""
    for place in (stick / "tram" / province.code).iterdir():
        for path in place.glob("answer-*.frames"):
            path.unlink()
        for path in place.glob("[12]-*.age"):
            run = "-".join(path.stem.split("-")[-2:])
            if is_run(run) and _outcome(ledger, run, place.name) in (Outcome.DONE, Outcome.FAILED):
                path.unlink()
        for name in HostMemory(province.code).runtimes(place.name):
            for path in place.glob(f"{_RUNTIME}{name}.*"):
                path.unlink()


def _take(path: Path, news: News, province: Province, ledger: Ledger) -> None:
    """One answer file. A torn one gives what is whole of it."""
    if path.stat().st_size > _MAX_ANSWER_BYTES:
        news.damaged.append(path.name)
        return
    stream = io.BytesIO(path.read_bytes())
    try:
        while (frame := read_frame(stream)) is not None:
            _heard(frame, stream, news, province, ledger)
    except BrokenWire:
        news.damaged.append(path.name)


def _heard(frame: dict[str, Any], stream: io.BytesIO, news: News, province: Province, ledger: Ledger) -> None:
    kind, run = frame["t"], frame.get("run")
    if kind == "state" and frame.get("host") != news.host:
        raise BrokenWire("another host's answer")
    if kind == "state":
        _learn(frame, province, ledger)
    elif kind == "events" and isinstance(frame.get("events"), list):
        news.events += ledger.record([Event.of(found) for found in frame["events"]], source=news.host)
    elif kind == "refused" and isinstance(run, str) and is_run(run):
        _turned_away(run, frame, news, ledger)
    elif kind == "file":
        path, size = str(frame.get("path")), frame.get("bytes")
        content = bytearray()
        while type(size) is int and len(content) < size:
            data = read_frame(stream)
            if data is None or data["t"] != "data":
                raise BrokenWire("a file without its data")
            for piece in read_data(stream, data):
                content += piece
        wanted = type(size) is int and returned.acceptable(path, size, _returns(run, news.host, province, ledger))
        if wanted and len(content) == size and returned.put(province.secrets_dir, path, bytes(content)):
            news.files.append(path)


def _returns(run: object, host: str, province: Province, ledger: Ledger) -> tuple[str, ...]:
    """What this host's roles hand back in that run, by what they say at the centre today: nothing in another's name.

    Raises: BadInput when that cannot be said any more.
    """
    if not isinstance(run, str) or not is_run(run):
        return ()
    try:
        shown = ledger.show(run)
    except UnknownRun:
        return ()
    if not any(row.host == host for row in shown.hosts):
        return ()
    return build(
        Path(shown.run.playbook), province, find_host(province, host)[1], secrets=province.secrets_dir, check=True
    ).returns


def _learn(frame: dict[str, Any], province: Province, ledger: Ledger) -> None:
    """What the next stick must know of the host."""
    host, serial = str(frame["host"]), frame.get("serial")
    if isinstance(frame.get("runtime"), list):
        HostMemory(province.code).keep(host, filter(is_runtime, frame["runtime"]))
    if type(serial) is int and 0 < serial < MAX_SERIAL:
        ledger.assign(host, above=serial)  # a ledger made anew would number the next order too low


def _turned_away(run: str, frame: dict[str, Any], news: News, ledger: Ledger) -> None:
    """An order was refused at the host. When it was accepted before, or its run came another way, that says nothing."""
    if _outcome(ledger, run, news.host) not in (None, Outcome.NOT_REACHED):
        return
    reason = f"refused ({str(frame.get('reason'))[:40]}): {str(frame.get('message'))[:300]}"
    if frame.get("reason") != "replayed":
        ledger.finish(run, news.host, Outcome.FAILED, reason)
        news.refused.append((run, reason))
    elif _outcome(ledger, run, news.host) is not None and ledger.next_seq(run, news.host) == 1:
        # An order with a higher number was there before: no failure, it may be sent again.
        ledger.finish(run, news.host, Outcome.NOT_REACHED, reason)


def _known(ledger: Ledger, host: str) -> Sequence[tuple[str, int]]:
    """Of the newest runs of this host, up to which event they are here: the host need not keep those for us."""
    found = []
    for run in ledger.runs(limit=_ACKNOWLEDGED_RUNS):
        if (following := ledger.next_seq(run.run, host)) > 1:
            found.append((run.run, following - 1))
    return found


def _outcome(ledger: Ledger, run: str, host: str) -> Outcome | None:
    try:
        return ledger.outcome(run, host)
    except UnknownRun:
        return None


def through(carrier: SshCarrier, stick: Path, province: Province, host: Host, *, verb: str, wait: timedelta) -> int:
    """Do with the stick, which is in this machine, what a person would do at the host: from a seat beside it, over the
    office's own network. `verb`: load or return. Returns how many answers came onto the stick.

    Raises: BadInput when there is nothing to load; LineLost, Barred, NoRunner.
    """
    sealed = orders(stick, province, host) if verb == "load" else []
    if verb == "load" and not sealed:
        raise BadInput(f"{stick}: nothing for {host.inventory_name} is on it", hint="tram courier pack puts it there")
    going = io.BytesIO()
    with tarfile.open(fileobj=going, mode="w") as tar:
        for path in sealed:
            tar.add(path, arcname=path.relative_to(stick).as_posix())
    with carrier.courier(verb, round(wait.total_seconds())) as line:
        line.patience = wait + timedelta(minutes=5)
        line.write(going.getvalue())
        coming = line.read_all(_MAX_ANSWER_BYTES)
    place = folder(stick, province, host.inventory_name)
    place.mkdir(parents=True, exist_ok=True)
    count = 0
    with tarfile.open(fileobj=io.BytesIO(coming)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            name = member.name.rpartition("/")[2]
            if content is not None and fnmatchcase(name, "answer-*.frames"):
                (place / name).write_bytes(content.read())
                count += 1
    return count
