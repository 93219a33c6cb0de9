"""A host of a lab register in a directory, with its real runner over a pipe, and a centre that delivers to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tram.bundle import Content, File, allowed_signers
from tram.bundle.content import content
from tram.delivery.host import Delivered, Way, deliver_host
from tram.delivery.line import Carrier, Line, LineLost, PipeCarrier
from tram.delivery.memory import TreeMemory
from tram.delivery.policy import Policy
from tram.ledger import Job, Ledger, new_run_id
from tram.register import Province, load

from ..site.host import REPO, RUNTIME, Machine, script

HOST, SITE = "huong-khe-srv1", "huong-khe"

# Impatient, so that tests are quick; what is bounded is the same.
IMPATIENT = Policy(
    connect=timedelta(seconds=20),
    first_pause=timedelta(milliseconds=10),
    longest_pause=timedelta(milliseconds=50),
    reach=timedelta(seconds=1),
    stall=timedelta(seconds=20),
    answer=timedelta(seconds=20),
    confirm=timedelta(seconds=20),
)


@dataclass
class Bench(Machine):
    """A centre and one host; `opened` are the connections there were, in order."""

    province: Province
    ledger: Ledger
    memory: TreeMemory
    opened: list[Line] = field(default_factory=list)

    @classmethod
    def make(cls, base: Path) -> Bench:
        province = load(REPO / "inventories/lab")
        bench = cls(base, province, Ledger(f"sqlite:///{base / 'ledger.db'}"), TreeMemory(base / "trees"))
        bench.lay_out(allowed_signers(province), start="spawn")
        return bench

    @property
    def witness(self) -> Path:
        """Where a run leaves one letter each time it is carried out."""
        return self.base / "witness"

    def content(
        self,
        *more: Mapping[str, Any],
        ballast: int = 0,
        also: Mapping[str, File] | None = None,
        returns: tuple[str, ...] = (),
    ) -> Content:
        """A playbook that leaves its letter; `ballast` bytes of a file that no compression makes smaller."""
        files = {"playbook.yml": File(script({"append": str(self.witness)}, *more)), **(also or {})}
        if ballast:
            files["ballast"] = File(os.urandom(ballast))
        return content(files, roles=(), returns=returns, missing=())

    def job(self, run: str = "") -> Job:
        """A run that the ledger knows of."""
        name = run or new_run_id(datetime.now(UTC))
        self.ledger.begin(name, province=self.province.code, playbook="playbooks/mail.yml", hosts=[(HOST, SITE)])
        return Job(name, HOST, SITE, "playbooks/mail.yml", str(self.province.folder), self.ledger.url)

    def deliver(self, job: Job, given: Content, carrier: Carrier | None = None, **changes: Any) -> Delivered:
        way = Way(
            carrier=carrier or self.carrier(),
            content=given,
            policy=IMPATIENT,
            runtime=RUNTIME,
            memory=self.memory,
            may_install=False,
        )
        return deliver_host(job, self.province, self.ledger, replace(way, **changes))

    def carrier(self, *cuts: Cut) -> CuttingCarrier:
        """The real runner over pipes; the first connections are cut as asked, the others are whole."""
        return CuttingCarrier(self.argv, cuts, self.opened)

    @property
    def argv(self) -> Sequence[str]:
        return (sys.executable, "-m", "tram.site", "--root", str(self.root), "exchange")

    def numbers(self, job: Job) -> list[int]:
        """The numbers of the events that the ledger has."""
        return [event.seq for event in self.ledger.events(job.run, HOST)]

    def idle(self) -> None:
        """Wait until nothing of the host's runs any more."""
        self.wait(
            lambda: (
                str(self.root) not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
            )
        )


@dataclass(frozen=True)
class Cut:
    """Where a connection breaks: after so many bytes to the host, or from it; `hard`: its runner is killed, too."""

    sent: int | None = None
    received: int | None = None
    hard: bool = False


class CuttingCarrier:
    """A carrier whose connections break where they are told to."""

    def __init__(self, argv: Sequence[str], cuts: Sequence[Cut], opened: list[Line]) -> None:
        self._argv, self._cuts, self._opened = argv, list(cuts), opened

    def open(self, *, fresh: bool = False) -> Line:
        cut = self._cuts.pop(0) if self._cuts else None
        line = CutLine(self._argv, cut)
        self._opened.append(line)
        return line

    def install(self) -> Line:
        return PipeCarrier(self._argv).install()


class CutLine(Line):
    """A line that notes where its messages end, and breaks where it is told to."""

    def __init__(self, argv: Sequence[str], cut: Cut | None) -> None:
        super().__init__(argv, patience=timedelta(seconds=20), env={**os.environ, "PYTHONPATH": str(REPO)})
        self.cut = cut
        self.borders: list[int] = []

    def write(self, data: bytes, /) -> int:
        end = self.cut.sent if self.cut else None
        if end is not None and self.sent + len(data) > end:
            super().write(data[: end - self.sent])
            raise self._break()
        written = super().write(data)
        self.borders.append(self.sent)
        return written

    def read(self, size: int, /) -> bytes:
        end = self.cut.received if self.cut else None
        if end is not None and self.received >= end and not self._early:
            raise self._break()
        return super().read(size if end is None else max(1, min(size, end - self.received)))

    def _break(self) -> LineLost:
        assert self.cut is not None
        if self.cut.hard:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        if not self.cut.hard:
            self._process.wait(20)  # the other end sees the end of its input, and goes when it likes
        return LineLost("the line was cut")
