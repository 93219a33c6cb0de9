"""The outside judges of a host's hardening, from Debian's archive: installed on the host, run there, told as figures.

None of them is needed by anything else here: they come, judge and stay on lab hosts only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from scap import (
    PREFIX,
    PROFILES,
    Verdict,
    container_lynis,
    dependent,
    read_results,
    selections,
    tailoring,
    tailoring_file,
)

from tram.lab.lab import Lab

# linux-base: without it OpenSCAP calls every rule about the kernel "not applicable", and says so nowhere.
TOOLS = ("lynis", "ssh-audit", "nmap", "openscap-scanner", "linux-base")
_LONG = timedelta(minutes=20)
_UDP = "53,67,69,111,123,137,161,323,500,514,623,631,1900,4500,5353,11211"


@dataclass(frozen=True, slots=True)
class Lynis:
    """Lynis' own hardening index (of 100), the same without the tests a container cannot meet, what it warns of and
    suggests."""

    version: str
    index: int
    fair: int
    warnings: list[str]
    suggestions: list[str]


@dataclass(frozen=True, slots=True)
class SshAudit:
    """Findings of ssh-audit about the algorithms sshd offers: `fail` and `warn`, each as `algorithm: why`."""

    version: str
    fail: list[str]
    warn: list[str]


def install(lab: Lab, host: str) -> None:
    """Put the judges on a host, from Debian's archive by the way the host itself installs (the hub's cache)."""
    said = lab.sh(
        host,
        ["sh", "-c", f"apt-get -q update && apt-get -q -y install --no-install-recommends {' '.join(TOOLS)}"],
        timeout=_LONG,
    )
    if said.code != 0:
        raise SystemExit(f"{host}: the judges cannot be installed: {said.stdout[-500:]}{said.stderr[-500:]}")


def lynis(lab: Lab, host: str) -> Lynis:
    """Audit the whole system; `--quick` only means that nobody is asked to press a key."""
    lab.sh(host, ["lynis", "audit", "system", "--quick", "--quiet", "--no-colors"], timeout=_LONG)
    report = lab.sh(host, ["cat", "/var/log/lynis-report.dat"]).stdout
    rows = [line.split("=", 1) for line in report.splitlines() if "=" in line]
    plain = dict(rows)
    return Lynis(
        version=plain["lynis_version"],
        index=int(plain["hardening_index"]),
        fair=fair_index(lab.sh(host, ["cat", "/var/log/lynis.log"]).stdout),
        warnings=[value for name, value in rows if name == "warning[]"],
        suggestions=[value for name, value in rows if name == "suggestion[]"],
    )


def fair_index(log: str) -> int:
    """Lynis' index from its log, counted as Lynis does, but for the tests a container cannot meet, passed or failed."""
    left_out = container_lynis()
    test = key = ""
    points = most = 0
    for line in log.splitlines():
        if began := re.search(r"Performing test ID (\S+)", line):
            test, key = began[1], ""
        elif about := re.search(r"Result: sysctl key (\S+)", line):
            key = about[1]
        elif given := re.search(r"assigned partial number of hardening points \((\d+) of (\d+)\)", line):
            if left_out.isdisjoint({test, f"{test}:{key}"}):
                points, most = points + int(given[1]), most + int(given[2])
        elif (
            given := re.search(r"assigned maximum number of hardening points for this item \((\d+)\)", line)
        ) and left_out.isdisjoint({test, f"{test}:{key}"}):
            points, most = points + int(given[1]), most + int(given[1])
    return points * 100 // most if most else 0


def ssh_audit(lab: Lab, host: str) -> SshAudit:
    """From the host itself, against the address it has on the network: the same handshake as from outside."""
    address = next(one.address for site in lab.province.sites for one in site.hosts if one.inventory_name == host)
    found: dict[str, list[str]] = {"fail": [], "warn": []}
    algorithm = ""
    for line in lab.sh(host, ["ssh-audit", "-n", str(address)]).stdout.splitlines():
        if named := re.match(r"\((?:kex|key|enc|mac)\) (\S+)", line):
            algorithm = named[1]
        if told := re.search(r"-- \[(fail|warn)\] (.*)$|`- \[(fail|warn)\] (.*)$", line):
            found[told[1] or told[3]].append(f"{algorithm}: {told[2] or told[4]}")
    version = lab.sh(host, ["dpkg-query", "-W", "-f", "${Version}", "ssh-audit"]).stdout
    return SshAudit(version, found["fail"], found["warn"])


def open_ports(lab: Lab, seen_from: str, host: str) -> dict[str, list[int]]:
    """What nmap finds open on a host from another one: every TCP port, and the UDP ports that betray a service."""
    address = next(one.address for site in lab.province.sites for one in site.hosts if one.inventory_name == host)
    found: dict[str, list[int]] = {}
    quick = ["-n", "-Pn", "-oG", "-", "--max-retries", "2"]
    for name, words in (("tcp", ["-sS", "-p-", "--min-rate", "1500"]), ("udp", ["-sU", "-p", _UDP])):
        said = lab.sh(seen_from, ["nmap", *quick, *words, str(address)], timeout=_LONG).stdout
        found[name] = sorted(int(port) for port in re.findall(rf"(\d+)/open/{name}", said))
    return found


def archive_content(lab: Lab, hosts: Mapping[str, str]) -> tuple[str, dict[str, Path]]:
    """Name and datastreams by suite of Debian's own content, from the host with the newest suite (`hosts` by suite).

    Debian 13's package has Debian 12's ANSSI profiles; it has no CIS ones, and none for Debian 13 itself.
    """
    newest = hosts[max(hosts, key=["bookworm", "trixie"].index)]
    install_it = (
        "apt-get -q -y install --no-install-recommends ssg-debian >&2 && dpkg-query -W -f '${Version}' ssg-debian"
    )
    version = lab.sh(newest, ["sh", "-c", install_it], timeout=_LONG).stdout
    root = Path(f"/proc/{lab.machine(newest).init_pid()}/root/usr/share/xml/scap/ssg/content")
    return f"Debian's ssg-debian {version}", found_content(root)


def found_content(directory: Path) -> dict[str, Path]:
    """Datastreams by suite in a directory."""
    names = {"bookworm": "ssg-debian12-ds.xml", "trixie": "ssg-debian13-ds.xml"}
    return {suite: directory / name for suite, name in names.items() if (directory / name).is_file()}


def content_version(datastream: Path) -> str:
    """What the content calls itself."""
    found = re.search(r":version update=[^>]*>([^<]+)<", datastream.read_text(encoding="utf-8"))
    return found[1] if found else "of unknown version"


def open_scap(lab: Lab, host: str, datastream: Path) -> dict[str, Verdict]:
    """Those of the four profiles that the content has, judged on the host as root.

    A profile whose rules and values are all in one that was judged is read from that one's results: it saves minutes.
    """
    there = Path(f"/proc/{lab.machine(host).init_pid()}/root/root")
    text = datastream.read_text(encoding="utf-8")
    (there / "ds.xml").write_text(text, encoding="utf-8")
    known = selections(text)
    found: dict[str, Verdict] = {}
    for profile in sorted(known, key=lambda name: len(known[name][0]), reverse=True):
        rules, values = known[profile]
        wider = next((name for name in found if rules <= known[name][0] and values <= known[name][1]), None)
        if wider:
            results = found[wider].results
            found[profile] = Verdict({rule: said for rule, said in results.items() if rule in rules})
            continue
        words = ["nice", "oscap", "xccdf", "eval", "--profile", f"{PREFIX}profile_{profile}"]
        said = lab.sh(host, [*words, "--results", "/root/results.xml", "/root/ds.xml"], timeout=_LONG)
        if said.code not in (0, 2):  # 2: some rule failed
            raise SystemExit(f"{host}: oscap {profile}: {said.stderr[-500:]}")
        found[profile] = read_results((there / "results.xml").read_text(encoding="utf-8"))
    return {name: found[name] for name in PROFILES if name in found}


def tailored(lab: Lab, host: str, datastream: Path, verdicts: Mapping[str, Verdict]) -> dict[str, dict[str, str]]:
    """By profile: the rules that hang on a value of tailoring.yml, judged with that value. After `open_scap`."""
    there = Path(f"/proc/{lab.machine(host).init_pid()}/root/root")
    (there / "tailoring.xml").write_text(tailoring_file("/root/ds.xml", verdicts), encoding="utf-8")
    rules = dependent(datastream.read_text(encoding="utf-8"), tailoring()["values"])
    found = {}
    for profile, verdict in verdicts.items():
        asked = sorted(rules & set(verdict.results))
        if not asked:
            continue
        words = ["oscap", "xccdf", "eval", "--tailoring-file", "/root/tailoring.xml"]
        words += ["--profile", f"xccdf_tram_profile_{profile}", *(f"--rule={PREFIX}rule_{rule}" for rule in asked)]
        said = lab.sh(host, [*words, "--results", "/root/results.xml", "/root/ds.xml"], timeout=_LONG)
        if said.code not in (0, 2):
            raise SystemExit(f"{host}: oscap {profile}, tailored: {said.stderr[-500:]}")
        results = read_results((there / "results.xml").read_text(encoding="utf-8")).results
        found[profile] = {rule: results[rule] for rule in asked}
    return found


def exposures(lab: Lab, host: str) -> dict[str, float]:
    """`systemd-analyze security` of each service that runs: 0 is shut in, 10 may do everything."""
    listed = ["systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend", "--no-pager"]
    running = {line.split()[0] for line in lab.sh(host, listed).stdout.splitlines() if line.strip()}
    said = json.loads(lab.sh(host, ["systemd-analyze", "security", "--no-pager", "--json=short"]).stdout)
    return {row["unit"]: float(row["exposure"]) for row in said if row["unit"] in running}


def judge(lab: Lab, host: str, neighbour: str, datastream: Path | None) -> dict[str, Any]:
    """Everything about one host, as results.json keeps it; `neighbour` is whom nmap looks from."""
    verdicts = open_scap(lab, host, datastream) if datastream else {}
    fitted = tailored(lab, host, datastream, verdicts) if datastream else {}
    lab.sh(host, ["rm", "-f", "/root/ds.xml", "/root/results.xml", "/root/tailoring.xml"])
    return {
        "lynis": asdict(lynis(lab, host)),
        "ssh_audit": asdict(ssh_audit(lab, host)),
        "open_ports": open_ports(lab, neighbour, host),
        "exposure": exposures(lab, host),
        "openscap": {name: dict(verdict.results) for name, verdict in verdicts.items()},
        "openscap_tailored": fitted,
    }
