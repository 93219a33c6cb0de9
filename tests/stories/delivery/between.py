"""Somebody in between: has the operator's way into a host, but not the centre's key to sign with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.bundle.signing import sign
from tram.core.canonical import digest
from tram.core.frames import read_frame, write_data, write_frame
from tram.core.order import Order
from tram.core.run import run
from tram.delivery.contact import order_message
from tram.delivery.parcel import Parcel, find_host
from tram.delivery.policy import policy_for
from tram.delivery.ssh import SshCarrier

from .centre import Centre


@dataclass(frozen=True, slots=True)
class Letter:
    """An order on its way with its signature and the pack that goes with it."""

    order: Order
    signature: str
    pack: bytes


def write(centre: Centre, playbook: str, host: str, *, valid: timedelta = timedelta(days=1)) -> Letter:
    """What the centre would send for a new run."""
    parcel = Parcel(centre.begin(playbook, host), centre.province, centre.ledger, confirm=None, valid=valid)
    order, signature = parcel.order(0)
    return Letter(order, signature, parcel.pack_beside(())[1])


def hand_over(centre: Centre, host: str, letter: Letter, *, order: Order | None = None) -> dict[str, Any]:
    """Give a letter to a host's runner over the real line; the answer. `order` takes the place of the letter's own."""
    site, found = find_host(centre.province, host)
    message = order_message(order or letter.order, letter.signature, digest(letter.pack), letter.pack, 0)
    with SshCarrier(centre.province, found, policy_for(site.link)).open() as line:
        assert (read_frame(line) or {})["host"] == host
        write_frame(line, message)
        write_data(line, letter.pack)
        answer = read_frame(line)
        assert answer is not None
        write_frame(line, {"t": "bye"})
        line.finish()
        return answer


def stranger(secrets: Path, base: Path) -> Path:
    """A secrets directory that opens hosts as the centre's own does, with another key to sign orders."""
    shutil.copytree(secrets / "ssh", base / "ssh")
    (base / "centre").mkdir(mode=0o700)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "stranger", "-f", base / "centre/id_ed25519"])
    return base


def signed_by(order: Order, secrets: Path) -> str:
    """The signature of whoever has these secrets."""
    return sign(order, secrets / "centre/id_ed25519")
