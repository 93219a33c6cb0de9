"""What an audit costs: `.venv/bin/python bench/audit/run.py [--hosts 32]`. Needs root; no other lab should be up.

Real hosts, as many as are asked for, on a register made up for it: a hub, and sites on ADSL and fibre as the lab's
register knows them. Each is audited over its own line with everything `tram audit` looks at: seconds, bytes of IP on
the line both ways, CPU seconds of the host. Round trips are told by time: on one site's line, wide and without loss,
the same conversation at two round trip times, less what the host itself was at work by its own clock; what it takes
longer, divided by the difference, is how often it waits for the other side. Writes results.json and the tables in
README.md, both beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tram.act.bootstrap import Entry, bootstrap
from tram.act.key import make_key
from tram.act.outcome import Outcome
from tram.act.target import targets
from tram.core.run import run
from tram.lab.cgroup import hierarchies
from tram.lab.lab import Lab, down, up
from tram.look import Look, Looked, look_at_all
from tram.register import Host
from tram_audit.loading import load_rules
from tram_audit.looks import looks

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
NAME = "benchaudit"
RTTS = (0.02, 0.22)
BOUNDS = {"bytes": 60_000, "round trips": 6, "cpu_seconds": 1.0}
_LINE: Mapping[str, float] = {"down_bps": 50_000_000, "up_bps": 50_000_000, "loss": 0.0}
STEPS = ("fleet", "round_trips")
_TRIES = 5


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hosts", type=int, default=32, help="real hosts to boot (default: %(default)s)")
    options.add_argument("--lab", default=NAME, help="name of the lab that is made for it (default: %(default)s)")
    options.add_argument("--parallel", type=int, default=8, help="of them at once (default: %(default)s)")
    options.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="what to measure (default: both)")
    asked = options.parse_args()
    results = HERE / "results.json"
    found: dict[str, Any] = {"load": {}}
    if set(asked.steps) != set(STEPS):
        found = json.loads(results.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="tram-bench-audit-") as folder:
        register = Path(folder) / "register"
        make_register(register, asked.hosts)
        try:
            lab = up(register, asked.lab, print)
            os.environ["TRAM_LAB"] = asked.lab
            key = make_key(lab.province.secrets_dir, f"tram@{lab.province.code}")
            taken = bootstrap(targets(lab.province, [], every=True), Entry(agent=False), key)
            if bad := [result for result in taken if result.outcome is not Outcome.DONE]:
                raise SystemExit(f"not taken over: {bad}")
            found["cores"] = os.cpu_count()
            for step in asked.steps:
                found["load"][step] = round(os.getloadavg()[0], 1)
                if step == "fleet":
                    found[step] = fleet(lab, asked.parallel)
                else:
                    found[step] = [round_trips(lab, *case) for case in CASES]
        finally:
            down(asked.lab)
    results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write(found)
    worst = found["fleet"]["worst"]
    trips = found["round_trips"][0]["round_trips"]
    print(f"worst host: {worst['bytes']} bytes, {worst['cpu_seconds']} CPU seconds; {trips} round trips a host")
    over = worst["bytes"] > BOUNDS["bytes"] or worst["cpu_seconds"] > BOUNDS["cpu_seconds"]
    sys.exit(1 if over or trips > BOUNDS["round trips"] + 0.5 else 0)


def everything() -> list[Look]:
    """What `tram audit` looks at."""
    return looks(load_rules(REPO / "security").sysctls)


CASES: Sequence[tuple[str, bool, bool]] = (
    ("everything, `tram audit`", True, True),
    ("one empty look, the same way", True, False),
    ("everything, OpenSSH's own client", False, True),
    ("one empty look, OpenSSH's own client", False, False),
)


def fleet(lab: Lab, parallel: int) -> dict[str, Any]:
    """Every host once, side by side, on the lines of the register."""
    province = lab.province
    pairs = [(site, host) for site in province.sites for host in site.hosts]
    before = {site.code: carried(lab, site.code) for site, _ in pairs if not site.is_hub}

    def one(host: Host) -> tuple[Looked, float]:
        """What a host works while it is asked, and not while it waits for its turn."""
        had = cpu_seconds(lab, host.inventory_name)
        (looked,) = look_at_all(province, [host], everything())
        return looked, cpu_seconds(lab, host.inventory_name) - had

    began = time.monotonic()
    with ThreadPoolExecutor(parallel) as pool:
        seen = list(pool.map(one, [host for _, host in pairs]))
    wall = time.monotonic() - began
    rows: list[dict[str, Any]] = []
    for (site, host), (looked, cpu) in zip(pairs, seen, strict=True):
        assert not looked.error, f"{host.inventory_name}: {looked.error}"
        name = host.inventory_name
        row: dict[str, Any] = {"host": name, "line": site.link.link_class if site.link else "none", "way": looked.way}
        row |= {"seconds": round(looked.seconds, 2), "cpu_seconds": round(cpu, 2)}
        if not site.is_hub:
            row["bytes"] = carried(lab, site.code) - before[site.code]
        rows.append(row)
        print(json.dumps(row), flush=True)
    measured = [row for row in rows if "bytes" in row]
    worst = {what: max(row[what] for row in measured) for what in ("bytes", "cpu_seconds", "seconds")}
    middle = {what: round(statistics.median(row[what] for row in measured), 2) for what in worst}
    return {
        "hosts": len(rows),
        "parallel": parallel,
        "wall": round(wall, 1),
        "worst": worst,
        "middle": middle,
        "rows": rows,
    }


def round_trips(lab: Lab, what: str, hurry: bool, whole: bool) -> dict[str, Any]:
    """How often one conversation waits for the other side."""
    site = next(site for site in lab.province.sites if not site.is_hub)
    asked = everything() if whole else [Look("empty", ":")]
    waits: dict[float, float] = {}
    walls: dict[float, float] = {}
    for rtt in RTTS:
        lab.set_link(site.code, cut=False, rtt=rtt, **_LINE)
        tries = [_seconds(lab, site.hosts[0], asked, hurry) for _ in range(_TRIES)]
        walls[rtt], waits[rtt] = (min(column) for column in zip(*tries, strict=True))
    low, high = RTTS
    trips = round((waits[high] - waits[low]) / (high - low), 1)
    row = {
        "what": what,
        "round_trips": trips,
        "seconds": {f"{rtt * 1000:.0f} ms": round(walls[rtt], 2) for rtt in RTTS},
        "without_work": {f"{rtt * 1000:.0f} ms": round(waits[rtt], 2) for rtt in RTTS},
    }
    print(json.dumps(row, ensure_ascii=False), flush=True)
    return row


def _seconds(lab: Lab, host: Host, asked: Sequence[Look], hurry: bool) -> tuple[float, float]:
    """Of one conversation: seconds in all, and without those between the host's first look and its last."""
    clock = "date +%s.%N"
    (looked,) = look_at_all(lab.province, [host], [Look("begins", clock), *asked, Look("ends", clock)], hurry=hurry)
    assert not looked.error, looked.error
    assert (looked.way == "eager") == hurry, _other_way(looked)
    work = float(looked.seen["ends"].text) - float(looked.seen["begins"].text)
    return looked.seconds, looked.seconds - work


def _other_way(looked: Looked) -> str:
    return f"{looked.host} was asked by {looked.way}"


def carried(lab: Lab, site: str) -> int:
    """Bytes of IP the site's line has carried, both ways, once nothing is under way any more."""
    last = -1
    for _ in range(20):
        state = lab.link(site)
        now = state.down["bytes"] + state.up["bytes"]
        if now == last:
            return now
        last = now
        time.sleep(0.3)
    return last


def cpu_seconds(lab: Lab, host: str) -> float:
    """What a host and everything on it has used since it was switched on."""
    for hierarchy in hierarchies():
        stat = hierarchy / lab.machine(host).tag / "cpu.stat"
        if stat.exists():
            words = stat.read_text().split()
            return int(words[words.index("usage_usec") + 1]) / 1e6
    raise SystemExit("no unified control group hierarchy: the hosts' CPU seconds cannot be read")


def make_register(folder: Path, hosts: int) -> None:
    """A province for the lab: the hub, and sites of one host on ADSL and fibre by turns (documentation addresses)."""
    if not 2 <= hosts <= 32:
        raise SystemExit("--hosts: from 2 to 32, as many small networks there are")
    run(["cp", "-r", REPO / "inventories/lab", folder])
    for path in (folder / "sites").glob("*.yml"):
        if path.stem != "trung-tam":
            path.unlink()
    for number in range(1, hosts):
        net = f"{'198.51.100' if number % 2 else '203.0.113'}.{(number - 1) // 2 * 16}"
        first, last = net.rsplit(".", 1)
        (folder / f"sites/xa-{number:02}.yml").write_text(
            f"code: xa-{number:02}\nname: Xã {number}\ntier: district\nparent: trung-tam\n"
            f"link: {{class: {'adsl' if number % 2 else 'fibre'}}}\nnetwork: {net}/28\n"
            f"board: {{x: {number % 8 * 12}, y: {20 + number // 8 * 15}}}\n"
            "contact: {post: Văn thư, phone: 0239 000 0003}\n"
            f"hosts:\n  - {{name: srv1, address: {first}.{int(last) + 10}, year: 2009, model: Mô phỏng, ram_mb: 2048,"
            " cores: 2, suite: bookworm, functions: [dns]}\n",
            encoding="utf-8",
        )


def write(found: Mapping[str, Any]) -> None:
    """The tables of README.md, between its marks."""
    whole, rows = found["fleet"], found["round_trips"]
    lines = [
        f"{whole['hosts']} hosts, {whole['parallel']} at once, {whole['wall']} s in all; {found['cores']} cores for all"
        f" of them and the centre, load {found['load']['fleet']} before.",
        "",
        "| a host | bytes, both ways | CPU seconds of the host | seconds |",
        "|---|---|---|---|",
    ]
    for name, side in (("the one in the middle", whole["middle"]), ("the worst", whole["worst"])):
        lines.append(f"| {name} | {side['bytes']:,.0f} | {side['cpu_seconds']} | {side['seconds']} |")
    lines += [
        "",
        "| conversation | round trips | at 20 ms: in all, without the host's work | at 220 ms |",
        "|---|---|---|---|",
    ]
    for row in rows:
        low, high = (f"{seconds} s, {row['without_work'][rtt]} s" for rtt, seconds in row["seconds"].items())
        lines.append(f"| {row['what']} | {row['round_trips']} | {low} | {high} |")
    lines += ["", f"Load before these conversations: {found['load']['round_trips']}."]
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition("<!-- table -->\n")
    _, end, tail = rest.partition("<!-- end -->")
    page.write_text(head + "<!-- table -->\n" + "\n".join(lines) + "\n" + end + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
