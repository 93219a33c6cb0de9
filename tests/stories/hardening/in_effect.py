"""Run on a host as root: a JSON list of what runs otherwise than the disk says. Standard library only.

It shares nothing with the roles and asks the running things themselves: sshd what it offers in a handshake, the kernel
its values and its ruleset (against the file, loaded in a network namespace of its own), systemd what it has read and
when each service started.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Daemons that read files of their own when they start; systemd knows nothing of those.
READS = {
    "rsyslog.service": ["rsyslog.conf", "rsyslog.d/*"],
    "fail2ban.service": ["fail2ban/*.local", "fail2ban/jail.d/*", "fail2ban/filter.d/*.local"],
    "chrony.service": ["chrony/chrony.conf", "chrony/conf.d/*"],
    "systemd-journald.service": ["systemd/journald.conf", "systemd/journald.conf.d/*"],
}
RULESET = Path("/etc/nftables.conf")
SLACK = 1.0  # seconds: systemd tells times in whole ones


def out(*argv: str) -> str:
    """What a program prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def sshd() -> Iterator[str]:
    """What is offered to a client against `sshd -T`."""
    told = dict(line.split(" ", 1) for line in out("/usr/sbin/sshd", "-T").splitlines() if " " in line)
    if not told:
        yield "sshd -T refuses the files"
        return
    names = ("kexalgorithms", "hostkeyalgorithms", None, "ciphers", None, "macs")  # order of RFC 4253, 7.1
    offered = handshake(int(told["port"]))
    if not offered:
        yield "sshd answers nobody"
    for name, algorithms in zip(names, offered, strict=False):
        if name is None:
            continue
        real = [one for one in algorithms if not one.startswith(("ext-info", "kex-strict"))]
        disk = told[name].split(",")
        # Of host keys sshd offers those it has a key for.
        if not set(real) <= set(disk) if name == "hostkeyalgorithms" else real != disk:
            yield f"sshd {name}: offers {','.join(real)}, the files say {','.join(disk)}"


def handshake(port: int) -> list[list[str]]:
    """The six first lists of sshd's KEXINIT; none when it does not speak."""
    lists: list[list[str]] = []
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as wire, wire.makefile("rb") as stream:
            while not (line := stream.readline()).startswith(b"SSH-"):
                if not line:
                    return []
            wire.sendall(b"SSH-2.0-OpenSSH_look\r\n")
            length, padding = struct.unpack(">IB", stream.read(5))
            packet = stream.read(length - 1)[17 : length - 1 - padding]
            for _ in range(6):
                (size,) = struct.unpack(">I", packet[:4])
                lists.append(packet[4 : 4 + size].decode().split(","))
                packet = packet[4 + size :]
    except (OSError, struct.error):
        return []
    return lists


def sysctl() -> Iterator[str]:
    """Each value that a file of ours sets, as systemd would merge all files, against the kernel's."""
    ours = {key for file in Path("/etc/sysctl.d").glob("*tram*") for key, _ in assignments(file)}
    files: dict[str, Path] = {}
    for folder in ("/usr/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"):
        files.update({file.name: file for file in Path(folder).glob("*.conf")})
    asked: dict[str, str] = {}
    for _, file in sorted(files.items()):
        asked.update(assignments(file))
    for key in sorted(ours & set(asked)):
        try:
            now = Path("/proc/sys", key).read_text(encoding="utf-8").split()
        except OSError:
            continue
        if now != asked[key].split():
            yield f"sysctl {key}: {' '.join(now)}, the files say {asked[key]}"


def assignments(file: Path) -> list[tuple[str, str]]:
    """Keys (as paths) and values of one file."""
    if not file.is_file():
        return []
    lines = [line.strip().lstrip("-") for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    pairs = [line.split("=", 1) for line in lines if "=" in line and line[0] not in "#;"]
    return [(key.strip().replace(".", "/"), value.strip()) for key, value in pairs]


def firewall() -> Iterator[str]:
    """The tables of the ruleset's file, loaded where nobody else is, against the same tables in the kernel."""
    if not RULESET.is_file():
        return
    said = out("unshare", "-n", "sh", "-c", f"nft -f {RULESET} && nft -j list ruleset")
    if not said:
        yield f"nft refuses {RULESET}"
        return
    disk, real = rows_of(said), rows_of(out("nft", "-j", "list", "ruleset"))
    yield from (f"{name}: the kernel's is another than the file's" for name in disk if disk[name] != real.get(name))


def rows_of(text: str) -> dict[str, list[str]]:
    """By table: its chains, sets and rules, without what the kernel counts or numbers."""
    found: dict[str, list[str]] = {}
    for row in json.loads(text)["nftables"]:
        (kind, body), *_ = row.items()
        if kind == "metainfo":
            continue
        if {"dynamic", "timeout"} & set(body.get("flags") or []):
            body = {**body, "elem": []}
        table = body["name"] if kind == "table" else body.get("table")
        found.setdefault(f"table {body.get('family')} {table}", []).append(json.dumps(bare(body), sort_keys=True))
    return found


def bare(value: object) -> object:
    """Without handles and counts."""
    if isinstance(value, dict):
        counted = ("handle", "index", "packets", "bytes", "used")
        return {key: bare(one) for key, one in value.items() if key not in counted}
    return [bare(one) for one in value] if isinstance(value, list) else value


def units() -> Iterator[str]:
    """What systemd has not read, and services older than their files."""
    wanted = "Id,NeedDaemonReload,ActiveState,MainPID,ExecMainStartTimestamp,FragmentPath,DropInPaths"
    shown = out("systemctl", "show", "*", "--timestamp=unix", f"--property={wanted}")
    for block in shown.strip().split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = unit.get("Id", "")
        # Of a drop-in in a directory that it did not know of systemd says nothing by itself.
        there = {str(file) for file in Path("/etc/systemd/system", f"{name}.d").glob("*.conf")}
        if unit.get("NeedDaemonReload") == "yes" or there - set(unit.get("DropInPaths", "").split()):
            yield f"{name}: systemd has not read its files"
        runs = unit.get("ActiveState") == "active" and unit.get("MainPID", "0") != "0"
        if not name.endswith(".service") or not runs or name.startswith(("user@", "tram-")):
            continue
        started = float(unit["ExecMainStartTimestamp"].lstrip("@") or 0)
        files = [Path(one) for one in (unit["FragmentPath"], *unit.get("DropInPaths", "").split()) if one]
        files += [file for pattern in READS.get(name, []) for file in Path("/etc").glob(pattern)]
        late = [str(file) for file in files if file.is_file() and file.stat().st_mtime > started + SLACK]
        if late:
            yield f"{name}: started before {' '.join(late)} was written"


if __name__ == "__main__":
    print(json.dumps([*sshd(), *sysctl(), *firewall(), *units()]))
