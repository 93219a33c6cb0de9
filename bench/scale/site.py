"""The far end of a simulated line: `site.py ROOT RUNTIME`, the site's real runner; nobody while the file ROOT/dark is.

What it cost is written down in ROOT/cpu, to tell the controller's own costs from those of its children.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

# What a call into a dead line takes here; on a real one it is ConnectTimeout, 15 s and more.
_NO_ANSWER_SECONDS = 1.0


def main() -> int:
    root, runtime = Path(sys.argv[1]), sys.argv[2]
    if (root / "dark").exists():
        time.sleep(_NO_ANSWER_SECONDS)
        print("ssh: connect to host: Connection timed out", file=sys.stderr)
        return 255
    sys.path.insert(0, runtime)
    from tram.site.command import main as tram_site  # noqa: PLC0415 it comes from the runtime

    try:
        return tram_site(["--root", str(root / "state"), "exchange"])
    finally:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        with (root / "cpu").open("a") as file:
            file.write(f"{sum(each.ru_utime + each.ru_stime for each in used):.4f}\n")


if __name__ == "__main__":
    sys.exit(main())
