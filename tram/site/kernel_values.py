"""The kernel's own settings (sysctl): what a change set stays set when the file that said so is gone again."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

_ROOT = Path("/proc/sys")
_NETWORK = ("net/ipv4", "net/ipv6")
_KEPT = (*_NETWORK, "kernel", "vm", "fs")
_LONGEST = 512  # a value that somebody sets is shorter
_LINE = re.compile(r"^\s*-?\s*([A-Za-z0-9_.*/-]+)\s*=", re.MULTILINE)


def kernel_values() -> dict[str, str]:
    """What may be set of network, kernel, memory and file systems, by its path below /proc/sys."""
    found = {}
    for part in _KEPT:
        for folder, _, names in os.walk(_ROOT / part):
            for name in names:
                path = Path(folder, name)
                try:
                    if path.lstat().st_mode & stat.S_IWUSR and path.lstat().st_mode & stat.S_IRUSR:
                        value = path.read_text().strip()
                        if len(value) <= _LONGEST:
                            found[path.relative_to(_ROOT).as_posix()] = value
                except (OSError, UnicodeDecodeError):
                    continue
    return found


def network_values(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of values of the network that differ; cards that came or went do not count."""
    return [
        name.replace("/", ".")
        for name, value in before.items()
        if name.startswith(_NETWORK) and after.get(name, value) != value
    ]


def named_in(files: Iterable[Path]) -> set[str]:
    """The names that files in the manner of sysctl.d(5) set, as paths below /proc/sys; with `*` none."""
    found: set[str] = set()
    for path in files:
        try:
            names = _LINE.findall(path.read_text(errors="replace"))
        except OSError:
            continue
        found |= {name if "/" in name else name.replace(".", "/") for name in names}
    return found


def bring_back_values(before: Mapping[str, str], named: set[str]) -> list[str]:
    """Set again what differs of the network, and of `named`. Returns what did not work, as sentences."""
    problems: dict[str, str] = {}
    # Some set others as well: as forwarding ends the kernel takes redirects again (ip-sysctl.rst). So it is done twice.
    for _ in range(2):
        now = kernel_values()
        for name, value in before.items():
            if now.get(name, value) == value or not (name.startswith(_NETWORK) or name in named):
                continue
            try:
                (_ROOT / name).write_text(f"{value}\n")
            except OSError as error:
                problems[name] = f"sysctl {name}: {error.strerror}"
    return list(problems.values())
