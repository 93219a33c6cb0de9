"""Borg against restic over a 256 kbit/s line: bytes, what a cut costs, memory, what pruning costs.

    bench/backup/run.py [--mails N]

No lab, no root: the line is line.py. Needs borg, restic, sftp-server and time of this Debian; writes results.json and
the table of README.md.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
from bench.on_lab import write  # noqa: E402

RATE = 256_000
LONG_ENOUGH = 30
"""Seconds of line before the first break."""
SFTP = "/usr/lib/openssh/sftp-server"


@dataclass
class Engine:
    """One of the two, with its repository and the words for each step."""

    name: str
    place: Path
    setup: list[str]
    save: list[str]
    prune: list[list[str]]
    environment: Callable[[str], dict[str, str]]
    options: Callable[[str], list[str]]
    counted: Path = field(init=False)

    def __post_init__(self) -> None:
        self.counted = self.place / "counted"

    def run(self, words: list[str], *, cut: int = 0, check: bool = True, local: bool = False) -> dict[str, float]:
        """Bytes both ways, seconds, largest memory in MB of the engine's own process."""
        for old in self.place.glob("counted.*"):
            old.unlink()
        far = ["borg", "serve", "--append-only"] if self.name == "borg" else [SFTP]
        line = " ".join([sys.executable, str(HERE / "line.py"), str(self.counted), str(RATE), str(cut), *far])
        script = self.place / "line.sh"
        script.write_text(f"#!/bin/sh\nexec {line}\n", encoding="utf-8")
        script.chmod(0o755)
        began = time.monotonic()
        timed = ["/usr/bin/time", "-f", "%M", "-o", str(self.place / "memory"), self.name]
        ran = subprocess.run(
            [*timed, *([] if local else self.options(str(script))), *words],
            env={**os.environ, **self.environment("" if local else str(script))}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if check and ran.returncode != 0:
            raise SystemExit(f"{self.name} {words}: {ran.stderr}")
        # restic does not wait for the line's other end; its count is not to come up in the next run.
        for one in self.place.glob("counted.*"):
            while Path(f"/proc/{one.suffix[1:]}").exists():
                time.sleep(0.1)
        carried = [int(one.read_text(encoding="utf-8") or 0) for one in self.place.glob("counted.*")]
        memory = int((self.place / "memory").read_text().split()[-1]) / 1024
        return {"bytes": sum(carried), "seconds": time.monotonic() - began, "memory_mb": memory}


def engines(folder: Path, mails: Path) -> list[Engine]:
    """Borg as role backup uses it; restic by sftp, which is all that Debian 12 has on both sides."""
    borg, restic = folder / "borg", folder / "restic"
    for place in (borg, restic):
        place.mkdir()
    (restic / "password").write_text("x")

    def for_borg(line: str) -> dict[str, str]:
        where = f"ssh://hub{borg}/repository" if line else f"{borg}/repository"
        return {"BORG_REPO": where, "BORG_PASSPHRASE": "x", "BORG_BASE_DIR": str(borg / "base"), "BORG_RSH": line,
                "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}  # fmt: skip

    def for_restic(line: str) -> dict[str, str]:
        where = f"sftp:hub:{restic}/repository" if line else f"{restic}/repository"
        return {"RESTIC_REPOSITORY": where, "RESTIC_PASSWORD_FILE": str(restic / "password"),
                "RESTIC_CACHE_DIR": str(restic / "cache")}  # fmt: skip

    save = ["create", "--compression", "zstd,6", "--checkpoint-interval", "5", "::{now:%H%M%S%f}", str(mails)]
    return [
        Engine("borg", borg, ["init", "-e", "repokey-blake2"], save, [["prune", "--keep-last", "1"], ["compact"]],
               for_borg, lambda _: []),
        Engine("restic", restic, ["init", "--repository-version", "2"], ["backup", "--compression", "max", str(mails)],
               # A broken connection leaves a lock that keeps prune out.
               [["unlock"], ["forget", "--keep-last", "1", "--prune"]],
               for_restic, lambda line: ["-o", f"sftp.command={line}"]),
    ]  # fmt: skip


def write_mails(folder: Path, first: int, count: int) -> None:
    """Mails of 3 kB, of which two thirds cannot be packed."""
    dice = random.Random(first)  # noqa: S311 nothing is kept secret by it
    folder.mkdir(exist_ok=True)
    for n in range(first, first + count):
        text = base64.encodebytes(dice.randbytes(2200)).decode()
        (folder / f"{n}.mail").write_text(f"From: so-noi-vu@tinh.example\nSubject: {n}\n\n{text}", encoding="utf-8")


def main() -> None:
    """Both engines through the same nights."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--mails", type=int, default=2000)
    count = asked.parse_args().mails
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        mails = folder / "mails"
        write_mails(mails, 0, count)
        both = engines(folder, mails)
        for engine in both:
            engine.run(engine.setup)
            found = engine.run(engine.save)
            results[engine.name] = {
                "first_bytes": found["bytes"],
                "first_seconds": found["seconds"],
                "memory_mb": found["memory_mb"],
            }
            results[engine.name]["again_bytes"] = engine.run(engine.save)["bytes"]
        # In place of the others, not beside them: the list of files, sent anew each time, stays as long.
        shutil.rmtree(mails)
        write_mails(mails, count, count)
        for engine in both:
            mine, total = results[engine.name], 0.0
            part = int(mine["first_bytes"] / 4)
            # Broken before Borg's first checkpoint both begin anew, which says nothing about a night.
            for cut in (part, part, part, 0) if part * 8 / RATE > LONG_ENOUGH else ():
                total += engine.run(engine.save, cut=cut, check=not cut)["bytes"]
            mine["cut_ratio"] = total / mine["first_bytes"]
        shutil.rmtree(mails)
        write_mails(mails, 0, count)
        for engine in both:
            mine = results[engine.name]
            engine.run(engine.save)
            if engine.name == "borg":
                mine["prune_line_bytes"] = 0  # at the hub, on its own disk
            began = resource.getrusage(resource.RUSAGE_CHILDREN)
            at = [engine.run(words, local=engine.name == "borg") for words in engine.prune]
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            mine["prune_line_bytes"] = sum(one["bytes"] for one in at)
            mine["prune_cpu_seconds"] = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
            mine["prune_memory_mb"] = max(one["memory_mb"] for one in at)
    write(HERE, {"mails": count, "rate_bps": RATE, "engines": results}, table(results, count))


def table(results: dict[str, dict[str, float]], count: int) -> str:
    """As the page shows it."""
    rows: list[tuple[str, Callable[[dict[str, float]], str]]] = [
        (f"first backup, {count} mails, kB on the line", lambda r: f"{r['first_bytes'] / 1e3:.0f}"),
        ("seconds", lambda r: f"{r['first_seconds']:.0f}"),
        ("nothing changed, kB", lambda r: f"{r['again_bytes'] / 1e3:.1f}"),
        (
            "as many new mails in their place, connection broken 3 times: times the first",
            lambda r: f"{r['cut_ratio']:.2f}" if r["cut_ratio"] else "not measured: too few mails",
        ),
        ("memory at the site, MB", lambda r: f"{r['memory_mb']:.0f}"),
        ("prune half of it: kB on the line", lambda r: f"{r['prune_line_bytes'] / 1e3:.0f}"),
        ("prune: CPU s, memory MB", lambda r: f"{r['prune_cpu_seconds']:.1f}, {r['prune_memory_mb']:.0f}"),
    ]
    lines = [f"| | {' | '.join(results)} |", f"|---|{'---|' * len(results)}"]
    return "\n".join(lines + [f"| {name} | {' | '.join(show(r) for r in results.values())} |" for name, show in rows])


if __name__ == "__main__":
    main()
