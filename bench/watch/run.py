"""What the watch costs a site: bytes to the hub, memory of agent and node_exporter, a day's backlog over a thin line.

    .venv/bin/python -m bench.watch.run [--lab NAME --inventory DIR] [--keep]

Without --lab a lab of its own is made and given everything up to playbooks/watch.yml; its inventory must have a host
with the function watch_hub and others with watch_site (tests/stories/test_watch.py makes such a one). Bytes are those
of the agent's own connection as the kernel counts them (ss -tin: bytes sent, 52 of headers a segment), over four
minutes, reckoned to a day from there. The backlog is as many bytes as the agent sends in a day, pushed into its queue
while the line is cut; then the line comes back with 256 kbit/s up and the agent may use a quarter. Writes results.json
and the table in README.md, both beside this file.
"""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.on_lab import bench_lab, options_of, sh, wait, write
from tram.lab.lab import Lab

HERE = Path(__file__).parent
HUB = "trung-tam-hub1"
SITES = {"so-noi-vu-srv1": "fibre, Debian 13", "huong-khe-srv1": "ADSL, Debian 12"}
THIN_HOST, THIN_SITE, THIN_UP, USUAL_UP = "so-noi-vu-srv1", "so-noi-vu", 256_000, 30_000_000
QUARTER = THIN_UP // 8 // 4
HEADERS = 52
MINUTES = 4
DAY = 86400
AGENT = "http://127.0.0.1:8429"


def sent(lab: Lab, host: str) -> tuple[int, int]:
    """Bytes on the line and requests of the agent's connection so far."""
    said = sh(lab, host, "ss -Htin state established '( dport = :8444 )'")
    payload = sum(int(found) for found in re.findall(r"bytes_sent:(\d+)", said))
    segments = sum(int(found) for found in re.findall(r"segs_out:(\d+)", said))
    return payload + HEADERS * segments, int(metric(lab, host, "vmagent_remotewrite_requests_total"))


def metric(lab: Lab, host: str, name: str) -> float:
    """The sum of a metric of the agent's own."""
    return float(
        sh(lab, host, f"curl -s {AGENT}/metrics | awk '/^{name}[ {{]/ {{n += $NF}} END {{printf \"%d\", n + 0}}'")
    )


def series(lab: Lab, host: str) -> tuple[int, int]:
    """How many series of the host are at the hub, and how many of them come each minute."""
    query = f'{{host="{host}",__name__!~"ALERTS.*|tram_register.*|tram:.*|tram_bench.*"}}'
    counts = []
    for asked in (f"count({query})", f"count(count_over_time({query}[5m]) > 3)"):
        said = sh(lab, HUB, f"curl -s http://127.0.0.1:8428/api/v1/query --data-urlencode 'query={asked}'")
        found = json.loads(said)["data"]["result"]
        counts.append(int(found[0]["value"][1]) if found else 0)
    return counts[0], counts[1]


def memory(lab: Lab, host: str) -> dict[str, int]:
    """Resident kB of each process."""
    said = sh(lab, host, "ps -eo rss=,comm= | grep -E 'vmagent|prometheus-node'")
    return {line.split()[1]: int(line.split()[0]) for line in said.splitlines()}


def usual(lab: Lab) -> dict[str, Any]:
    """Some minutes as they are."""
    began = time.monotonic()
    before = {host: sent(lab, host) for host in SITES}
    wait("the window", lambda: time.monotonic() - began > MINUTES * 60, within=timedelta(minutes=MINUTES + 1))
    seconds = time.monotonic() - began
    rows: dict[str, Any] = {}
    for host, kind in SITES.items():
        now = sent(lab, host)
        every, fast = series(lab, host)
        rows[host] = {
            "kind": kind,
            "seconds": round(seconds),
            "bytes": now[0] - before[host][0],
            "bytes_a_day": round((now[0] - before[host][0]) / seconds * DAY),
            "requests": now[1] - before[host][1],
            "series": every,
            "series_each_minute": fast,
            "rss_kb": memory(lab, host),
        }
    return rows


def backlog(lab: Lab, wanted: float) -> dict[str, Any]:
    """As many bytes as a day has, over a quarter of a thin line."""
    drop = "/run/systemd/system/tram-watch-agent.service.d"
    sh(
        lab,
        THIN_HOST,
        f"mkdir -p {drop}; {{ echo '[Service]'; echo ExecStart=; systemctl cat tram-watch-agent | "
        f"sed -n '/^ExecStart=/,/[^\\\\]$/p' | sed 's/rateLimit=[0-9]*/rateLimit={QUARTER}/'; }} >{drop}/bench.conf; "
        "systemctl daemon-reload; systemctl restart tram-watch-agent",
    )
    try:
        lab.set_link(THIN_SITE, up_bps=THIN_UP)
        lab.cut(THIN_SITE)
        answers = ["curl", "--silent", "--fail", f"{AGENT}/health"]
        wait("the agent answers", lambda: lab.sh(THIN_HOST, answers).code == 0, within=timedelta(minutes=1))
        program = (HERE / "push.py").read_text(encoding="utf-8")
        put = ["sh", "-c", 'printf %s "$1" >/run/push.py', "-", program]
        assert lab.sh(THIN_HOST, put).code == 0
        scrapes = sh(lab, THIN_HOST, f"python3 /run/push.py {wanted}")
        wait("the queue is written", lambda: pending(lab) > 0, within=timedelta(minutes=2))
        waiting = pending(lab)
        lab.mend(THIN_SITE)
        mended = time.monotonic()
        wait("something is sent", lambda: pending(lab) < waiting * 0.98, within=timedelta(minutes=5))
        first = time.monotonic() - mended
        wait("the backlog is sent", lambda: pending(lab) < 20_000, within=timedelta(minutes=40))
        whole = time.monotonic() - mended
    finally:
        lab.mend(THIN_SITE)
        lab.set_link(THIN_SITE, up_bps=USUAL_UP)
        sh(lab, THIN_HOST, f"rm -r {drop} /run/push.py; systemctl daemon-reload; systemctl restart tram-watch-agent")
    return {"scrapes": int(scrapes), "bytes": round(waiting), "first_seconds": round(first), "seconds": round(whole)}


def pending(lab: Lab) -> float:
    """Bytes in the thin host's queue."""
    return metric(lab, THIN_HOST, "vmagent_remotewrite_pending_data_bytes")


def table(found: dict[str, Any]) -> str:
    """The results for people."""
    rows = [
        "| host | series (each minute) | measured | kB a day, reckoned from that | agent + node_exporter, MB RSS |",
        "|---|---|---|---|---|",
    ]
    for host, row in found["usual"].items():
        rss = " + ".join(f"{kb / 1000:.0f}" for _, kb in sorted(row["rss_kb"].items(), reverse=True))
        rows.append(
            f"| {host} ({row['kind']}) | {row['series']} ({row['series_each_minute']}) | {row['bytes'] / 1000:.1f} kB, "
            f"{row['requests']} requests in {row['seconds']} s | {row['bytes_a_day'] / 1000:.0f} | {rss} |"
        )
    late = found["backlog"]
    rows.append("")
    rows.append(
        f"A day's bytes of {THIN_HOST} ({late['bytes'] / 1e6:.2f} MB, {late['scrapes']} scrapes of 150 series pushed) "
        f"over a quarter of 256 kbit/s: first sent {late['first_seconds']} s after the line's return, all of it after "
        f"{late['seconds'] / 60:.1f} min."
    )
    return "\n".join(rows)


def main() -> None:
    """Measure and write."""
    options = options_of(__doc__, lab="playbooks up to watch.yml applied")
    books = [f"playbooks/{book}.yml" for book in ("base", "pki", "dns", "mail", "exporter", "watch")]
    with bench_lab(options, "benchwatch", books) as lab:
        found: dict[str, Any] = {"usual": usual(lab)}
        found["backlog"] = backlog(lab, found["usual"][THIN_HOST]["bytes_a_day"])
    write(HERE, found, table(found))


if __name__ == "__main__":
    main()
