"""A host of its own for each test: a state directory, a small /etc to guard, and a centre's real key."""

from __future__ import annotations

import io
import json
import lzma
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tram.core.canonical import digest, dumps
from tram.core.frames import encode, read_frame
from tram.core.order import Order
from tram.core.tree import FileEntry, Tree
from tram.site.command import main

HERE = Path(__file__).parent
REPO = HERE.parent.parent.parent
NOW = datetime(2026, 11, 21, 19, 5, tzinfo=UTC)
RUNTIME = "0123456789abcdef"


@dataclass(frozen=True)
class Key:
    """The centre's signing key."""

    path: Path

    def sign(self, data: bytes, namespace: str = "tram-order") -> str:
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self.path)]
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout.decode()

    @property
    def public(self) -> str:
        return self.path.with_suffix(".pub").read_text()


def make_key(directory: Path) -> Key:
    path = directory / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return Key(path)


def tree_of(files: Mapping[str, bytes]) -> Tree:
    return Tree({name: FileEntry(digest(content), len(content), 0o644) for name, content in files.items()})


def pack_of(files: Mapping[str, bytes], *, tree: bytes | None = None) -> bytes:
    """A pack that takes nothing for granted; `tree`: with the sketch of that tree, whatever the files are."""
    found = json.loads(tree if tree is not None else tree_of(files).canonical())
    return raw_pack({path: {"mode": e["mode"], "size": e["size"]} for path, e in found["files"].items()}, files)


def raw_pack(slots: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """A pack of these slots and contents, whether they fit or not."""
    sketch = dumps({"format": 2, "files": slots})
    contents = b"".join(content for _, content in sorted(files.items()))
    return lzma.compress(len(sketch).to_bytes(4, "big") + sketch + contents)


@dataclass
class Machine:
    """A host in a directory: its runner's state, a small /etc to guard, one runtime. Its executor is
    tests/unit/site/scripted_executor.py."""

    base: Path

    @property
    def root(self) -> Path:
        return self.base / "state"

    @property
    def system(self) -> Path:
        return self.base / "system"

    def lay_out(self, allowed_signers: str, **config: Any) -> None:
        """Make it, as huong-khe-srv1 of the lab."""
        for directory in (self.root, self.system / "etc/ssh", self.base / f"runtimes/{RUNTIME}"):
            directory.mkdir(parents=True)
        (self.root / "allowed_signers").write_text(allowed_signers)
        (self.system / "etc/ssh/sshd_config").write_text("Port 22\n")
        (self.system / "etc/hostname").write_text("srv1\n")
        self.configure(
            province="lab",
            site="huong-khe",
            host="huong-khe-srv1",
            system=str(self.system),
            runtimes=str(self.base / "runtimes"),
            executor=[sys.executable, str(HERE / "scripted_executor.py")],
            **config,
        )

    def configure(self, **changes: Any) -> None:
        path = self.root / "config.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**found, **changes}))

    def wait(self, what: Callable[[], bool], within: float = 60) -> None:
        until = time.monotonic() + within
        while not what():
            assert time.monotonic() < until, f"not within {within} s"
            time.sleep(0.02)


@dataclass
class Site(Machine):
    """A host to which the centre's words are said as bytes, and what one can look at from outside."""

    key: Key
    serial: int = 0

    def order(self, files: Mapping[str, bytes], **changes: Any) -> Order:
        self.serial += 1
        tree = tree_of(files)
        order = Order(
            province="lab",
            site="huong-khe",
            host="huong-khe-srv1",
            run=f"20261121T190500Z-{self.serial:06x}",
            serial=self.serial,
            playbook="playbooks/mail.yml",
            tree=tree.digest,
            bytes=tree.bytes,
            runtime=RUNTIME,
            issued=NOW,
            expires=NOW + timedelta(days=1),
        )
        return replace(order, **changes)

    def frame(self, order: Order, pack: bytes | None, offset: int = 0, /, **changes: Any) -> bytes:
        """An order and the data of its pack, as the centre sends them."""
        head = {
            "t": "order",
            "order": json.loads(order.canonical()),
            "sig": self.key.sign(order.canonical()),
            "pack": digest(pack) if pack is not None else None,
            "pack_bytes": len(pack) if pack is not None else 0,
            "offset": offset,
            "now": "2026-11-21T19:05:10Z",
        }
        body = pack[offset:] if pack is not None else b""
        data = b"".join(
            encode({"t": "data", "bytes": len(body[at : at + 1000])}) + body[at : at + 1000]
            for at in range(0, len(body), 1000)
        )
        return encode({**head, **changes}) + data

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tram.site", "--root", str(self.root), *words]

    def child(self, *words: str, content: bytes = b"") -> tuple[int, bytes]:
        """`tram-site` in a process of its own, forked from this one because starting Python a hundred times takes a
        minute; its exit code and output."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
            given.write(content)
            given.seek(0)
            pid = os.fork()
            if pid == 0:
                code = 70
                try:
                    os.dup2(given.fileno(), 0)
                    os.dup2(output.fileno(), 1)
                    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
                    code = main(["--root", str(self.root), *words])
                    sys.stdout.flush()
                except BaseException:
                    traceback.print_exc(file=sys.__stderr__)
                finally:
                    os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            return code, output.read()

    def exchange(self, *sent: bytes) -> list[dict[str, Any]]:
        """One conversation: everything is sent at once; what the host answered, its state first."""
        found = self.frames(self.child("exchange", content=b"".join(sent))[1])
        assert found
        return found

    @staticmethod
    def frames(content: bytes) -> list[dict[str, Any]]:
        """The messages in a file or an output."""
        stream, found = io.BytesIO(content), []
        while (frame := read_frame(stream)) is not None:
            found.append(frame)
            if frame["t"] == "data":
                stream.read(frame["bytes"])
        return found

    def exchange_until_result(self, *sent: bytes) -> list[dict[str, Any]]:
        """A conversation that is held open until a result was told."""
        process = self.start("exchange")
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(sent))
        process.stdin.flush()
        found: list[dict[str, Any]] = []
        while (frame := read_frame(process.stdout)) is not None:
            found.append(frame)
            if frame["t"] == "events" and any(event["kind"] == "result" for event in frame["events"]):
                break
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()
        return found

    def send(self, files: Mapping[str, bytes], **changes: Any) -> Order:
        """An accepted order."""
        order = self.order(files, **changes)
        answers = self.exchange(self.frame(order, pack_of(files)))
        assert answers[1:] == [{"t": "accepted", "run": order.run}]
        return order

    def drain(self, *, check: bool = True) -> None:
        code, _ = self.child("drain")
        assert not check or code == 0

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*words), cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def journal(self, order: Order) -> dict[str, Any]:
        return dict(json.loads((self.root / "runs" / order.run / "state.json").read_text()))

    def has_result(self, order: Order) -> bool:
        return (self.root / "runs" / order.run / "result.json").exists()

    def result(self, order: Order) -> dict[str, Any]:
        return dict(json.loads((self.root / "runs" / order.run / "result.json").read_text()))

    def events(self, order: Order) -> list[dict[str, Any]]:
        lines = (self.root / "runs" / order.run / "events.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def states(self, order: Order) -> list[str]:
        return [event["state"] for event in self.events(order) if event["kind"] == "state"]

    def refusals(self) -> list[dict[str, Any]]:
        path = self.root / "refused.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def script(*steps: Mapping[str, Any]) -> bytes:
    """A playbook of the scripted executor."""
    return json.dumps(steps).encode()


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, as a power cut is for one process."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def kill_executors(site: Site) -> None:
    """The rest of a power cut: whatever the runner started is gone too."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                found = (path / "environ").read_bytes()
            except OSError:
                continue
            if f"TRAM_RUN={site.root}".encode() in found:
                os.kill(int(path.name), signal.SIGKILL)
