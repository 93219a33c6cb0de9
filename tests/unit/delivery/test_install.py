"""The runtime on a host: only what lacks travels, nothing twice over a bad line, and nothing half comes into use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tram.bundle.runtime import Base, Runtime, archive, compress
from tram.bundle.runtime_content import own_files
from tram.core.canonical import digest
from tram.delivery.install import NotInstalled, answer, install, installer, request
from tram.delivery.line import LineLost
from tram.delivery.progress import Teller
from tram.site.install.plan import Put

from .bench import HOST, Cut, CutLine

pytestmark = pytest.mark.slow

ONE_LINER = "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"  # as tram.delivery.ssh starts it
FILES = (Put("/etc/tram/one", b"one\n", 0o644), Put("/etc/tram/two", b"two\n", 0o600))


@dataclass
class Machine:
    """A host's file system in a directory."""

    root: Path

    @property
    def runtimes(self) -> Path:
        return self.root / "opt/tram/runtime"

    @property
    def incoming(self) -> Path:
        return self.root / "var/lib/tram/incoming"

    def line(self, cut: Cut | None = None) -> CutLine:
        return CutLine([sys.executable, "-I", "-c", ONE_LINER, "--root", str(self.root)], cut)

    def install(self, runtime: Runtime, cut: Cut | None = None) -> int:
        """The bytes that were sent."""
        with self.line(cut) as line:
            install(line, FILES, runtime, Teller(None, "", HOST, lambda _progress: None))
            return line.sent

    def installed(self) -> list[str]:
        return sorted(path.name for path in self.runtimes.iterdir() if path.name != "current")

    def whole(self, runtime: Runtime) -> bool:
        folder = self.runtimes / runtime.id
        return all((folder / path).read_bytes() == content for path, content in runtime.files.items()) and all(
            (folder / name).exists() for name in runtime.base.names
        )

    def from_stick(self, content: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
        argv = [sys.executable, "-I", "-c", installer().decode(), "--root", str(self.root), *words]
        return subprocess.run(argv, input=content, capture_output=True, check=False, timeout=60)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def make(folder: Path, base: Mapping[str, bytes], files: Mapping[str, bytes]) -> Runtime:
    content = compress(archive(base))
    path = folder / f"{digest(content)}.tar.xz"
    path.write_bytes(content)
    names = sorted({name.partition("/")[0] for name in base})
    return Runtime(Base(path, digest(content), len(content), names), files)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A base of 200 kB that no compression makes smaller, and our own files as they are."""
    lines = "".join(f"# {digest(str(number).encode())}\n" for number in range(6000))
    return make(tmp_path, {"ansible/__init__.py": lines.encode(), "yaml/__init__.py": b""}, own_files())


def edited(runtime: Runtime, path: str = "tram/site/status.py") -> Runtime:
    return replace(runtime, files={**runtime.files, path: runtime.files[path] + b"# edited\n"})


def test_a_first_installation_brings_all_and_a_second_nothing(machine: Machine, runtime: Runtime) -> None:
    first, second = machine.install(runtime), machine.install(runtime)
    assert machine.whole(runtime)
    assert (machine.runtimes / "current").readlink() == Path(runtime.id)
    assert [(machine.root / put.path[1:]).read_bytes() for put in FILES] == [b"one\n", b"two\n"]
    assert (machine.root / "etc/tram/two").stat().st_mode & 0o777 == 0o600
    assert second < 60_000 < runtime.bytes < first
    assert [path.name for path in machine.incoming.iterdir()] == ["lock"]


def test_an_edit_of_our_own_code_travels_as_the_files_that_changed(machine: Machine, runtime: Runtime) -> None:
    nothing = (machine.install(runtime), machine.install(runtime))[1]
    after = edited(runtime)
    sent = machine.install(after)
    print(f"upgrade: {sent} bytes before ssh's own compression, instead of {nothing + after.bytes}")
    assert machine.whole(after)
    assert sent - nothing < len(after.files["tram/site/status.py"])
    theirs, before = (machine.runtimes / name / "ansible/__init__.py" for name in (after.id, runtime.id))
    assert theirs.stat().st_ino == before.stat().st_ino, "the base is not there twice"


def test_what_was_installed_starts(machine: Machine, runtime: Runtime) -> None:
    machine.install(runtime)
    launch = machine.runtimes / "current/launch.py"
    ran = subprocess.run([sys.executable, "-I", "-S", launch, "tram.site", "--help"], capture_output=True, check=True)
    assert b"Carries out the centre's orders" in ran.stdout


def test_a_line_that_breaks_again_and_again_costs_only_what_was_on_its_way(machine: Machine, runtime: Runtime) -> None:
    nothing = len(installer()) + len(request(HOST, FILES, runtime))
    attempts = total = 0
    while True:
        attempts += 1
        line = machine.line(Cut(sent=nothing + 80_000, hard=attempts % 2 == 0))
        try:
            with line:
                install(line, FILES, runtime, Teller(None, "", HOST, lambda _progress: None))
            total += line.sent
            break
        except LineLost:
            total += line.sent
            assert not (machine.runtimes / "current").exists()
            assert attempts < 20
    assert attempts > 3
    assert machine.whole(runtime)
    assert total < runtime.bytes + attempts * (nothing + 90_000)


def test_what_is_not_what_was_announced_is_thrown_away_and_sent_again(machine: Machine, runtime: Runtime) -> None:
    machine.incoming.mkdir(parents=True)
    (machine.incoming / f"{runtime.base.sha256}.part").write_bytes(b"torn by a power cut")
    with pytest.raises(LineLost, match="thrown away"):
        machine.install(runtime)
    assert not list(machine.incoming.glob("*.part")), "thrown away"
    assert machine.installed() == []
    machine.install(runtime)
    assert machine.whole(runtime)


@pytest.mark.parametrize("again", [True, False])
def test_what_a_host_says_before_it_hangs_up_on_who_still_sends_is_heard(runtime: Runtime, again: bool) -> None:
    """It reads no more, says why, and is gone, all while a message larger than any pipe is on its way."""
    says = f"import os,time;os.close(0);time.sleep(.5);print({json.dumps({'error': 'no room', 'again': again})!r})"
    big = (Put("/etc/tram/one", b"1" * 4_000_000, 0o644),)
    host = CutLine([sys.executable, "-I", "-c", says], None)
    with host as line, pytest.raises(LineLost if again else NotInstalled, match="no room"):
        install(line, big, runtime, Teller(None, "", HOST, lambda _progress: None))


def test_a_power_cut_while_it_is_built_leaves_nothing_in_use(machine: Machine, runtime: Runtime) -> None:
    torn = machine.runtimes / f".{runtime.id}.new"
    torn.mkdir(parents=True)
    (torn / "launch.py").write_text("half")
    machine.install(runtime)
    assert machine.whole(runtime)
    assert machine.installed() == [runtime.id]


def test_old_runtimes_go_but_not_one_that_a_waiting_run_needs(machine: Machine, runtime: Runtime) -> None:
    generations = [runtime]
    for _ in range(4):
        generations.append(edited(generations[-1]))
    for number, state in ((0, "applying"), (1, "done")):
        run = machine.root / f"var/lib/tram/site/runs/{number}"
        run.mkdir(parents=True)
        (run / "order.json").write_text(json.dumps({"runtime": generations[number].id}))
        (run / "state.json").write_text(json.dumps({"state": state}))
    for each in generations:
        machine.install(each)
    assert set(machine.installed()) == {generations[number].id for number in (0, 3, 4)}
    assert (machine.runtimes / "current").readlink() == Path(generations[4].id)


def test_a_runtime_that_reaches_out_of_its_directory_is_refused(machine: Machine, runtime: Runtime) -> None:
    base = make(runtime.base.path.parent, {"../../outside": b"x"}, runtime.files)
    for bad in (base, replace(runtime, files={**runtime.files, "../../../outside": b"x"})):
        with pytest.raises(NotInstalled, match="the runtime holds"):
            machine.install(bad)
    assert not list(machine.root.rglob("outside"))


def test_a_disk_without_room_is_told_before_anything_is_kept(machine: Machine, runtime: Runtime) -> None:
    huge = replace(runtime, base=replace(runtime.base, bytes=2**50))
    with pytest.raises(NotInstalled, match=r"MB free, needed are \d+ MB"):
        machine.install(huge)
    assert [path.name for path in machine.incoming.iterdir()] == ["lock"]


def test_the_same_on_a_stick_is_passed_over_where_it_is_there(machine: Machine, runtime: Runtime) -> None:
    def stick(given: Runtime) -> bytes:
        coming, base, pack = answer(given, range(len(given.files)))
        return request(HOST, FILES, given) + b"\n" + json.dumps(coming).encode() + b"\n" + base + pack

    wrong = machine.from_stick(stick(runtime), "--host", "so-noi-vu-srv1")
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]) == (1, f"this is for {HOST}, not for so-noi-vu-srv1")
    after = edited(runtime)
    for given in (runtime, after, after):
        ran = machine.from_stick(stick(given), "--host", HOST)
        assert (ran.returncode, json.loads(ran.stdout.splitlines()[-1])) == (0, {"done": True}), ran.stdout
        assert machine.whole(given)
