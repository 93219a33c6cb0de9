"""On the host: run a program and tell what it and all its children cost, as one JSON line on stdout."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

began = time.monotonic()
done = subprocess.run(
    sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
)
wall = time.monotonic() - began
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
recap = [line for line in done.stdout.splitlines() if " ok=" in line and " changed=" in line]
counts = dict(word.split("=") for word in recap[-1].split() if "=" in word) if recap else {}
print(
    json.dumps(
        {
            "code": done.returncode,
            "user": usage.ru_utime,
            "sys": usage.ru_stime,
            "wall": wall,
            "ok": int(counts.get("ok", -1)),
            "changed": int(counts.get("changed", -1)),
            "tail": "" if done.returncode == 0 else done.stdout[-1500:],
        }
    )
)
