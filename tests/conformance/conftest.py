"""The site runtime, built and unpacked as on a host, and runs of the project by both ways."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tram.bundle.runtime_content import runtime_files

PROJECT = Path(__file__).parent / "project"
PYTHON = Path("/usr/bin/python3")
_COLLECTIONS = (("community", "general", "ini_file"), ("ansible", "posix", "sysctl"))


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's folder, compiled as the installation on a host does it."""
    if not PYTHON.is_file():
        pytest.skip("no Python of the system at /usr/bin/python3")
    folder = tmp_path_factory.mktemp("runtime")
    for name, content in runtime_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    subprocess.run([PYTHON, "-m", "compileall", "-q", folder], check=True)
    return folder


@dataclass
class Told:
    """What a run told and left: exit code, events as the recorder wrote them, statistics, files under work/."""

    code: int
    events: list[list[Any]]
    files: dict[str, tuple[str, int, str]]
    output: str
    own_events: list[dict[str, Any]]

    @property
    def stats(self) -> dict[str, Any]:
        found = [event[1] for event in self.events if event[0] == "stats"]
        return found[-1] if found else {}


@dataclass
class Project:
    """A fresh copy of the project in a run directory of its own."""

    runtime: Path
    run: Path

    @property
    def tree(self) -> Path:
        return self.run / "tree"

    def stock(self, playbook: str, *options: str) -> Told:
        """Run it by `ansible-playbook`, from the same runtime."""
        argv = [PYTHON, "-I", self.runtime / "launch.py", "ansible.cli.playbook"]
        argv += ["-i", "inventory.yml", "--diff", *options, playbook]
        env = {"ANSIBLE_CONFIG": str(self.tree / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
        env["ANSIBLE_HOME"] = str(self.run / "ansible")
        return self._told(argv, env, [])

    def ours(self, playbook: str, *options: str) -> Told:
        """Run it by the executor."""
        argv = [PYTHON, "-I", self.runtime / "launch.py", "tram.site.executor", self.run, "--playbook", playbook]
        read, write = os.pipe()
        with os.fdopen(read) as events:
            try:
                done = self._run([*argv, *options, "--events", str(write)], {}, [write])
            finally:
                os.close(write)
            own = [json.loads(line) for line in events]
        return self._read(done, own)

    def start(self, playbook: str) -> subprocess.Popen[bytes]:
        """Start the executor and return at once."""
        argv = [PYTHON, "-I", self.runtime / "launch.py", "tram.site.executor", self.run, "--playbook", playbook]
        env = {**_environment(), "TRAM_RECORD": str(self.run / "record.jsonl")}
        quiet = subprocess.DEVNULL  # a pipe would be held open by the module that outlives the run
        return subprocess.Popen(argv, env=env, stdin=quiet, stdout=quiet, stderr=quiet)

    def _told(self, argv: list[Any], env: dict[str, str], fds: list[int]) -> Told:
        return self._read(self._run(argv, env, fds), [])

    def _run(self, argv: list[Any], env: dict[str, str], fds: list[int]) -> subprocess.CompletedProcess[str]:
        record = self.run / "record.jsonl"
        record.unlink(missing_ok=True)
        return subprocess.run(
            argv,
            cwd=self.tree,
            env={**_environment(), **env, "TRAM_RECORD": str(record)},
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    def _read(self, done: subprocess.CompletedProcess[str], own: list[dict[str, Any]]) -> Told:
        record = self.run / "record.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        events = [json.loads(line) for line in lines]
        return Told(done.returncode, events, _snapshot(self.run / "work"), done.stdout, own)


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "USER", "LOGNAME", "OWED_SECONDS", "OWED_FAIL", "OWED_VALIDATE")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _snapshot(folder: Path) -> dict[str, tuple[str, int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
        if path.suffix == ".tar":
            content = "(archive)"
        name = path.relative_to(folder).as_posix()
        if "~" in name:
            # Named by process and second, so their order says nothing: all of one file's together.
            name = name.split(".", 2)[0] + ".backup"
            content = "".join(sorted([*found.get(name, ("", 0, ""))[2].splitlines(True), content]))
        found[name] = (kind, path.lstat().st_mode, content)
    return found


@pytest.fixture
def project(runtime: Path, tmp_path: Path) -> Project:
    return make_project(runtime, tmp_path / "run")


def make_project(runtime: Path, run: Path) -> Project:
    """A fresh copy of the project, with the few modules of collections it uses beside the playbook, as delivered."""
    tree = run / "tree"
    shutil.copytree(PROJECT, tree, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "broken.yml").write_text('- hosts: servers\n  tasks:\n   - debug: msg="a\n  x: [\n')
    for namespace, name, module in _COLLECTIONS:
        source = _collection(namespace, name)
        target = tree / "collections/ansible_collections" / namespace / name
        for part in (f"plugins/modules/{module}.py", "meta/runtime.yml", "MANIFEST.json"):
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / part, target / part)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / "plugins/module_utils", target / "plugins/module_utils", ignore=ignored)
    return Project(runtime, run)


def _collection(namespace: str, name: str) -> Path:
    for entry in sys.path:
        folder = Path(entry) / "ansible_collections" / namespace / name
        if folder.is_dir():
            return folder
    spec = importlib.util.find_spec("ansible")
    pytest.skip(f"collection {namespace}.{name} is not installed beside {spec and spec.origin}")
