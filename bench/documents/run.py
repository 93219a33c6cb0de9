"""What documents cost: the line they are installed over, and a host's memory by profile.

    .venv/bin/python -m bench.documents.run [--lab NAME --inventory DIR] [--keep] [--steps install memory HOST…]

Without --lab a lab of its own is made: the hub, and a district's host of 2 GB (small profile, Debian 13). *install*:
the hub's wheelhouse is filled, the district's line is made 2 Mbit/s down and 512 kbit/s up, and cut for a while in the
middle of Debian's packages and of the wheels; a run that ends by it is run again. *memory*: the host is given its 2 GB
(a memory group of the kernel) and looked at when nobody works, and while clerks upload. Of a lab that is given every
host with documents is looked at, or those that are named among the steps.
Writes results.json and the tables in README.md, both beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from bench.on_lab import REPO, bench_lab, sh, write
from tests.desk import Desk, page_with
from tram.lab.lab import Lab
from tram.lab.memory import NoMemoryGroups, memory_group, pids_of

HERE = Path(__file__).parent
HUB, SITE, HOST, LAB = "trung-tam-hub1", "huong-khe", "huong-khe-srv1", "benchdocs"
BOOKS = [f"playbooks/{name}.yml" for name in ("base", "pki", "dns", "antivirus")]
LINE = {"down_bps": 2_000_000, "up_bps": 512_000, "rtt": 0.04, "loss": 0.0}
WIDE = {"down_bps": 50_000_000, "up_bps": 50_000_000, "rtt": 0.005, "loss": 0.0}
CUTS_AT_BYTES, CUT_SECONDS = (60_000_000, 150_000_000), 120
LIMIT_BYTES = 2_000_000_000
CLERKS, EACH = 4, 3
STEPS = ("install", "memory")
PROGRAMS = {"gunicorn": "web", "celery": "worker", "redis-server": "redis", "postgres": "postgresql", "nginx": "nginx"}
PROGRAMS |= {"clamd": "scanner"}
MEGA = 1_000_000


def main() -> None:
    """Measure, write, take down."""
    options, steps = asked()
    results: dict[str, Any] = {}
    if (HERE / "results.json").exists():
        results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="tram-bench-documents-") as room:
        if not options.lab:
            options.inventory = province(Path(room) / "lab")
        with bench_lab(options, LAB, BOOKS) as lab:
            if not options.lab:
                fill(lab, Path(room) / "wheels")
            if "install" in steps:
                results["install"] = install(lab)
            if "memory" in steps:
                results.setdefault("memory", {}).update(memory(lab, [word for word in steps if word not in STEPS]))
            write(HERE, results, table(results))


def asked() -> tuple[Any, Sequence[str]]:
    """The command line: that of all benchmarks on a lab, and which steps."""
    from bench.on_lab import options_of  # noqa: PLC0415

    words, steps = sys.argv[1:], list(STEPS)
    if "--steps" in words:
        at = words.index("--steps")
        steps = words[at + 1 :]
        sys.argv[1:] = words[:at]
    return options_of(__doc__, lab="function documents on a hub's far host"), steps


def province(folder: Path) -> Path:
    """The hub, and a district whose host has documents: 2 GB, Debian 13."""
    shutil.copytree(REPO / "inventories/lab", folder)
    (folder / "sites/so-noi-vu.yml").unlink()
    for name in ("huong_khe", "so_noi_vu", "trung_tam"):
        (folder / f"group_vars/site_{name}.yml").unlink()
    given = {"trung-tam": ["hub_cache", "dns", "pki", "mirror", "antivirus_mirror"], SITE: ["antivirus", "documents"]}
    for code, functions in given.items():
        path = folder / f"sites/{code}.yml"
        site = yaml.safe_load(path.read_text(encoding="utf-8"))
        site["hosts"][0].update({"functions": functions} | ({"suite": "trixie"} if code == SITE else {}))
        path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def fill(lab: Lab, wheels: Path) -> None:
    """Put everything into the hub's wheelhouse, as README.md of the role says."""
    suite = next(site.hosts[0].suite for site in lab.province.sites if site.code == SITE)
    tram = str(Path(sys.executable).parent / "tram")
    where = ["-i", str(lab.province.folder)]
    listed = f"roles/documents/files/requirements-{suite}.txt"
    for words in (
        ["scripts/documents-wheels", str(wheels), suite],
        [tram, "stage", "wheels", listed, "--suite", suite, "--find-links", str(wheels), *where],
        [tram, "stage", "files", str(wheels / "npm"), "npm", *where],
    ):
        subprocess.run(words, cwd=REPO, env=os.environ | {"TRAM_LAB": lab.paths.name}, check=True)


def carried(lab: Lab) -> int:
    """Bytes the district's line has carried, both ways."""
    state = lab.link(SITE)
    return int(state.down["bytes"]) + int(state.up["bytes"])


def install(lab: Lab) -> dict[str, Any]:
    """Bring the role to a bare host over the thin line, which is cut twice; run it again until it is there."""
    lab.set_link(SITE, **LINE)
    before, began = carried(lab), time.monotonic()
    cut = threading.Thread(target=cut_at, args=(lab, [before + mark for mark in CUTS_AT_BYTES]), daemon=True)
    cut.start()
    playbook = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(lab.province.folder)]
    playbook += ["playbooks/documents.yml", "--limit", HOST]
    codes: list[int] = []
    environment = os.environ | {"TRAM_LAB": lab.paths.name}
    while 0 not in codes and len(codes) < 4:
        codes.append(subprocess.run(playbook, cwd=REPO, env=environment, check=False).returncode)
    minutes, sent = (time.monotonic() - began) / 60, carried(lab) - before
    lab.set_link(SITE, **WIDE)
    row = {
        "runs": codes, "minutes": round(minutes, 1), "line_mb": round(sent / MEGA, 1), "cut_seconds": CUT_SECONDS,
        "all_cuts_happened": not cut.is_alive(), "at_the_line_minutes": round(sent * 8 / LINE["down_bps"] / 60, 1),
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    print(json.dumps(row), flush=True)
    return row


def cut_at(lab: Lab, marks: list[int]) -> None:
    """Cut the line whenever so much has crossed it (Debian's packages, then the wheels), and mend it later."""
    for mark in marks:
        while carried(lab) < mark:
            time.sleep(1)
        lab.cut(SITE)
        time.sleep(CUT_SECONDS)
        lab.mend(SITE)


def memory(lab: Lab, only: Sequence[str]) -> dict[str, Any]:
    """By profile: PSS and RSS of each program when nobody works and while clerks upload; what the bound did."""
    found: dict[str, Any] = {}
    for site in lab.province.sites:
        for host in site.hosts:
            if "documents" in host.functions and host.inventory_name in (only or [host.inventory_name]):
                found[profile(lab, host.inventory_name)] = looked_at(lab, host.inventory_name, host.ram_mb)
    return found


def profile(lab: Lab, host: str) -> str:
    """The profile a host has, by its workers."""
    workers = sh(lab, host, "cd /etc/systemd/system; ls mayan-worker-*.service").split()
    return {1: "small", 2: "normal", 3: "large"}[len(workers)]


def looked_at(lab: Lab, host: str, ram_mb: int) -> dict[str, Any]:
    """One host. A small one gets no more memory than it says it has."""
    machine = lab.machine(host)
    if ram_mb > LIMIT_BYTES // MEGA * 1.1:
        return measured(lab, host) | {"bound_mb": None}
    try:
        with memory_group(machine, "bench-documents") as group:
            for pid in pids_of(machine):
                group.add(pid)
            group.bound(LIMIT_BYTES)
            # From their start on within the bound: what was there before is not counted in it.
            sh(lab, host, "systemctl restart postgresql mayan-redis mayan-worker-all mayan-web nginx clamav-daemon")
            for pid in pids_of(machine):
                group.add(pid)
            found = measured(lab, host)
            return found | {"bound_mb": LIMIT_BYTES // MEGA, "peak_mb": group.peak_bytes // MEGA, "kills": group.kills}
    except NoMemoryGroups as error:
        return measured(lab, host) | {"bound_mb": None, "why": str(error)}


def measured(lab: Lab, host: str) -> dict[str, Any]:
    """When nobody works, and at its highest while clerks upload; how long until all is read."""
    desk = Desk(lab, host)
    desk.wait("it answers", lambda: desk.log_in("quan-tri")[0] == 200, 600)
    kind = desk.kind("Đo thử")
    time.sleep(60)
    idle = by_program(lab, host)
    began, peak = time.monotonic(), dict(idle)
    words = [f"DO{time.time_ns() % 10**8}X{number}" for number in range(CLERKS * EACH)]
    with ThreadPoolExecutor(CLERKS) as pool:
        uploads = [pool.submit(desk.send, kind, f"{word}.pdf", page_with(word)) for word in words]
        while not all(one.done() for one in uploads) or missing(desk, kind, words):
            peak = max(peak, by_program(lab, host), key=lambda one: one["all"]["pss_mb"])
            if time.monotonic() - began > 1800:
                raise SystemExit(f"{host}: not read within half an hour: {missing(desk, kind, words)}")
            time.sleep(3)
    bad = [one.result()[0] for one in uploads if one.result()[0] != 201]
    row = {"idle": idle, "load": peak, "documents": len(words), "refused": bad}
    return row | {"seconds": round(time.monotonic() - began)}


def missing(desk: Desk, kind: int, words: list[str]) -> list[str]:
    """Which of the documents are not there or have no page yet."""
    said = desk.api("GET", f"document_types/{kind}/documents/?page_size=100&_ordering=-id")["results"]
    there = {one["label"]: one["id"] for one in said}
    return [word for word in words if f"{word}.pdf" not in there or not desk.pages(there[f"{word}.pdf"])]


def by_program(lab: Lab, host: str) -> dict[str, dict[str, int]]:
    """PSS and RSS of a host's programs, in MB."""
    script = (
        "for d in /proc/[0-9]*; do c=$(tr '\\0' ' ' <$d/cmdline 2>/dev/null); "
        "awk -v c=\"$c\" '/^Rss:/ {r=$2} /^Pss:/ {p=$2} END {if (r) print r, p, c}' "
        "$d/smaps_rollup 2>/dev/null; done; :"
    )
    found: dict[str, dict[str, int]] = {}
    for line in sh(lab, host, script).splitlines():
        rss, pss, command = line.split(" ", 2)
        name = next((label for word, label in PROGRAMS.items() if word in command), "rest")
        for group in (name, "all"):
            row = found.setdefault(group, {"pss_mb": 0, "rss_mb": 0})
            row["pss_mb"] += int(pss)
            row["rss_mb"] += int(rss)
    return {name: {what: kb // 1024 for what, kb in row.items()} for name, row in found.items()}


def table(results: dict[str, Any]) -> str:
    """What README.md shows."""
    lines: list[str] = []
    if row := results.get("install"):
        lines += [
            "| over 2 Mbit/s from the hub | |",
            "|---|---|",
            f"| bytes on the line, packages of Debian and all | {row['line_mb']} MB |",
            f"| minutes, two cuts of {row['cut_seconds']} s included | {row['minutes']} |",
            f"| minutes the line alone takes for these bytes | {row['at_the_line_minutes']} |",
            f"| runs until it was there | {len(row['runs'])} (codes {row['runs']}) |",
            f"| load of the machine at the end | {row['load']} |",
            "",
        ]
    if results.get("memory"):
        programs = ["all", "web", "worker", "postgresql", "redis", "nginx", "scanner", "rest"]
        lines += [
            f"| profile, MB PSS / RSS | {' | '.join(programs)} | bound, peak with files' cache, kills | seconds |"
        ]
        lines += ["|---" * (len(programs) + 3) + "|"]
        for name, found in sorted(results["memory"].items()):
            for when, said in (("idle", "nobody works"), ("load", f"{CLERKS} clerks, {found['documents']} uploads")):
                cells = [found[when].get(program, {"pss_mb": 0, "rss_mb": 0}) for program in programs]
                text = " | ".join(f"{cell['pss_mb']} / {cell['rss_mb']}" for cell in cells)
                bound = f"{found['bound_mb']}, {found['peak_mb']}, {found['kills']}" if found["bound_mb"] else "none"
                lines += [f"| {name}, {said} | {text} | {bound} | {found['seconds'] if when == 'load' else ''} |"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
