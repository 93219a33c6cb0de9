"""What node_exporter of a site with everything says: 150 series that leave it, and how they change by the minute."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

READINGS = {
    "hardware": "smart md edac ext4 ioerr kernel_log hwmon rtc clock dmi ipmi_sensors ipmi_events ups history time",
    "link": "probe\\ hub tcp carrier dns outage history time",
    "mail": "queue journal history time",
    "antivirus": "signatures engine scan findings time",
    "certificate": "files",
}
EVERY = {"hardware": 2, "link": 1, "mail": 1, "antivirus": 2, "certificate": 60}
DISKS = [f"bus/0[megaraid,{number}]" for number in range(8)]
START = 1_790_000_000


Say = Callable[..., None]


def page(minute: int, start: int = START) -> str:
    """The page of a minute of a day that began at `start`; the same for the same minute, on every machine."""
    lines: list[str] = []

    def say(name: str, value: float, **labels: str) -> None:
        inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{inner}}} {value:.10g}" if inner else f"{name} {value:.10g}")

    for part in (_exporters, _hardware, _link, _mail, _services, _disks, _node):
        part(say, minute, start)
    return "\n".join(lines) + "\n"


def _exporters(say: Say, minute: int, start: int) -> None:
    for exporter, readings in READINGS.items():
        ran = start + 60 * (minute - minute % EVERY[exporter]) - 50
        say("tram_exporter_last_success_timestamp_seconds", ran, exporter=exporter)
        say("tram_exporter_success", 1, exporter=exporter)
        for reading in readings.replace("\\ ", "~").split():
            say("tram_exporter_readings_failed", 0, exporter=exporter, reading=reading.replace("~", " "))
        duration = random.Random(ran).uniform(0.05, 0.4)  # noqa: S311
        say("tram_exporter_duration_seconds", round(duration, 6), exporter=exporter)


def _hardware(say: Say, minute: int, _start: int) -> None:
    for number, disk in enumerate(DISKS):
        say("tram_disk_readable", 1, disk=disk)
        say("tram_disk_afr_ratio", 0.03, disk=disk)
        say("tram_disk_power_on_seconds", 3600.0 * (41_000 + 7 * number + minute // 60), disk=disk)
    say("tram_host_risk_ratio", 0.22)
    heat = random.Random(minute // 2)  # noqa: S311
    for core in range(8):
        say("tram_hardware_reading", 41 + heat.randrange(5), component="cpu", sensor=f"Core {core}", unit="celsius")
    for fan in range(6):
        rpm = 4200 + 60 * heat.randrange(8)
        say("tram_hardware_reading", rpm, component="fan", sensor=f"FAN{fan} RPM", unit="rpm")
    for number in range(8):
        say("tram_hardware_reading", 30 + heat.randrange(3), component="disk", sensor=DISKS[number], unit="celsius")


def _link(say: Say, minute: int, _start: int) -> None:
    dice = random.Random(minute)  # noqa: S311
    for quantile, base in (("0.5", 0.041), ("0.95", 0.068)):
        say("tram_link_rtt_seconds", round(dice.gauss(base, 0.002), 6), target="hub", quantile=quantile)
    say("tram_link_jitter_seconds", round(dice.uniform(0.001, 0.009), 6), target="hub")
    say("tram_link_loss_ratio", dice.choice([0, 0, 0, 1 / 15]), target="hub")
    say("tram_link_up", 1, target="hub")
    say("tram_link_bufferbloat_seconds", round(dice.uniform(0.0, 0.03), 6))
    say("tram_link_path_mtu_bytes", 1492, target="hub")
    say("tram_link_dns_seconds", round(dice.uniform(0.0004, 0.002), 6))
    say("tram_link_carrier_changes_total", 2, device="eth0")
    for cause, seconds in (("link", 4211.5), ("power", 912.0), ("host", 60.0), ("unknown", 0.0)):
        say("tram_link_outage_seconds_total", seconds, cause=cause)


def _mail(say: Say, minute: int, _start: int) -> None:
    dice = random.Random(minute)  # noqa: S311
    waiting = dice.choice([0, 0, 0, 1, 2])
    say("tram_mail_queue_messages", waiting)
    say("tram_mail_queue_oldest_seconds", waiting * dice.randrange(5, 200))
    say("tram_mail_received_total", 40_000 + minute // 3)
    say("tram_mail_sent_total", 41_000 + minute // 3)
    for number, reason in enumerate(("content", "later", "policy", "recipient_unknown")):
        say("tram_mail_rejected_total", 100 * number + minute // (20 + number), reason=reason)


def _services(say: Say, _minute: int, start: int) -> None:
    for number, name in enumerate(("main", "daily", "bytecode", "province")):
        say("tram_antivirus_signatures_timestamp_seconds", start - 86400.0 * (number + 1), set=name)
    say("tram_antivirus_engine_up", 1)
    say("tram_antivirus_last_scan_timestamp_seconds", start - 7200.0)
    for state in ("quarantined", "reported"):
        say("tram_antivirus_findings", 0, state=state)
    for number, name in enumerate(("mail", "accounts", "documents", "directory")):
        say("tram_backup_last_success_timestamp_seconds", start - 3600.0 - number, service=name)
        say("tram_backup_size_bytes", 3.2e9 + number, service=name)
    for file in ("host-chain.crt", "ca.crt"):
        say("tram_certificate_expires_timestamp_seconds", start + 7e6, file=file)


def _disks(say: Say, minute: int, _start: int) -> None:
    for mount, size in (("/", 5.3e10), ("/var", 4.1e11), ("/boot", 5e8)):
        used = 0.3 + (minute % 977) / 97_000
        labels = {"device": f"/dev/mapper/vg-{len(mount)}", "mountpoint": mount}
        say("node_filesystem_avail_bytes", 4096 * round(size * (1 - used) / 4096), **labels)
        say("node_filesystem_size_bytes", size, **labels)
        say("node_filesystem_files_free", 3_000_000 - minute // 5, **labels)
        say("node_filesystem_readonly", 0, **labels)
    for state, count in (("active", 2), ("failed", 0), ("spare", 0)):
        say("node_md_disks", count, device="md0", state=state)
    for state in ("active", "inactive", "recovering", "resync"):
        say("node_md_state", int(state == "active"), device="md0", state=state)


def _node(say: Say, minute: int, start: int) -> None:
    dice = random.Random(minute)  # noqa: S311
    say("node_load1", round(dice.uniform(0, 1.5), 2))
    say("node_boot_time_seconds", start - 4e6)
    say("node_memory_MemTotal_bytes", 8_348_971_008)
    say("node_memory_MemAvailable_bytes", 4096 * dice.randrange(1_000_000, 1_200_000))
    say("node_memory_SwapFree_bytes", 1_073_737_728)
    say("node_timex_offset_seconds", round(dice.gauss(0, 1e-5), 9))
    say("node_timex_sync_status", 1)
    say("node_textfile_scrape_error", 0)


def serve(port: int) -> None:
    """Stand for node_exporter on the loopback."""

    class Taker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page(int(time.time()) // 60 % 100_000).encode())

        def log_message(self, *_: object) -> None:
            pass

    HTTPServer(("127.0.0.1", port), Taker).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
