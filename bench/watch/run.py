"""What the watch costs a site: bytes to the hub, memory and processor, a day's backlog over a thin line.

    .venv/bin/python -m bench.watch.run [--lab NAME --inventory DIR] [--keep]

About 25 minutes: a lab of its own is made (13), or given by --lab with playbooks up to watch.yml applied; then two
minutes of the hosts as they are, four with a page of 160 series in node_exporter's place (page.py), and the backlog.
Bytes are those of the agent's own connection as the kernel counts them (ss -tin: bytes sent, 52 of headers a segment),
reckoned to a day from there. The backlog is a day's readings of that page put into the agent's spool while the line is
cut (backlog.py); then the line comes back with 256 kbit/s up and the agent may use a quarter. Writes results.json and
the table in README.md, both beside this file.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from bench.on_lab import REPO, bench_lab, options_of, sh, wait, write
from bench.watch.backlog import DAY, fill
from tram.lab.lab import Lab

HERE = Path(__file__).parent
HUB = "trung-tam-hub1"
SITES = {"so-noi-vu-srv1": "fibre, Debian 13", "huong-khe-srv1": "ADSL, Debian 12"}
FUNCTIONS = {
    "trung-tam": ["hub_cache", "dns", "pki", "mail", "watch_hub", "watch_site"],
    "so-noi-vu": ["dns", "watch_site"],
    "huong-khe": ["watch_site"],
}
THIN_HOST, THIN_SITE, THIN_UP = "huong-khe-srv1", "huong-khe", 256_000
HEADERS = 52
SETTINGS = "/etc/tram-watch/agent.json"
PORT = 9101


def province(folder: Path) -> Path:
    """The lab's inventory with a hub, a department on Debian 13 and a commune on ADSL, all watched."""
    import shutil  # noqa: PLC0415

    inventory = folder / "lab"
    shutil.copytree(REPO / "inventories/lab", inventory, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (inventory / "sites").glob("*.yml"):
        if path.stem in FUNCTIONS:
            site = yaml.safe_load(path.read_text(encoding="utf-8"))
            site["hosts"] = [{**site["hosts"][0], "functions": FUNCTIONS[path.stem]}]
            site["hosts"][0] |= {"suite": "trixie"} if path.stem == "so-noi-vu" else {}
            path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
        else:
            path.unlink()
        if "mail" not in FUNCTIONS.get(path.stem, ()):
            (inventory / f"group_vars/site_{path.stem.replace('-', '_')}.yml").unlink(missing_ok=True)
    return inventory


def sent(lab: Lab, host: str) -> int:
    """Bytes on the line of the agent's connection so far."""
    told = sh(lab, host, "ss -Htin state established '( dport = :8444 )'")
    payload = sum(int(found) for found in re.findall(r"bytes_sent:(\d+)", told))
    return payload + HEADERS * sum(int(found) for found in re.findall(r"segs_out:(\d+)", told))


def said(lab: Lab, host: str) -> dict[str, Any]:
    """What the agent says of itself."""
    told: dict[str, Any] = json.loads(sh(lab, host, "cat /run/tram-watch/said.json"))
    return told


def series(lab: Lab, host: str) -> int:
    """How many series of the host came in the last two minutes."""
    query = f'count(count_over_time({{host="{host}",__name__!~"ALERTS.*|tram_register.*|tram:.*"}}[2m]) > 0)'
    found = sh(lab, HUB, f"curl -s http://127.0.0.1:8428/api/v1/query --data-urlencode 'query={query}'")
    rows = json.loads(found)["data"]["result"]
    return int(rows[0]["value"][1]) if rows else 0


def processes(lab: Lab, host: str) -> dict[str, tuple[int, float]]:
    """Resident kB and seconds of processor of what stays running."""
    found = {}
    for unit, name in (("tram-watch-agent", "agent"), ("prometheus-node-exporter", "node_exporter")):
        pid = sh(lab, host, f"systemctl show --property=MainPID --value {unit}")
        rss = int(sh(lab, host, f"awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status"))
        ticks = sh(lab, host, f"cut -d' ' -f14,15 /proc/{pid}/stat").split()
        found[name] = (rss, sum(map(int, ticks)) / 100)
    return found


def measured(lab: Lab, minutes: int) -> dict[str, Any]:
    """Some minutes of every site."""
    began = time.monotonic()
    before = {host: (sent(lab, host), said(lab, host)["requests"], processes(lab, host)) for host in SITES}
    wait("the window", lambda: time.monotonic() - began > minutes * 60, within=timedelta(minutes=minutes + 1))
    seconds = time.monotonic() - began
    rows: dict[str, Any] = {}
    for host, kind in SITES.items():
        line, requests, earlier = before[host]
        now = processes(lab, host)
        size = sent(lab, host) - line
        requests = said(lab, host)["requests"] - requests
        rows[host] = {
            "kind": kind,
            "seconds": round(seconds),
            "bytes": size,
            "requests": requests,
            "bytes_a_day": round(size / requests * DAY),
            "series": series(lab, host),
            "rss_kb": {name: rss for name, (rss, _cpu) in now.items()},
            "cpu_percent": round(sum(now[name][1] - earlier[name][1] for name in now) / seconds * 100, 2),
        }
    return rows


@contextmanager
def settings(lab: Lab, host: str, **other: Any) -> Iterator[None]:
    """The agent with other settings for a while."""
    path = Path(f"/proc/{lab.machines[host].init_pid()}/root{SETTINGS}")
    usual = path.read_text(encoding="utf-8")
    try:
        path.write_text(json.dumps(json.loads(usual) | other), encoding="utf-8")
        sh(lab, host, "systemctl restart tram-watch-agent")
        yield
    finally:
        path.write_text(usual, encoding="utf-8")
        sh(lab, host, "systemctl restart tram-watch-agent")


def full(lab: Lab) -> dict[str, Any]:
    """Some minutes with 160 series, on each kind of line."""
    program = (HERE / "page.py").read_text(encoding="utf-8")
    for host in SITES:
        Path(f"/proc/{lab.machines[host].init_pid()}/root/root/page.py").write_text(program, encoding="utf-8")
        sh(lab, host, f"systemd-run --quiet --collect --unit=bench-page python3 /root/page.py {PORT}")
    first, second = SITES
    try:
        with settings(lab, first, target=f"127.0.0.1:{PORT}"), settings(lab, second, target=f"127.0.0.1:{PORT}"):
            taken = time.time()
            for host in SITES:
                wait("two readings", lambda host=host: _requests(lab, host) >= 2, within=timedelta(minutes=3))  # type: ignore[misc]
            print(f"measuring 160 series, {time.time() - taken:.0f} s after the restart")
            return measured(lab, 4)
    finally:
        for host in SITES:
            sh(lab, host, "systemctl stop bench-page; rm -f /root/page.py")


def _requests(lab: Lab, host: str) -> int:
    told = sh(lab, host, "cat /run/tram-watch/said.json 2>/dev/null || echo '{\"requests\": 0}'")
    return int(json.loads(told)["requests"])


def backlog(lab: Lab) -> dict[str, Any]:
    """A day's readings over a quarter of a thin line."""
    link = next(site.link for site in lab.province.sites if site.code == THIN_SITE)
    assert link
    root = Path(f"/proc/{lab.machines[THIN_HOST].init_pid()}/root")
    lab.set_link(THIN_SITE, up_bps=THIN_UP)
    try:
        with settings(lab, THIN_HOST, bytes_per_second=THIN_UP // 32):
            lab.cut(THIN_SITE)
            sh(lab, THIN_HOST, "systemctl stop tram-watch-agent")
            kept = fill(root, time.time() - 3600)
            sh(lab, THIN_HOST, "systemctl start tram-watch-agent")
            began = time.monotonic()
            wait("a reading in the cut", lambda: time.monotonic() - began > 70, within=timedelta(minutes=2))
            lab.mend(THIN_SITE)
            mended, at = time.monotonic(), time.time() - 90
            wait("the live reading", lambda: said(lab, THIN_HOST)["taken"] / 1000 > at, within=timedelta(minutes=5))
            live = time.monotonic() - mended
            wait("nothing waits", lambda: said(lab, THIN_HOST)["pending"] == 0, within=timedelta(minutes=40))
            return {
                "readings": DAY,
                "disk_bytes": kept,
                "line_bytes": said(lab, THIN_HOST)["bytes"],
                "live_seconds": round(live, 1),
                "seconds": round(time.monotonic() - mended),
            }
    finally:
        lab.mend(THIN_SITE)
        lab.set_link(THIN_SITE, up_bps=link.up_bps)


def table(found: dict[str, Any]) -> str:
    """The results for people."""
    rows = [
        "| host | series each minute | measured | kB a day, reckoned from that | agent + node_exporter, MB RSS | CPU |",
        "|---|---|---|---|---|---|",
    ]
    for what, rows_of in (("as it is", found["usual"]), ("page of 160", found["full"])):
        for host, row in rows_of.items():
            rss = " + ".join(f"{kb / 1000:.0f}" for kb in row["rss_kb"].values())
            rows.append(
                f"| {host} ({row['kind']}), {what} | {row['series']} | {row['bytes'] / 1000:.1f} kB, {row['requests']} "
                f"requests in {row['seconds']} s | {row['bytes_a_day'] / 1000:.0f} | {rss} | {row['cpu_percent']} % |"
            )
    late = found["backlog"]
    rows.append("")
    rows.append(
        f"A day of 160 series ({late['readings']}, {late['disk_bytes'] / 1e6:.2f} MB in the spool) over a "
        f"quarter of 256 kbit/s: live {late['live_seconds']:.0f} s after the line's return, all of it after "
        f"{late['seconds'] / 60:.1f} min, {late['line_bytes'] / 1e6:.2f} MB on the line."
    )
    return "\n".join(rows)


def main() -> None:
    """Measure and write."""
    options = options_of(__doc__, lab="playbooks up to watch.yml applied")
    books = [f"playbooks/{book}.yml" for book in ("base", "pki", "dns", "mail", "watch")]
    with tempfile.TemporaryDirectory() as folder:
        if not options.lab:
            options.inventory = province(Path(folder))
        with bench_lab(options, "benchwatch", books) as lab:
            for host in SITES:
                wait("a reading", lambda host=host: _requests(lab, host) >= 2, within=timedelta(minutes=4))  # type: ignore[misc]
            write(HERE, found := {"usual": measured(lab, 2), "full": full(lab), "backlog": backlog(lab)}, table(found))


if __name__ == "__main__":
    main()
