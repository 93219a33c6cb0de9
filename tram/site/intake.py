"""Taking orders in: judged, their packs resumed where they stopped, and accepted whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tram.core.canonical import BadDocument, format_time, is_digest, parse_time
from tram.core.order import Order
from tram.site import clock, durable, runs
from tram.site.judge import judge, room
from tram.site.limits import PARTIAL_PACKS
from tram.site.pack import unpack
from tram.site.place import Config, Place
from tram.site.refusal import Needed, Refusal, record
from tram.site.store import Store
from tram.site.waking import wake

Answer = dict[str, Any]


@dataclass(slots=True)
class _Upload:
    """A pack that is on its way: where it goes and how far the sender is."""

    order: Order
    signature: str
    path: Path
    pack: str
    size: int
    position: int
    resumed: bool


class Intake:
    """The orders of one conversation. `live`: the centre is on the line, so its time is believed."""

    def __init__(self, place: Place, config: Config, *, live: bool, source: str) -> None:
        self.place = place
        self.config = config
        self.live = live
        self.source = source
        self.accepted: list[str] = []
        self.refused = 0
        self._store = Store(place)
        self._upload: _Upload | None = None

    def order(self, frame: Mapping[str, Any]) -> Answer | None:
        """Judge an `order` frame; None: its data come first. Refused here means refused before any data is kept."""
        self._upload = None
        document = frame.get("order")
        name = document.get("run") if isinstance(document, dict) else None
        return self._answering(name if isinstance(name, str) else "", lambda: self._order(frame))

    def data(self, pieces: Iterable[bytes]) -> Answer | None:
        """Take data that belong to the last order; None while more must come, or when nobody asked for them."""
        upload = self._upload
        if upload is None:
            for _ in pieces:
                pass  # of a refused order: read past, to come to the next message
            return None
        answer = self._answering(upload.order.run, lambda: self._data(upload, pieces))
        if answer is not None:
            self._upload = None
            for _ in pieces:
                pass
        return answer

    def _answering(self, name: str, work: Any) -> Answer | None:
        try:
            order: Order | None = work()
        except Refusal as refusal:
            record(self.place, refusal, name, self.source)
            self.refused += 1
            hint = f" ({refusal.hint})" if refusal.hint else ""
            return {"t": "refused", "run": name[:64], "reason": refusal.reason, "message": refusal.message + hint}
        except Needed as needed:
            return {"t": "need", "run": name, "pack": needed.pack, "offset": needed.offset}
        return None if order is None else {"t": "accepted", "run": order.run}

    def _order(self, frame: Mapping[str, Any]) -> Order | None:
        told = self._told(frame)
        order = judge(self.place, self.config, frame.get("order"), frame.get("sig"), told)
        if told is not None:
            clock.learn(self.place, told)
        signature = str(frame["sig"])
        pack, size, offset = frame.get("pack"), frame.get("pack_bytes", 0), frame.get("offset", 0)
        held = self._store.tree(order.tree)
        if held is not None and held.bytes != order.bytes:
            raise Refusal("damaged", f"the tree holds {held.bytes} bytes, the order says {order.bytes}")
        if held is not None:
            room(self.place, order, 0)
            return self._accept(order, signature)
        if pack is None:
            raise Needed(None, 0)
        if not is_digest(pack) or type(size) is not int or type(offset) is not int or not 0 <= offset <= size:
            raise Refusal("malformed", "the order's pack has no sensible digest, size or offset")
        path = self.place.incoming / f"{pack}.part"
        here = path.stat().st_size if path.exists() else 0
        room(self.place, order, size - here)
        if offset > here:
            raise Needed(pack, here)
        self._make_room_for(path)
        upload = _Upload(order, signature, path, pack, size, offset, resumed=offset > 0)
        if offset == size:
            return self._arrived(upload)
        self._upload = upload
        return None

    def _told(self, frame: Mapping[str, Any]) -> datetime | None:
        if not self.live or frame.get("now") is None:
            return None
        try:
            return parse_time(frame["now"], what='"now"')
        except BadDocument as error:
            raise Refusal("malformed", error.message) from error

    def _data(self, upload: _Upload, pieces: Iterable[bytes]) -> Order | None:
        """Append what is new; another session that does the same is noticed, never mixed with."""
        with upload.path.open("ab", buffering=0) as file:
            for piece in pieces:
                if upload.position + len(piece) > upload.size:
                    raise Refusal("malformed", f"more data than the {upload.size} bytes the order announced")
                fcntl.flock(file, fcntl.LOCK_EX)
                here = os.fstat(file.fileno()).st_size
                if here < upload.position:
                    raise Needed(upload.pack, here)  # taken away in between: another session found the pack damaged
                file.write(piece[here - upload.position :] if here > upload.position else piece)
                fcntl.flock(file, fcntl.LOCK_UN)
                upload.position += len(piece)
            os.fsync(file.fileno())
        return self._arrived(upload) if upload.position == upload.size else None

    def _arrived(self, upload: _Upload) -> Order:
        """The whole pack is here: check it, take it apart, accept the order."""
        with durable.locked(self.place.lock("accept")):
            if self._store.tree(upload.order.tree) is None:
                self._unpack(upload)
        upload.path.unlink(missing_ok=True)
        return self._accept(upload.order, upload.signature)

    def _unpack(self, upload: _Upload) -> None:
        try:
            with upload.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise Needed(upload.pack, 0) from None
        try:
            if found != upload.pack and upload.resumed:
                raise Needed(upload.pack, 0)  # the part from before a power cut may be torn: once more from the start
            if found != upload.pack:
                raise Refusal("damaged", "the pack is not what its digest says")
            unpack(upload.path, upload.order, self._store)
        finally:
            upload.path.unlink(missing_ok=True)

    def _accept(self, order: Order, signature: str) -> Order:
        with durable.locked(self.place.lock("accept")):
            last = runs.last_serial(self.place)
            if order.serial <= last or (self.place.runs / order.run).exists():
                raise Refusal("replayed", f"run {order.run} or its serial {order.serial} was accepted before")
            if self._store.tree(order.tree) is None:
                raise Needed(None, 0)  # swept away in between, or the disk lost something of it
            self._store.touch(order.tree)
            now = clock.judged(self.place)
            run = runs.create(self.place, order, signature, {"accepted": format_time(now), "source": self.source})
            runs.enqueue(self.place, run)
            durable.write_json(self.place.root / "serial", order.serial)
        self.accepted.append(order.run)
        wake(self.place, self.config)
        return order

    def _make_room_for(self, path: Path) -> None:
        """Packs that were begun and given up: only the newest stay."""
        others = [other for other in self.place.incoming.glob("*.part") if other != path]
        others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
        for old in others[PARTIAL_PACKS - 1 :]:
            old.unlink(missing_ok=True)
