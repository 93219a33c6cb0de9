"""What running a role of about 60 tasks costs a host: stock `ansible-playbook -c local` and the executor, in one go.

    .venv/bin/python bench/executor/run.py [--host debian12] [--rounds 3] [--keep]

Each engine makes the first run on a fresh lab host of its own. Then all take turns on the last host, where nothing
is left to change. CPU seconds are user + system of the program and all its children; what services do is not in
them. Writes results.json and the table in README.md, both beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tram.bundle.runtime import archive, build_runtime
from tram.bundle.runtime_content import runtime_files
from tram.core.run import run
from tram.lab.lab import Lab, down, up

HERE = Path(__file__).parent
LAB = "benchexecutor"
_RUNTIME = "/opt/tram/runtime"
_TREE = "/root/bench/tree"
_PYTHON = "/usr/bin/python3"
_TURN = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to run the playbook on the host, from the same playbook and role."""

    name: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()


def _stock(name: str, copy: str, *env: str) -> Engine:
    launch = f"{_RUNTIME}/{copy}/launch.py"
    argv = (_PYTHON, "-I", launch, "ansible.cli.playbook", "-c", "local", "-i", "inventory.yml", "playbook.yml")
    return Engine(name, argv, env)


ENGINES = (
    _stock("ansible-playbook -c local", "plain"),
    _stock("… with libyaml and pipelining", "libyaml", "ANSIBLE_PIPELINING=1"),
    Engine("tram", (_PYTHON, "-I", f"{_RUNTIME}/plain/launch.py", "tram.site.executor", "/root/bench")),
)


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        runtime = build_runtime(Path(folder))
        parcel = _parcel(Path(folder))
        rows = []
        host = f"trung-tam-{options.host}"
        for engine in ENGINES:
            lab = _fresh_host(host, parcel)
            rows.append(_turn(lab, host, engine, "first run"))
        for _ in range(options.rounds):
            rows.extend(_turn(lab, host, engine, "no change") for engine in ENGINES)
        if not options.keep:
            down(LAB)
    results = {"host": options.host, "runtime_bytes": runtime.bytes, "cores": os.cpu_count(), "rows": rows}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    table = _table(rows, runtime.bytes, options.host)
    text = (HERE / "README.md").read_text()
    begin, end = "<!-- table -->\n", "<!-- /table -->"
    (HERE / "README.md").write_text(text[: text.index(begin) + len(begin)] + table + text[text.index(end) :])
    print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure what running a role costs a host")
    parser.add_argument("--host", default="debian12", choices=("debian12", "debian13"))
    parser.add_argument("--rounds", type=int, default=3, help="runs without change of each engine")
    parser.add_argument("--keep", action="store_true", help="leave the lab standing")
    return parser.parse_args()


def _parcel(folder: Path) -> Path:
    """The tree that is run, as a tar."""
    tree = folder / "bench/tree"
    shutil.copytree(HERE / "role60", tree / "roles/role60", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "playbook.yml").write_text("- name: Bench\n  hosts: all\n  gather_facts: false\n  roles: [role60]\n")
    variables = "{ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}"
    (tree / "inventory.yml").write_text(f"all: {{hosts: {{bench1: {variables}}}}}\n")
    parcel = folder / "bench.tar"
    run(["tar", "-C", folder, "--owner=0", "--group=0", "-cf", parcel, "bench"])
    shutil.copy(HERE / "measure.py", folder / "measure.py")
    return parcel


def _fresh_host(host: str, parcel: Path) -> Lab:
    down(LAB)
    lab = up(HERE / "lab", LAB, print)
    config = lab.paths.state / "ssh_config"
    packed = parcel.with_name("runtime.tar")
    packed.write_bytes(archive(runtime_files()))
    files = [packed, parcel, parcel.with_name("measure.py")]
    run(["scp", "-q", "-F", config, *files, f"root@{host}:/root/"], timeout=timedelta(minutes=2))
    script = f"""set -e
echo 'Acquire::http::Proxy "http://192.0.2.1:3142";' > /etc/apt/apt.conf.d/90proxy
apt-get -q update >/dev/null
mkdir -p {_RUNTIME}/plain
tar -C /root -xf /root/bench.tar
tar -C {_RUNTIME}/plain -xf /root/runtime.tar
cp -r {_RUNTIME}/plain {_RUNTIME}/libyaml
rm -r {_RUNTIME}/libyaml/yaml {_RUNTIME}/libyaml/*yaml*.dist-info
DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends python3-yaml >/dev/null
{_PYTHON} -m compileall -q {_RUNTIME}
"""
    _sh(lab, host, script)
    return lab


def _turn(lab: Lab, host: str, engine: Engine, kind: str) -> dict[str, object]:
    words = " ".join((*engine.env, "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"))
    out = _sh(lab, host, f"cd {_TREE} && env {words} {_PYTHON} -I /root/measure.py {' '.join(engine.argv)}")
    row: dict[str, object] = {"engine": engine.name, "run": kind, **json.loads(out.strip().splitlines()[-1])}
    print(json.dumps(row), flush=True)
    if row["code"] != 0 or (kind == "no change" and row["changed"] != 0):
        raise SystemExit(f"{engine.name}, {kind}: not as it should be: {row}")
    return row


def _sh(lab: Lab, host: str, script: str) -> str:
    argv = ["ssh", "-q", "-F", lab.paths.state / "ssh_config", f"root@{host}", script]
    return run(argv, timeout=_TURN).stdout


def _table(rows: list[dict[str, object]], size: int, host: str) -> str:
    def cpu(engine: Engine, kind: str) -> float:
        values = [
            float(str(row["user"])) + float(str(row["sys"]))
            for row in rows
            if row["engine"] == engine.name and row["run"] == kind
        ]
        return statistics.median(values)

    ours = {kind: cpu(ENGINES[-1], kind) for kind in ("first run", "no change")}
    lines = [f"Host: {host}. Runtime: {size / 1e6:.2f} MB.", ""]
    lines += ["| engine | first run, CPU s | ÷ tram | no change, CPU s | ÷ tram |", "|---|---|---|---|---|"]
    for engine in ENGINES:
        cells = [engine.name]
        for kind in ("first run", "no change"):
            value = cpu(engine, kind)
            cells += [f"{value:.1f}", f"{value / ours[kind]:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
