"""A line between a program and the other side's, which it starts: so many bits a second each way, every byte counted.

`line.py FILE RATE_BPS CUT_AFTER_BYTES COMMAND...` writes what went over it to FILE.PID; after so many bytes (0: never)
the line is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path


class Line:
    """Both directions of one connection."""

    def __init__(self, rate_bps: int, cut_after: int) -> None:
        self.rate_bps, self.cut_after = rate_bps, cut_after
        self.carried = {"up": 0, "down": 0}
        self.gone = threading.Event()

    def carry(self, way: str, source: int, sink: int) -> None:
        """One direction, at the line's rate, to its end."""
        free_at = time.monotonic()
        while data := os.read(source, 1400):
            free_at = max(free_at, time.monotonic()) + len(data) * 8 / self.rate_bps
            time.sleep(max(0.0, free_at - time.monotonic()))
            self.carried[way] += len(data)
            if self.cut_after and sum(self.carried.values()) > self.cut_after:
                self.gone.set()
                return
            try:
                os.write(sink, data)
            except BrokenPipeError:
                return
        os.close(sink)


def main() -> int:
    """Start the other side, carry, count."""
    file, rate, cut, *command = sys.argv[1:]
    line = Line(int(rate), int(cut))
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin
    assert other.stdout
    ways = [
        threading.Thread(target=line.carry, args=("up", 0, other.stdin.fileno()), daemon=True),
        threading.Thread(target=line.carry, args=("down", other.stdout.fileno(), 1), daemon=True),
    ]
    for way in ways:
        way.start()
    mine = Path(f"{file}.{os.getpid()}")
    while other.poll() is None and not line.gone.wait(0.05):
        # Again and again: whoever started this may end it at any moment.
        mine.write_text(str(sum(line.carried.values())), encoding="utf-8")
    if line.gone.is_set():
        other.kill()
    else:
        ways[1].join(10)
    mine.write_text(str(sum(line.carried.values())), encoding="utf-8")
    os._exit(1 if line.gone.is_set() else 0)


if __name__ == "__main__":
    main()
