"""A hub on this machine: the role's program, with small stand-ins for what only a hub has (clamscan, named)."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[3] / "roles/antivirus_mirror/files"
sys.path.insert(0, str(FILES))

from tram_signatures import change, publication, seal, trial  # noqa: E402
from tram_signatures.place import Place  # noqa: E402
from tram_signatures.publication import Result  # noqa: E402

# Knows hashes and fixed patterns only; loads, finds and complains in ClamAV's words.
CLAMSCAN = r"""#!/usr/bin/python3
import hashlib, os, pathlib, sys
given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
if os.environ.get("CLAMSCAN_DIES"):
    os.kill(os.getpid(), 9)
hashes, patterns, allowed = {}, {}, set()
for path in sorted(pathlib.Path(given["--database"]).iterdir()):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split(":")
        if path.suffix == ".hsb":
            hashes[fields[0]] = fields[2]
        elif path.suffix == ".hdb":
            hashes[fields[0]] = fields[2]
        elif path.suffix == ".sfp":
            allowed.add(fields[0])
        elif path.suffix == ".ndb":
            try:
                patterns[bytes.fromhex(fields[3])] = fields[0]
            except ValueError:
                sys.exit(f"LibClamAV Error: Problem parsing database at line {number}")
        elif path.suffix == ".yar" and "broken" in line:
            print(f"LibClamAV Error: yyerror(): {path} line {number} syntax error", file=sys.stderr)
for name in pathlib.Path(given["--file-list"]).read_text().splitlines():
    content = pathlib.Path(name).read_bytes()
    sums = [hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()]
    found = [hashes[digest] for digest in sums if digest in hashes]
    found += [virus for pattern, virus in patterns.items() if pattern in content]
    if found and sums[0] not in allowed:
        print(f"{name}: {found[0]}.UNOFFICIAL FOUND")
"""
SYSTEMD_RUN = '#!/bin/sh\nwhile [ "$1" != prlimit ]; do shift; done\nshift 2\nexec "$@"\n'
NSUPDATE = '#!/bin/sh\n[ -z "$NAMED_DOWN" ] || { echo "could not talk" >&2; exit 1; }\ncat >>"$ZONE"\n'
DIG = """#!/bin/sh
for name; do :; done
grep -F "update add $name" "$ZONE" 2>/dev/null | tail -n 1 | sed 's/.* TXT //'
"""


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins first in $PATH; what named was told is in the file returned."""
    bin_, zone = tmp_path / "bin", tmp_path / "zone"
    bin_.mkdir()
    for name, text in {"clamscan": CLAMSCAN, "systemd-run": SYSTEMD_RUN, "nsupdate": NSUPDATE, "dig": DIG}.items():
        (bin_ / name).write_text(text, encoding="utf-8")
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    monkeypatch.setenv("ZONE", str(zone))
    # A hub's whole /usr is its own matter: tests/roles has one.
    monkeypatch.setattr(trial, "CORPUS", ("/etc/*",))
    monkeypatch.setattr(trial, "ESSENTIAL", ("/bin/ls", "/etc/passwd"))
    return zone


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A hub that has published nothing yet."""
    made = Place(
        domain="tinh.example",
        state=tmp_path / "state",
        published=tmp_path / "mirror/signatures",
        clamav=tmp_path / "mirror/clamav",
        key=tmp_path / "etc/key",
        access_log=tmp_path / "mirror.json",
        trial_corpus_files=30,
        trial_corpus_bytes=5_000_000,
        keep_free_bytes=1_000_000,
    )
    made.published.mkdir(parents=True)
    made.clamav.mkdir()
    made.key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made.key], check=True)
    return made


@pytest.fixture
def add(place: Place) -> Callable[..., Result]:
    """`tram-signatures add`."""

    def run(name: str, **given: Any) -> Result:
        empty = dict.fromkeys(("sha256", "md5", "file", "ndb", "yara", "size"))
        words = {"note": "", "who": "root", "sweep": False, **empty, **given}
        with publication.alone(place):
            result = change.add(place, argparse.Namespace(name=name, **words))
        assert result is not None
        return result

    return run


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases are published without a trial: where it is not what the test is about, and many are made."""
    monkeypatch.setattr(publication, "tried", lambda *_: None)


def genuine(place: Place, envelope: dict[str, str]) -> bool:
    """Whether the hub's key signed that release; asked of OpenSSH, as hosts do."""
    known = place.key.with_name("signers")
    known.write_text(f'hub namespaces="{seal.NAMESPACE}" {seal.public_half(place.key)}\n', encoding="ascii")
    signature = place.key.with_name("signature")
    signature.write_text(envelope["signature"], encoding="ascii")
    check = ["ssh-keygen", "-Y", "verify", "-f", known, "-I", "hub", "-n", seal.NAMESPACE, "-s", signature]
    text = envelope["release"].encode()
    return subprocess.run(check, input=text, capture_output=True, check=False).returncode == 0


def served(place: Place) -> dict[str, Any]:
    """What a host would accept of the mirror: signed, and each file what the release says of it."""
    envelope = json.loads((place.published / "release.json").read_text(encoding="utf-8"))
    assert genuine(place, envelope)
    release: dict[str, Any] = json.loads(envelope["release"])
    for file in release["files"]:
        content = (place.published / "files" / file["sha256"]).read_bytes()
        assert len(content) == file["bytes"]
    return release


def tree(*tops: Path) -> dict[str, bytes]:
    """Every file below some directories, but the lock."""
    files = [path for top in tops for path in sorted(top.rglob("*")) if path.is_file() and path.name != "lock"]
    return {str(path): path.read_bytes() for path in files}
