"""Where a host keeps what, and who it is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tram.core.errors import BadInput
from tram.core.order import is_runtime

DEFAULT_ROOT = Path("/var/lib/tram/site")


@dataclass(frozen=True, slots=True)
class Config:
    """Who this host is (`config.json`, written when the runtime is installed), and what a test or a simulator may
    set otherwise than a real host.

    `runtimes`: the directory of installed runtimes. `executor`: argv that takes the executor's place. `system`: the
    root whose /etc is guarded; units and packages are looked at and touched only when it is "/". `probes`: (address,
    port) that answer when the line is up. `start`: "unit" when systemd watches the queue, "spawn" when whoever accepts
    must start the draining.
    """

    province: str
    site: str
    host: str
    runtimes: Path = Path("/opt/tram/runtime")
    executor: tuple[str, ...] = ()
    system: Path = Path("/")
    probes: tuple[tuple[str, int], ...] = ()
    start: str = "unit"

    @property
    def signer(self) -> str:
        """Whose signature an order needs."""
        return f"centre@{self.province}"


@dataclass(frozen=True, slots=True)
class Place:
    """The state directory (`/var/lib/tram/site`, 0700 root) and everything in it."""

    root: Path

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def trees(self) -> Path:
        return self.root / "trees"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def queue(self) -> Path:
        return self.root / "queue"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def allowed_signers(self) -> Path:
        return self.root / "allowed_signers"

    def lock(self, name: str) -> Path:
        """The lock file of one concern."""
        return self.root / f"lock.{name}"

    def make(self) -> None:
        """Lay out the directories that are missing."""
        for path in (self.root, self.objects, self.trees, self.incoming, self.queue, self.runs, self.snapshots):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def free_bytes(self) -> int:
        """Room that is left on the file system."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def config(self) -> Config:
        """Who this host is.

        Raises: BadInput when config.json is missing or says no sensible thing.
        """
        path = self.root / "config.json"
        hint = "install this host's runtime again from the centre"
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BadInput(f"{path}: {error}", hint=hint) from error
        if not isinstance(found, dict) or not all(isinstance(found.get(k), str) for k in ("province", "site", "host")):
            raise BadInput(f"{path}: does not say province, site and host", hint=hint)
        default = Config("", "", "")
        try:
            return Config(
                province=found["province"],
                site=found["site"],
                host=found["host"],
                runtimes=Path(found.get("runtimes", default.runtimes)),
                executor=tuple(found.get("executor", ())),
                system=Path(found.get("system", default.system)),
                probes=tuple((str(address), int(port)) for address, port in found.get("probes", ())),
                start=found.get("start", default.start),
            )
        except (TypeError, ValueError) as error:
            raise BadInput(f"{path}: {error}", hint=hint) from error


def runtimes(config: Config) -> list[str]:
    """The ids of installed runtimes."""
    try:
        found = [path.name for path in config.runtimes.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
    return sorted(filter(is_runtime, found))
