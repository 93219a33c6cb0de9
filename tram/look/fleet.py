"""Many hosts side by side; what goes wrong with one is no other's business."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from tram.look.program import Look
from tram.look.ssh import Looked, Patience, look_at
from tram.register import Host, Province


def look_at_all(
    province: Province,
    hosts: Sequence[Host],
    looks: Sequence[Look],
    *,
    parallel: int = 8,
    patience: Patience | None = None,
    tell: Callable[[Looked], None] | None = None,
    hurry: bool = True,
) -> list[Looked]:
    """Every host once, in the order given; `tell` hears of each as it is done.

    Raises: ProgramFailed when there is no ssh here.
    """
    patience = patience or Patience()
    with ThreadPoolExecutor(max_workers=max(1, min(parallel, len(hosts) or 1))) as pool:
        asked = {
            pool.submit(look_at, province, host, looks, patience, hurry=hurry): host.inventory_name for host in hosts
        }
        found: dict[str, Looked] = {}
        for future in as_completed(asked):
            found[asked[future]] = future.result()
            if tell:
                tell(found[asked[future]])
    return [found[host.inventory_name] for host in hosts]
