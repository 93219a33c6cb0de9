"""Bytes on the line for the same 1,000 records: rsyslog with RELP over TLS, systemd-journal-upload, tram-log.

    .venv/bin/python -m bench.logs.run [--lab NAME --inventory DIR] [--keep]

Without --lab a lab of its own is made, taken over and given roles base and pki. Records are real ones of the far host's
journal, logged again; bytes are those of its network interface, both ways, with all headers. `burst` is 1,000 at once
(what happens after a line was cut), `live` is 20 times 10 with 6 seconds between (what happens on a usual day),
counted to 1,000. Writes results.json and the table in README.md, both beside this file.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.on_lab import REPO, bench_lab, options_of, sh, wait, write
from tram.lab.lab import Lab

HERE = Path(__file__).parent
PATIENCE = timedelta(minutes=3)
SITE, HUB, HUB_NAME, ADDRESS = "huong-khe-srv1", "trung-tam-hub1", "hub1.tinh.example", "192.0.2.10"
TLS = {"key": "/etc/ssl/tram/host.key", "chain": "/etc/ssl/tram/host-chain.crt", "ca": "/etc/ssl/tram/ca.crt"}
PACKAGES = "rsyslog rsyslog-relp rsyslog-gnutls systemd-journal-remote"
PROGRAM = REPO / "roles/audit_log/files/tram-log"
RELP = """tls="on" tls.caCert="{ca}" tls.myCert="{chain}" tls.myPrivKey="{key}" tls.authMode="name"
  tls.permittedPeer=["{peer}"]"""


@dataclass(frozen=True, slots=True)
class Transport:
    """A way records go: how each end is set up, where they are found, how it is taken away."""

    name: str
    hub: str
    site: str
    count: str
    stop: str


def relp() -> Transport:
    """Rsyslog on both ends."""
    there = RELP.format(**TLS, peer="*.huong-khe.tinh.example")
    here = RELP.format(**TLS, peer=HUB_NAME)
    hub = f"""cat >/etc/rsyslog.d/bench.conf <<'END'
module(load="imrelp")
ruleset(name="bench") {{ action(type="omfile" file="/var/log/bench-relp.log") }}
input(type="imrelp" port="2514" ruleset="bench" {there})
END
systemctl restart rsyslog"""
    site = f"""cat >/etc/rsyslog.d/bench.conf <<'END'
module(load="omrelp")
if ($programname == "bench") then {{ action(type="omrelp" target="{HUB_NAME}" port="2514" {here}) stop }}
END
systemctl restart rsyslog"""
    stop = "rm -f /etc/rsyslog.d/bench.conf; systemctl restart rsyslog"
    return Transport("rsyslog, RELP over TLS", hub, site, "grep -c WORD /var/log/bench-relp.log", stop)


def upload() -> Transport:
    """Systemd's own: everything there is in the journal. Debian 12's receiver knows no --trust: it believes anybody."""
    lib = "/usr/lib/systemd"
    hub = f"""mkdir -p /var/log/bench
    systemd-run -q --unit bench-remote {lib}/systemd-journal-remote --listen-https=19532 \
      --key={TLS["key"]} --cert={TLS["chain"]} --output=/var/log/bench --split-mode=host"""
    site = f"""cursor=$(journalctl -n 1 --show-cursor -q | sed -n 's/^-- cursor: //p')
    systemd-run -q --unit bench-upload {lib}/systemd-journal-upload --url=https://{HUB_NAME}:19532 --key={TLS["key"]} \
      --cert={TLS["chain"]} --trust={TLS["ca"]} --after-cursor="$cursor" """
    count = "journalctl -q --directory=/var/log/bench -o cat | grep -c WORD"
    return Transport("systemd-journal-upload", hub, site, count, "systemctl stop bench-remote bench-upload 2>/dev/null")


def ours() -> Transport:
    """The program of role audit_log, with the role's defaults."""
    tls = " ".join(f"--{name} {path}" for name, path in TLS.items())
    hub = f"""rm -rf /run/bench-logs; mkdir /run/bench-logs
    systemd-run -q --unit bench-receive python3 -B /run/bench/receive.py --address {ADDRESS} --port 6515 {tls} \
      --directory /run/bench-logs --max-bytes 1000000000 --keep-free-bytes 0"""
    site = f"""mkdir -p /run/bench-state
    systemd-run -q --unit bench-send python3 -B /run/bench/send.py --hub {HUB_NAME} --address {ADDRESS} \
      --port 6515 {tls} --state /run/bench-state --severity 0 --identifier bench --first-seconds 1"""
    count = "cat /run/bench-logs/*/*.log 2>/dev/null | grep -c WORD"
    return Transport("tram-log", hub, site, count, "systemctl stop bench-receive bench-send 2>/dev/null")


def main() -> None:
    """Measure, write, take down."""
    books = ["playbooks/base.yml", "playbooks/pki.yml"]
    with bench_lab(options_of(__doc__, lab="base and pki"), "benchlogs", books) as lab:
        results = measure(lab)
    table = ["| | burst | live |", "|---|---|---|"]
    table += [f"| {name} | {row['burst']:,} | {row['live']:,} |" for name, row in results["bytes"].items()]
    write(HERE, results, "\n".join(table))


def measure(lab: Lab) -> dict[str, dict[str, Any]]:
    """Bytes of each transport, for 1,000 records."""
    for host in (HUB, SITE):
        sh(
            lab,
            host,
            f"DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends {PACKAGES} >/dev/null",
        )
        sh(lab, host, "mkdir -p /run/bench")
        for file in PROGRAM.glob("*.py"):
            sh(lab, host, f"cat >/run/bench/{file.name} <<'END_OF_FILE'\n{file.read_text()}END_OF_FILE\n")
    # Real records: what logins, sudo, cron and daemons of this host wrote, in their mixture.
    sh(lab, SITE, "journalctl -q -o cat -p info | grep -v '^$' | cut -c1-1000 | tail -n 1000 >/run/bench/real")
    have = int(sh(lab, SITE, "wc -l </run/bench/real"))
    sh(lab, SITE, "cd /run/bench; while [ $(wc -l <real) -lt 1000 ]; do cat real real >r; head -n 1000 r >real; done")
    found: dict[str, dict[str, int]] = {}
    for transport in (relp(), upload(), ours()):
        sh(lab, HUB, transport.hub)
        sh(lab, SITE, transport.site)
        time.sleep(8)
        burst = one(lab, transport, f"b{int(time.time())}", (1, 1000, 0))
        live = one(lab, transport, f"l{int(time.time())}", (20, 10, 6))
        for host in (SITE, HUB):
            sh(lab, host, transport.stop + "; true")
        found[transport.name] = {"burst": burst, "live": live * 5}
        print(transport.name, found[transport.name], flush=True)
    size = int(sh(lab, SITE, "wc -c </run/bench/real"))
    return {"records": {"bytes": size, "different": have}, "bytes": found}


def one(lab: Lab, transport: Transport, word: str, how: tuple[int, int, float]) -> int:
    """Log so many records so many times; the bytes until all are at the hub."""
    times, lines, pause = how
    began = counted(lab)
    for turn in range(times):
        part = f"head -n {(turn + 1) * lines} /run/bench/real | tail -n {lines} | sed 's/^/{word} /'"
        sh(lab, SITE, f"{part} | logger -p authpriv.notice -t bench")
        time.sleep(pause)
    wanted = times * lines
    count = f"{transport.count.replace('WORD', word)} || true"
    wait(f"{transport.name}: {wanted} records", lambda: int(sh(lab, HUB, count) or 0) >= wanted, within=PATIENCE)
    time.sleep(2)
    return counted(lab) - began


def counted(lab: Lab) -> int:
    """Bytes of the far host's interface so far, both ways."""
    links = json.loads(sh(lab, SITE, "ip -j -s link"))
    return sum(link["stats64"][way]["bytes"] for link in links if link["ifname"] != "lo" for way in ("rx", "tx"))


if __name__ == "__main__":
    main()
