"""A simulated province: each site a directory with its real runner, its own identity and the shared runtime."""

from __future__ import annotations

import compileall
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tram.bundle import allowed_signers
from tram.bundle.runtime_content import runtime_files
from tram.delivery.host import Way
from tram.delivery.line import PipeCarrier
from tram.ledger import Job
from tram.register import Province

HERE = Path(__file__).resolve().parent
RULES = {"soak": "0 s", "reach": "5 s", "retry_first": "5 s", "retry_most": "10 s", "parallel": 16}
_CLASSES = ("fibre", "adsl")


@dataclass(frozen=True, slots=True)
class Simulation:
    """Where the sites are, and the id of the runtime they have. Called, it says how a host is reached."""

    base: Path
    runtime: str

    def root(self, host: str) -> Path:
        return self.base / "sites" / host

    @property
    def runtimes(self) -> Path:
        return self.base / "runtimes"

    def __call__(self, job: Job, _province: Province) -> Way:
        """The way to a host: a pipe to its runner."""
        argv = ["/usr/bin/python3", str(HERE / "site.py"), str(self.root(job.host)), str(self.runtimes / self.runtime)]
        return Way(carrier=PipeCarrier(argv), runtime=self.runtime, may_install=False)

    def cpu(self) -> float:
        """Seconds that the sites' ends of all conversations took so far."""
        return sum(float(line) for path in self.base.glob("sites/*/cpu") for line in path.read_text().splitlines())

    def darken(self, hosts: Sequence[str]) -> None:
        """Nobody answers there any more."""
        for host in hosts:
            (self.root(host) / "dark").touch()

    def mend(self) -> None:
        """All lines are whole."""
        for path in self.base.glob("sites/*/dark"):
            path.unlink()


def make_register(folder: Path, template: Path, sites: int) -> None:
    """A register of so many sites, on the lab's classes of lines; the first is the hub, the second its pilot."""
    (folder / "sites").mkdir(parents=True)
    text = (template / "province.yml").read_text(encoding="utf-8")
    text = text.replace("code: lab", "code: scale").replace("hub: trung-tam", "hub: xa-000").replace("lab: true\n", "")
    (folder / "province.yml").write_text(text, encoding="utf-8")
    shutil.copy(template / "register.yml", folder)
    for number in range(sites):
        net = f"10.{number // 200}.{number % 200}"
        link = "" if number == 0 else f"parent: xa-000\nlink: {{class: {_CLASSES[number % 2]}}}\n"
        tier = "province" if number == 0 else "district"
        pilot = "pilot: true\n" if number == 1 else ""
        (folder / f"sites/xa-{number:03}.yml").write_text(
            f"code: xa-{number:03}\nname: Xã {number}\ntier: {tier}\n{link}{pilot}network: {net}.0/28\n"
            f"board: {{x: {number % 100}, y: {number // 100 * 10}}}\n"
            f"hosts:\n  - {{name: srv1, address: {net}.10, year: 2009, model: Mô phỏng, ram_mb: 2048, cores: 2,"
            " suite: bookworm, functions: [dns]}\n",
            encoding="utf-8",
        )


def copy_register(folder: Path, province: Path) -> None:
    """A province as it is."""
    shutil.copytree(province, folder, ignore=shutil.ignore_patterns("__pycache__", "group_vars"))


def give(folder: Path, base: Path, edition: str) -> None:
    """The rules, and what is rolled out to all."""
    (folder / "rollout.yml").write_text(json.dumps(RULES))
    (folder / "group_vars").mkdir(exist_ok=True)
    variables = {"so_dang_ky_folder": str(base / "sites"), "so_dang_ky_edition": edition}
    (folder / "group_vars/all.yml").write_text(json.dumps(variables))


def build(base: Path, province: Province) -> Simulation:
    """Every host of the province as a directory, with the runtime where all of them find it, compiled as on a host."""
    runtime = "0123456789abcdef"
    for name, content in runtime_files().items():
        path = base / "runtimes" / runtime / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    compileall.compile_dir(base / "runtimes", quiet=1)
    made = Simulation(base, runtime)
    signers = allowed_signers(province)
    for site in province.sites:
        for host in site.hosts:
            state, system = made.root(host.inventory_name) / "state", made.root(host.inventory_name) / "system"
            (system / "etc").mkdir(parents=True)
            state.mkdir(mode=0o700)
            (state / "allowed_signers").write_text(signers)
            config = {"province": province.code, "site": site.code, "host": host.inventory_name, "start": "spawn"}
            config |= {"system": str(system), "runtimes": str(made.runtimes)}
            (state / "config.json").write_text(json.dumps(config))
    return made
