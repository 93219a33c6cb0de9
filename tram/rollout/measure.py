"""How many bytes a delivery would put on a host's line now: measured on a bundle where one can be built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tram.bundle import build, pack
from tram.core.errors import TramError
from tram.delivery.memory import runtime
from tram.register import Host, Province
from tram.rollout.forecast import GUESS_UP, Traffic
from tram.rollout.plan import LastOf
from tram.rollout.targets import Targets


class Measure:
    """Bytes by host. Building takes an old controller seconds, so hosts with the same functions on the same Debian are
    taken for alike: what differs between their bundles is names and keys. `problem` is why no bundle could be built."""

    def __init__(
        self,
        province: Province,
        playbook: Path,
        found: Targets,
        last_of: LastOf,
        *,
        runtime_bytes: Callable[[], int] = lambda: runtime().bytes,
    ) -> None:
        self.problem: TramError | None = None
        self._province = province
        self._playbook = playbook
        self._hosts = {host.inventory_name: host for _, host in found.hosts}
        self._last_of = last_of
        self._runtime_bytes = runtime_bytes
        self._alike: dict[tuple[object, ...], int | None] = {}

    def __call__(self, name: str) -> Traffic | None:
        """A host tried before gets at most its whole bundle again, most often less; a new one also its runtime."""
        whole = self._whole(self._hosts[name])
        if whole is None:
            return None
        last = self._last_of(name)
        if last is None or not last.bytes_down:
            return Traffic(whole + self._runtime_bytes(), GUESS_UP, "bundle")
        if last.bytes_down < whole:
            return Traffic(last.bytes_down, last.bytes_up, "ledger")
        return Traffic(whole, last.bytes_up, "bundle")

    def _whole(self, host: Host) -> int | None:
        key = (host.functions, host.suite)
        if key not in self._alike:
            try:
                content = build(self._playbook, self._province, host, secrets=self._province.secrets_dir)
                self._alike[key] = len(pack(content, frozenset()))
            except TramError as error:
                self.problem = self.problem or error
                self._alike[key] = None
        return self._alike[key]
