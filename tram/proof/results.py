"""Results of the verify plays: one JSON file a stack, written at the end of each play."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tram.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing a verify play did as a user would: at which site, with which service, what was shown, and whether it
    held. `ok` is None when it could not be tried: unknown."""

    site: str
    service: str
    proof: str
    ok: bool | None


def read_proofs(file: Path) -> list[Proof]:
    """The results a verify play wrote, in its order.

    Raises: BadInput when the file is no such list.
    """
    try:
        return [Proof(row["site"], row["service"], row["proof"], row["ok"]) for row in json.loads(file.read_text())]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: is no list of verify results ({error})", hint="run the verify play again") from error


def verdict(proofs: list[Proof]) -> bool | None:
    """What a set of results amounts to: False when one failed, None (unknown) when one is unknown or there is none."""
    if any(proof.ok is False for proof in proofs):
        return False
    if not proofs or any(proof.ok is None for proof in proofs):
        return None
    return True
