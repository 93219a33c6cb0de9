"""What role guard needs at the controller: the program a host runs, built from tram/core and tram/site, and a name for
this run of ansible-playbook. Standard library and Ansible only: the controller need not have `tram` installed."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: guard
short_description: The program that guards a push, and the name of this run
description:
  - C(program) gives the path, at the controller, of the one file a host needs, C(name) its name, C(digest) its SHA-256.
  - C(run) names this run of ansible-playbook. C(gone RUN) says whether that one surely does not run any more.
options:
  _terms: {description: "C(program), C(run) or C(gone RUN).", required: true}
"""

MAIN = "tram.site.guard_command"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is built


class LookupModule(LookupBase):  # type: ignore[misc]
    """One dictionary for each term."""

    def run(self, terms: list[str], *_: Any, **__: Any) -> list[dict[str, Any]]:
        """Answer each term."""
        return [self._one(term) for term in terms]

    def _one(self, term: str) -> dict[str, Any]:
        if term == "program":
            return program(Path(__file__).resolve().parents[3])
        if term == "run":
            return {"run": run_name()}
        if term.startswith("gone "):
            return {"gone": gone(term.removeprefix("gone "))}
        raise AnsibleError(f'guard: "{term}" is none of: program, run, gone RUN')


@cache
def program(repository: Path) -> dict[str, str]:
    """Build the program, or take the one that was built of the same sources."""
    content = archive(repository)
    digest = hashlib.sha256(content).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tram"
    path = folder / f"guard-{digest[:16]}.pyz"
    if not path.exists() or path.read_bytes() != content:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_bytes(content)
        new.replace(path)
    return {"path": str(path), "name": path.name, "digest": digest, "bytes": str(len(content))}


def archive(repository: Path) -> bytes:
    """A zip that Python runs: the command's module, and of ours whatever it imports."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as found:
        main = f"import sys\nfrom {MAIN} import main\nsys.exit(main())\n".encode()
        for name, content in sorted({**sources(repository), "__main__.py": main}.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            found.writestr(entry, content, compresslevel=9)
    return buffer.getvalue()


def sources(repository: Path) -> dict[str, bytes]:
    """The module's file and those of all of ours it imports, by their path in the repository."""
    found: dict[str, bytes] = {}
    left = [MAIN]
    while left:
        module = left.pop()
        for path in (
            repository / f"{module.replace('.', '/')}.py",
            repository / module.replace(".", "/") / "__init__.py",
        ):
            name = path.relative_to(repository).as_posix()
            if path.is_file() and name not in found:
                found[name] = path.read_bytes()
                left += imported(found[name])
    return found


def imported(source: bytes) -> list[str]:
    """Modules of ours that a source names, with the packages they are in."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parents = [".".join(name.split(".")[:count]) for name in names for count in range(1, name.count(".") + 1)]
    return [name for name in (*names, *parents) if name.split(".")[0] == "tram"]


def run_name() -> str:
    """This run of ansible-playbook: machine, its boot, the process and when it began. The same in all its workers."""
    pid, own = os.getpid(), Path("/proc/self/cmdline").read_bytes()
    while (parent := int(_stat(pid)[1])) > 1 and Path(f"/proc/{parent}/cmdline").read_bytes() == own:
        pid = parent
    return f"{_here()}:{pid}:{_stat(pid)[19]}"


def gone(run: str) -> bool:
    """Whether that run surely is over: it ran on this machine, and its process is no more."""
    machine, _, process = run.rpartition(":")[0].rpartition(":")
    try:
        return machine.rpartition(":")[0] == _here().rpartition(":")[0] and (
            machine != _here() or _stat(int(process))[19] != run.rpartition(":")[2]
        )
    except (OSError, ValueError):
        return True


def _here() -> str:
    return f"{os.uname().nodename}:{Path('/proc/sys/kernel/random/boot_id').read_text()[:8]}"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
