"""A province of any size, as a register's folder and as what its hosts tell: the board's benchmark and pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from ruamel.yaml import YAML

NETWORK = IPv4Network("198.18.0.0/15")  # for benchmarks: RFC 2544
EXPORTERS = ("link", "hardware", "mail", "antivirus", "documents", "baseline", "backup")
NAMES = ("Bình", "An", "Phú", "Tân", "Long", "Hòa", "Thạnh", "Mỹ", "Sơn", "Lộc", "Xuân", "Thanh", "Đông", "Tây")
_NODE = (
    *("node_load1", "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", "node_boot_time_seconds"),
    *("node_time_seconds", "node_context_switches_total", "node_intr_total", "node_forks_total", "node_procs_running"),
)


def write_register(folder: Path, sites: int) -> None:
    """A hub, 20 departments and communes below them, each with a place on the map."""
    chance = random.Random(7)  # noqa: S311 the same province each time
    yaml = YAML()
    (folder / "sites").mkdir(parents=True)
    tiers = {
        "province": {"order": 1, "name_vi": "Cấp tỉnh", "name_en": "Province"},
        "department": {"order": 2, "name_vi": "Sở, ban, ngành", "name_en": "Department"},
        "commune": {"order": 3, "name_vi": "Cấp xã", "name_en": "Commune"},
    }
    line = {
        "provider": "Nhà mạng A",
        "kind": "FTTH",
        "down": "12 Mbit/s",
        "up": "6 Mbit/s",
        "rtt": "10 ms",
        "loss": "0.1 %",
    }
    slow = {
        "provider": "Nhà mạng B",
        "kind": "ADSL",
        "down": "4 Mbit/s",
        "up": "512 kbit/s",
        "rtt": "60 ms",
        "loss": "0.5 %",
    }
    words = {"code": "lon", "name": "Tỉnh lớn", "domain": "lon.example", "hub": "trung-tam"}
    province = {**words, "tiers": tiers, "link_classes": {"ftth": line, "adsl": slow}}
    yaml.dump(province, folder / "province.yml")
    networks = NETWORK.subnets(new_prefix=29)
    for number in range(sites):
        network = next(networks)
        yaml.dump(_site(number, network, chance), folder / "sites" / f"{_code(number)}.yml")


def _code(number: int) -> str:
    return "trung-tam" if number == 0 else f"so-{number:03}" if number <= 20 else f"xa-{number:03}"


def _site(number: int, network: IPv4Network, chance: random.Random) -> dict[str, object]:
    host = {
        "name": "srv1",
        "address": str(IPv4Address(int(network.network_address) + 2)),
        "year": chance.randint(2005, 2012),
        "model": "HP ProLiant ML150 G3",
        "ram_mb": 2048,
        "cores": 2,
        "functions": ["antivirus", "mail", "backup"],
    }
    site: dict[str, object] = {"code": _code(number), "network": str(network), "hosts": [host]}
    if number == 0:
        return {**site, "name": "Trung tâm Công nghệ thông tin", "tier": "province", "board": {"x": 50, "y": 10}}
    tier, kind = ("department", "Sở") if number <= 20 else ("commune", "Xã")
    parent = "trung-tam" if number <= 20 else _code(1 + number % 20)
    name = f"{kind} {chance.choice(NAMES)} {chance.choice(NAMES)} {number}"
    place = {"x": chance.randint(0, 100), "y": chance.randint(0, 100)}
    link = {"class": "adsl" if number % 3 == 0 else "ftth"}
    return {**site, "name": name, "tier": tier, "parent": parent, "board": place, "link": link}


def page_of(number: int, agency: str, now: float, series: int) -> str:
    """What a site's host tells at `now`, in Prometheus' text format: exactly `series` lines, a few sites in trouble."""
    lines = list(_told(number, agency, now))
    lines += [f'node_filler{{n="{n}"}} {(now + n) % 997:.0f}' for n in range(series - len(lines))]
    return "\n".join(lines[:series]) + "\n"


def silent(number: int) -> bool:
    """Whether nothing comes of a site: one department with those below it, and a few more."""
    return number == 7 or (number > 20 and 1 + number % 20 == 7) or number % 97 == 5


def _told(number: int, agency: str, now: float) -> Iterator[str]:
    bad, ill = number % 41 == 3, number % 13 == 4
    for name in EXPORTERS:
        yield f'tram_exporter_last_success_timestamp_seconds{{exporter="{name}"}} {now - 20:.0f}'
        yield f'tram_exporter_success{{exporter="{name}"}} 1'
        yield f'tram_exporter_duration_seconds{{exporter="{name}"}} 0.1'
    rtt = 0.011 if number % 3 else 0.06
    yield 'tram_link_up{target="hub"} 1'
    yield f'tram_link_loss_ratio{{target="hub"}} {0.3 if bad else 0.002}'
    for quantile, factor in (("0.5", 1.0), ("0.95", 1.4)):
        yield f'tram_link_rtt_seconds{{target="hub",quantile="{quantile}"}} {rtt * factor:.4f}'
    for cause in ("link", "power", "host", "unknown"):
        yield f'tram_link_outage_seconds_total{{cause="{cause}"}} {number * 7 % 5000}'
    yield f"tram_host_risk_ratio {0.35 if bad else 0.15 if ill else 0.03}"
    yield f'tram_hardware_flag_ratio{{component="disk",signal="smart_187",disk="sda"}} {0.3 if bad else 0.03}'
    for disk in ("sda", "sdb"):
        yield f'tram_disk_readable{{disk="{disk}"}} 1'
        yield f'tram_disk_afr_ratio{{disk="{disk}"}} 0.03'
        yield f'tram_disk_power_on_seconds{{disk="{disk}"}} {3600 * (40000 + number)}'
    for mount in ("/", "/var"):
        yield f'node_filesystem_avail_bytes{{mountpoint="{mount}"}} {(2 if ill else 40) * 10**9}'
        yield f'node_filesystem_size_bytes{{mountpoint="{mount}"}} {8 * 10**10}'
    yield f"tram_mail_queue_messages {number % 9}"
    yield f"tram_mail_queue_oldest_seconds {9000 if ill else 30}"
    yield "tram_antivirus_engine_up 1"
    for name in ("main", "daily", "province"):
        yield f'tram_antivirus_signatures_timestamp_seconds{{set="{name}"}} {now - (3 * 86400 if bad else 4000):.0f}'
    for result, count in (("pass", 80), ("fail", 3 if ill else 0), ("unknown", 0), ("waived", 2), ("expired", 0)):
        yield f'tram_baseline_controls{{result="{result}"}} {count}'
    yield "tram_baseline_drift 0"
    yield f"tram_baseline_audited_timestamp_seconds {now - 80000:.0f}"
    yield f'tram_backup_last_success_timestamp_seconds{{service="mail"}} {now - 7200:.0f}'
    yield f"tram_backup_last_restore_proof_timestamp_seconds {now - 86400 * (1 + number % 28):.0f}"
    yield f"tram_delivery_last_done_timestamp_seconds {now - 86400:.0f}"
    for stage, share in (("people", 40), ("issued", 38), ("activated", 30), ("used", 24), ("sent", 20)):
        yield f'tram_accounts{{agency="{agency}",stage="{stage}"}} {share - number % 7}'
    for name in _NODE:
        yield f"{name} {now % 100000:.0f}"
