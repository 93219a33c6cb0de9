"""Runs on the host: pushes scrapes of the past day into the agent's queue until WANTED bytes wait there."""

from __future__ import annotations

import http.client
import sys
import time

SERIES, SCRAPES, LOOK_EACH = 150, 1440, 20


def ask(path: str, body: bytes | None = None) -> str:
    """What the agent answers."""
    asked = http.client.HTTPConnection("127.0.0.1", 8429, timeout=30)
    asked.request("POST" if body else "GET", path, body)
    return asked.getresponse().read().decode()


def pending() -> float:
    """Bytes in the queue."""
    said = ask("/metrics")
    lines = [line for line in said.splitlines() if line.startswith("vmagent_remotewrite_pending_data_bytes")]
    return sum(float(line.split()[-1]) for line in lines)


def main() -> None:
    """Push, and say how many scrapes it took."""
    start, number = time.time() - 60 * SCRAPES, 0
    while number < 20 * SCRAPES and (number % LOOK_EACH or pending() < float(sys.argv[1])):
        stamp = int((start + 60 * (number % SCRAPES)) * 1000)
        lines = "".join(
            f'tram_bench_backlog{{series="{n}",exporter="bench"}} {(stamp * n) % 9973 / 9973 if n % 3 else n} {stamp}\n'
            for n in range(SERIES)
        )
        ask("/api/v1/import/prometheus", lines.encode())
        number += 1
        # The agent writes its queue at leisure; a full day in a second would only fill its memory.
        time.sleep(0.02)
    print(number)


main()
