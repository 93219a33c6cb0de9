"""Whether an order may be carried out on this host. Nothing here changes anything."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tram.core.canonical import BadDocument, dumps, format_time
from tram.core.order import NAMESPACE, Order
from tram.core.run import run
from tram.site import clock, runs
from tram.site.limits import (
    DISK_MARGIN_BYTES,
    MAX_UNACKNOWLEDGED_RUNS,
    MAX_WAITING_ORDERS,
    TREE_JSON_BYTES,
)
from tram.site.place import Config, Place, runtimes
from tram.site.refusal import Refusal

_SIGNATURE_BYTES = 8 * 2**10


def judge(place: Place, config: Config, document: Any, signature: Any, told: datetime | None) -> Order:
    """The order in `document`, if it is one that this host must carry out.

    `told` is the time by the centre when a live session said it, None on a stick.

    Raises: Refusal, for the first thing that is wrong.
    """
    order = signed(place, config, document, signature)
    mine = (config.province, config.site, config.host)
    if (order.province, order.site, order.host) != mine:
        theirs = "/".join((order.province, order.site, order.host))
        raise Refusal("host", f"the order is for {theirs}, this is {'/'.join(mine)}")
    last = runs.last_serial(place)
    if order.serial <= last:
        raise Refusal("replayed", f"serial {order.serial} is not above {last}, the last one accepted")
    now = told if told is not None else _time_on_a_stick(place)
    if order.expires <= now:
        by = "the centre's time" if told is not None else "this host's time"
        local = f" (its clock says {format_time(datetime.now(UTC))})" if told is None else ""
        raise Refusal(
            "expired", f"the order expired at {format_time(order.expires)}; {by} is {format_time(now)}{local}"
        )
    known = runtimes(config)
    if order.runtime not in known:
        raise Refusal(
            "runtime",
            f"runtime {order.runtime} is not installed here; there is {', '.join(known) or 'none'}",
            hint="install the runtime first",
        )
    return order


def signed(place: Place, config: Config, document: Any, signature: Any) -> Order:
    """The order, if the centre signed it.

    Raises: Refusal (malformed, format, signature).
    """
    try:
        data = dumps(document)
        order = Order.parse(data)
    except BadDocument as error:
        raise Refusal(error.reason, error.message, hint=error.hint) from error
    if not isinstance(signature, str) or len(signature) > _SIGNATURE_BYTES or not signature.isascii():
        raise Refusal("signature", "the order has no signature")
    if not place.allowed_signers.is_file():
        raise Refusal("signature", f"{place.allowed_signers} is missing: nobody may sign orders for this host")
    with tempfile.NamedTemporaryFile(dir=place.root, prefix="lock.sig.") as file:
        file.write(signature.encode())
        file.flush()
        argv: list[str | Path] = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", config.signer]
        argv += ["-f", place.allowed_signers, "-s", file.name]
        found = run(argv, stdin=data.decode(), check=False, timeout=timedelta(seconds=60))
    if found.code != 0:
        raise Refusal("signature", f"the order is not signed by {config.signer} with a key this host knows")
    return order


def room(place: Place, order: Order, pack_bytes: int) -> None:
    """Room for what an order brings: the rest of its pack, its objects, the tree laid out, and a margin to live on.

    Raises: Refusal (full, too-large, waiting).
    """
    most = order.bytes + TREE_JSON_BYTES
    if pack_bytes > most:
        raise Refusal("too-large", f"a pack of {pack_bytes} bytes for an order that allows {most}")
    needed = pack_bytes + 2 * order.bytes + DISK_MARGIN_BYTES
    free = place.free_bytes()
    if free < needed:
        raise Refusal(
            "full",
            f"{place.root} has {_mb(free)} MB free, needed are {_mb(needed)} ({_mb(DISK_MARGIN_BYTES)} of it margin)",
            hint="make room on the disk, then send again",
        )
    if len(runs.waiting(place)) >= MAX_WAITING_ORDERS:
        raise Refusal("waiting", f"{MAX_WAITING_ORDERS} orders wait here to be carried out")
    if len(runs.every(place)) >= MAX_UNACKNOWLEDGED_RUNS:
        raise Refusal("waiting", f"the reports of {MAX_UNACKNOWLEDGED_RUNS} runs wait here to be fetched")


def room_to_lay_out(place: Place, order: Order) -> None:
    """Room for an order whose objects are here already: its tree as files, and the margin.

    Raises: Refusal (full).
    """
    needed, free = order.bytes + DISK_MARGIN_BYTES, place.free_bytes()
    if free < needed:
        text = f"{place.root} has {_mb(free)} MB free, needed are {_mb(needed)} ({_mb(DISK_MARGIN_BYTES)} of it margin)"
        raise Refusal("full", text, hint="make room on the disk, then send again")


def _time_on_a_stick(place: Place) -> datetime:
    """Nobody tells the time on a stick, but it is not before the last order that was accepted was made."""
    return max([clock.judged(place), *(run.order.issued for run in runs.every(place))])


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"
