"""How many bytes a delivery would put on a host's line now: measured on a bundle where one can be built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tram.bundle import build_all, pack
from tram.core.errors import TramError
from tram.delivery.memory import runtime
from tram.register import Province
from tram.rollout.forecast import GUESS_UP, Traffic
from tram.rollout.plan import LastOf
from tram.rollout.targets import Targets


class Measure:
    """Bytes by host. `problem` is why no bundle could be built; then nothing is known of any host.

    Secrets that must exist need not yet: the hub's wave may be what makes them.
    """

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
        self._whole: dict[str, int] = {}
        self._last_of = last_of
        self._runtime_bytes = runtime_bytes
        hosts = [host for _, host in found.hosts]
        try:
            contents = build_all(playbook, province, hosts, secrets=province.secrets_dir, check=True)
        except TramError as error:
            self.problem = error
        else:
            self._whole = {name: len(pack(content, frozenset())) for name, content in contents.items()}

    def __call__(self, name: str) -> Traffic | None:
        """A host tried before gets at most its whole bundle again, most often less; a new one also its runtime."""
        whole = self._whole.get(name)
        if whole is None:
            return None
        last = self._last_of(name)
        if last is None or not last.bytes_down:
            return Traffic(whole + self._runtime_bytes(), GUESS_UP, "bundle")
        if last.bytes_down < whole:
            return Traffic(last.bytes_down, last.bytes_up, "ledger")
        return Traffic(whole, last.bytes_up, "bundle")
