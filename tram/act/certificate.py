"""The certificate of a restore: what was proven of which backup, when and how long it took; signed by the centre.

Whoever doubts it needs OpenSSH only: the certificate, its signature and the file of signers lie side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tram.bundle.signing import allowed_signers, centre_key, identity, sign_bytes
from tram.core.canonical import dumps
from tram.core.errors import ProgramFailed
from tram.core.run import run
from tram.register import Province

NAMESPACE = "tram-restore-proof"


def text(host: str, site: str, report: Mapping[str, Any], ended: datetime, fate: str) -> bytes:
    """What is signed. `fate`: what became of the machine."""
    contents, done = report["contents"], report["done"]
    began = datetime.fromisoformat(report["began"])
    return dumps(
        {
            "what": "restore proven",
            "host": host,
            "site": site,
            "backup": contents["archive"],
            "backup_at": contents["at"],
            "proven_at": ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "services": contents["services"],
            "compared": done["compare"]["said"],
            "verified": "playbooks/ops/prove.yml",
            # What a host that died as the drill began would have lost.
            "rpo_seconds": max(0, round((began - datetime.fromisoformat(contents["at"])).total_seconds())),
            "rto_seconds": round((ended - began).total_seconds()),
            "steps_seconds": {name: done[name]["seconds"] for name in done},
            "bytes_on_line": sum(one["bytes_on_line"] for one in done["restore"]["said"].values()),
            "machine": report["machine"],
            "machine_then": fate,
        }
    )


def issue(province: Province, document: bytes, folder: Path, name: str) -> Path:
    """Write it, its signature and who may sign; where it is.

    Raises: BadInput when the centre's key is readable by others; ProgramFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signature = sign_bytes(document, centre_key(province), NAMESPACE)
    # Verified before it is there under its name, and after its signature: what is there is whole.
    with TemporaryDirectory(dir=folder, prefix=".half-") as half:
        file = Path(half) / f"{name}.json"
        file.with_name("allowed_signers").write_text(allowed_signers(province, NAMESPACE), encoding="utf-8")
        file.with_name(f"{file.name}.sig").write_text(signature, encoding="utf-8")
        file.write_bytes(document)
        run(["ssh-keygen", *check_words(province, file)], stdin=document.decode())
        for one in ("allowed_signers", f"{file.name}.sig", file.name):
            file.with_name(one).replace(folder / one)
    return folder / f"{name}.json"


def proven(province: Province, folder: Path) -> dict[str, datetime]:
    """When each host's restore was last proven, by the certificates in a folder; what the centre did not sign counts
    for nothing."""
    found: dict[str, datetime] = {}
    for file in sorted(folder.glob("*.json"), reverse=True):
        with suppress(ValueError, KeyError, TypeError, OSError, ProgramFailed):
            document = file.read_text(encoding="utf-8")
            said = json.loads(document)
            host, at = str(said["host"]), datetime.fromisoformat(said["proven_at"])
            if host not in found or at > found[host]:
                run(["ssh-keygen", *check_words(province, file)], stdin=document)
                found[host] = at
    return found


def check_words(province: Province, file: Path) -> list[str]:
    """ssh-keygen's words that verify a certificate given as its input."""
    signers = file.with_name("allowed_signers")
    return ["-Y", "verify", "-f", str(signers), "-I", identity(province.code), "-n", NAMESPACE, "-s", f"{file}.sig"]
