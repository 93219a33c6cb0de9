"""Start the draining of what waits, in a process that outlives the one that took it in."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tram.core.run import run
from tram.site.place import DEFAULT_ROOT, Config, Place

_UNIT = "tram-site.service"


def wake(place: Place, config: Config) -> None:
    """Start `drain`. When it runs already it finds the new order by itself.

    systemd watches the queue too, but its watch ends for good when the machine is short of inotify instances once.
    """
    if config.start == "spawn":
        argv = [sys.executable, "-m", "tram.site", "--root", str(place.root), "drain"]
        null = subprocess.DEVNULL
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True, env=environment)
    elif place.root == DEFAULT_ROOT and Path("/run/systemd/system").is_dir():
        run(["systemctl", "start", "--no-block", _UNIT], check=False, timeout=timedelta(seconds=20))
