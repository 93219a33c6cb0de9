"""What telling costs: CPU of one run with eight disks, bytes of probes a day, size of the artefact.

    .venv/bin/python bench/exporters/run.py [--rounds 5] [--python /usr/bin/python3]

The disks are real readings behind a stub of smartctl, so smartctl's own work is not in the figure; the stub's shell is.
Probes are counted by the kernel (/proc/net/snmp) on the loopback. Writes results.json and the table in README.md.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tram.core.run import run
from tram_exporters.link import PAYLOAD_BYTES, icmp

HERE = Path(__file__).parent
REPO = HERE.parent.parent
ARTEFACT = REPO / "roles/exporter/files/tram-exporters.pyz"
READINGS = REPO / "tests/unit/exporters/smart"
DISKS = 8
IP_AND_ICMP = 28
RUNS_A_DAY = 24 * 60


def stub(folder: Path) -> None:
    """A smartctl that knows eight disks."""
    readings = sorted(READINGS.glob("smartctl_exporter--*.json"))[:DISKS]
    devices = [{"name": f"/dev/sd{'abcdefgh'[number]}", "type": "sat"} for number in range(DISKS)]
    (folder / "scan.json").write_text(json.dumps({"smartctl": {"exit_status": 0}, "devices": devices}))
    for device, path in zip(devices, readings, strict=True):
        (folder / Path(device["name"]).name).write_bytes(path.read_bytes())
    program = folder / "smartctl"
    script = [
        "#!/bin/sh",
        "for last; do :; done",
        f"case $1 in --scan-open) exec cat {folder}/scan.json;; esac",
        f'exec cat "{folder}/${{last##*/}}"',
    ]
    program.write_text("\n".join(script) + "\n")
    program.chmod(0o755)


def cpu(python: str, folder: Path, exporters: dict[str, int]) -> float:
    """Seconds, user and system, of one run and all its children."""
    settings = {
        "every_seconds": exporters,
        "targets": [{"name": "hub", "address": "127.0.0.1"}],
        "dns_name": "localhost",
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    argv = [python, ARTEFACT, "--settings", folder / "settings.json", "--to", folder, "--state", folder, "--all"]
    run([str(one) for one in argv], env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def sent() -> int:
    """Echo requests and replies this machine has sent and taken."""
    heads, values = [
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Icmp:")
    ]
    found = dict(zip(heads, values, strict=True))
    return int(found["OutEchos"]) + int(found["OutEchoReps"])


def probes() -> int:
    """Packets of one run to one target, there and back."""
    before = sent()
    icmp("127.0.0.1")
    return sent() - before


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stub(folder)
        cpu(given.python, folder, {"hardware": 120})  # unpacks and compiles, once a release
        hardware = [cpu(given.python, folder, {"hardware": 120}) for _round in range(given.rounds)]
        link = [cpu(given.python, folder, {"link": 60}) for _round in range(given.rounds)]
        said = (folder / "tram_hardware.prom").read_text()
    readable = len(re.findall(r"^tram_disk_readable\{[^}]*\} 1", said, re.MULTILINE))
    packets = probes()
    results = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "disks": readable,
        "hardware_cpu_seconds": round(statistics.median(hardware), 3),
        "hardware_cpu_seconds_worst": round(max(hardware), 3),
        "link_cpu_seconds": round(statistics.median(link), 3),
        "probe_packets_a_run": packets,
        "probe_bytes_a_day": packets * (PAYLOAD_BYTES + IP_AND_ICMP) * RUNS_A_DAY,
        "hardware_series": sum(not line.startswith("#") for line in said.splitlines()),
        "artefact_bytes": ARTEFACT.stat().st_size,
        "artefact_bytes_in_a_bundle": len(lzma.compress(ARTEFACT.read_bytes())),
        "load": round(os.getloadavg()[0], 1),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = table(results)
    print(text)
    page = HERE / "README.md"
    kept = page.read_text(encoding="utf-8")
    page.write_text(
        re.sub(r"(<!-- table -->\n).*?(<!-- /table -->)", lambda m: m[1] + text + m[2], kept, flags=re.DOTALL)
    )


def table(results: dict[str, object]) -> str:
    """The figures beside their bars."""
    rows = [
        ("hardware, 8 disks: CPU s a run, median", results["hardware_cpu_seconds"], "0.3"),
        ("hardware, 8 disks: CPU s a run, worst", results["hardware_cpu_seconds_worst"], "–"),
        ("link: CPU s a run, median", results["link_cpu_seconds"], "–"),
        ("probes to one target: MB a day (IP)", f"{int(str(results['probe_bytes_a_day'])) / 1e6:.2f}", "0.5"),
        ("series of hardware, 8 disks", results["hardware_series"], "–"),
        ("artefact: kB", f"{int(str(results['artefact_bytes'])) / 1e3:.0f}", "–"),
        ("artefact within a bundle (xz): kB", f"{int(str(results['artefact_bytes_in_a_bundle'])) / 1e3:.0f}", "–"),
    ]
    lines = [
        f"{results['at']}, {results['disks']} disks read, load {results['load']}.",
        "",
        "| what | measured | bar |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {what} | {value} | {bar} |" for what, value, bar in rows)]) + "\n"


if __name__ == "__main__":
    main()
