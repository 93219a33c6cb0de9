"""What a rollout over a whole province costs its controller: `.venv/bin/python -m bench.scale.run [--sites 500]`.

The 32 sites of inventories/ha-tinh, and a simulated province of 500: each site is a directory with its own identity and
the real runner in it, spoken to over a pipe in the real protocol; a small playbook is carried out and verified by the
real executor. What is left out is ssh and the line itself (bench/delivery has them). Sites and controller share this
machine, so the wall time is the sites'; what is the controller's is told apart: its own process, and its helpers
(Ansible asked for bundles, ssh-keygen). Writes results.json and the table in README.md, both beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.scale.simulation import HERE, Simulation, build, copy_register, give, make_register
from bench.scale.table import write
from tram.core.run import run
from tram.register import Province, load

REPO = HERE.parents[1]
SEED = 20261121
DARK_SHARE = 0.1


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sites", type=int, default=500, help="of the simulated province (default: %(default)s)")
    sites = options.parse_args().sites
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tram-scale-") as folder:
        base = Path(folder)
        os.environ |= {"TRAM_SECRETS": str(base / "secrets"), "XDG_CACHE_HOME": str(base / "cache")}
        os.environ["PYTHONPATH"] = str(REPO)

        def keep(row: dict[str, Any]) -> None:
            """Row by row, so that what was measured is there whatever becomes of the rest."""
            rows.append(row)
            found = {"seed": SEED, "cores": os.cpu_count(), "rows": rows}
            (HERE / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
            write(found)

        with postgres("small", "large") as (small, url):
            ledger = f"sqlite:///{base}/ha-tinh.db"
            ha_tinh = Ground(base / "ha-tinh", REPO / "inventories/ha-tinh")
            keep(ha_tinh.start("ha-tinh", ledger, "all lines whole", "1"))
            keep(ha_tinh.start("ha-tinh", ledger, "nothing to change", "1"))
            keep(ha_tinh.start("ha-tinh", small, "all lines whole", "2"))
            large = Ground(base / "large", sites=sites)
            dark = random.Random(SEED).sample(large.hosts[2:], round(DARK_SHARE * len(large.hosts)))  # noqa: S311
            large.simulation.darken(dark)
            keep(large.start("simulated", f"sqlite:///{base}/large.db", f"{len(dark)} sites dark", "1"))
            large.simulation.mend()
            keep(large.resume("simulated", f"sqlite:///{base}/large.db", "… mended, `resume`", "1", len(dark)))
            keep(large.start("simulated", url, "all lines whole", "2"))


class Ground:
    """A province with its simulated sites, in a directory."""

    def __init__(self, base: Path, inventory: Path | None = None, *, sites: int = 0) -> None:
        self.base, self.register = base, base / "register"
        if inventory:
            copy_register(self.register, inventory)
        else:
            make_register(self.register, REPO / "inventories/lab", sites)
        give(self.register, base, "0")
        self.province: Province = load(self.register)
        self.hosts = [host.inventory_name for site in self.province.sites for host in site.hosts]
        self.simulation: Simulation = build(base, self.province)

    def start(self, name: str, url: str, what: str, edition: str) -> dict[str, Any]:
        """A rollout of an edition; its figures."""
        give(self.register, self.base, edition)
        told = self._conduct(url, "start")
        return self._row(edition, told | {"province": name, "what": what, "tried": len(self.hosts)}, url)

    def resume(self, name: str, url: str, what: str, edition: str, tried: int) -> dict[str, Any]:
        """What the timer calls, after the lines are whole again."""
        time.sleep(12)  # until they are due: retry_most and its fifth
        return self._row(edition, self._conduct(url, "resume") | {"province": name, "what": what, "tried": tried}, url)

    def _conduct(self, url: str, verb: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "bench.scale.controller", str(self.register), str(self.base)]
        argv += [self.simulation.runtime, url, verb]
        ran = subprocess.run(argv, cwd=REPO, stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(ran.stdout))

    def _row(self, edition: str, row: dict[str, Any], url: str) -> dict[str, Any]:
        row |= {"ledger": url.partition(":")[0], "sites_with_it": sum(self._has(host, edition) for host in self.hosts)}
        print(json.dumps(row, ensure_ascii=False), flush=True)
        return row

    def _has(self, host: str, edition: str) -> bool:
        """What the site itself has on its disk, whatever the ledger says."""
        path = self.simulation.root(host) / "register"
        return path.exists() and path.read_text() == f"{host} {edition}\n"


@contextmanager
def postgres(*names: str) -> Iterator[list[str]]:
    """A server of the benchmark's own, from Debian's package, on a unix socket; the addresses of new databases."""
    folder = Path(tempfile.mkdtemp(prefix="tram-scale-pg-"))
    become: list[str | Path] = []
    if os.getuid() == 0:  # PostgreSQL does not run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    binaries, data = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1], folder / "data"
    run([*become, binaries / "initdb", "-D", data, "-U", "tram", "--auth=trust", "-E", "UTF8"])
    control = [*become, binaries / "pg_ctl", "-D", data, "-w", "-s"]
    run([*control, "-l", folder / "log", "-o", f"-c listen_addresses= -k {folder}", "start"])
    try:
        for name in names:
            run([binaries / "createdb", "-h", folder, "-U", "tram", name])
        yield [f"postgresql://tram@/{name}?host={folder}" for name in names]
    finally:
        run([*control, "-m", "fast", "stop"])
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
