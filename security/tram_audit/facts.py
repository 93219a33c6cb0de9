"""What the looks of one host mean: for each look its settings, or the reason why nothing is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tram.look import Looked, Seen
from tram_audit.facts_accounts import accounts, pam, sudo
from tram_audit.facts_firewall import firewall
from tram_audit.facts_network import ports
from tram_audit.settings import Settings, gather, words

OFFERED = "wire"
"""The look that has no command: what the host's sshd offered in the handshake."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one host: `known` has the settings of each look, `unknown` the reason for each look that has none."""

    host: str
    known: Mapping[str, Settings]
    unknown: Mapping[str, str]
    error: str = ""

    def one(self, look: str, key: str) -> str:
        """A setting that has one value; empty when it is not known."""
        return next(iter(self.known.get(look, {}).get(key, ())), "")


def facts_of(looked: Looked) -> Facts:
    """The facts of one host."""
    known: dict[str, Settings] = {}
    unknown: dict[str, str] = {}
    for name, seen in looked.seen.items():
        said = READERS[name](seen)
        if isinstance(said, str):
            unknown[name] = looked.error if said and looked.error and not seen.text else said
        else:
            known[name] = said
    if looked.offers:
        known[OFFERED] = {key: (value,) for key, value in looked.offers.items()}
    else:
        unknown[OFFERED] = looked.error or "the handshake was not seen"
    return Facts(looked.host, known, unknown, looked.error)


def _whole(read: Callable[[str], Settings]) -> Callable[[Seen], Settings | str]:
    """A look that must have ended well."""

    def judged(seen: Seen) -> Settings | str:
        if seen.ended or seen.code != 0:
            return seen.ended or f"it ended with {seen.code}"
        try:
            return read(seen.text)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return f"its answer is not understood: {error!r}"

    return judged


def _missing(read: Callable[[str], Settings], instead: Settings) -> Callable[[Seen], Settings | str]:
    """A look whose program may be missing, which says something, too."""
    whole = _whole(read)
    return lambda seen: instead if seen.code == 127 else whole(seen)


def sshd(text: str) -> Settings:
    """`sshd -T`, once for everybody and once for each account that was asked about: every value there is."""
    found = gather((key.lower(), value.strip()) for key, _, value in _split(text, " "))
    if "match" in found:
        raise ValueError("sshd does not say what it does in one of its Match blocks")
    return found


def sysctl(text: str) -> Settings:
    """`sysctl`: key = value."""
    found = gather((key.strip(), " ".join(value.split())) for key, sep, value in _split(text, "=") if sep)
    if not found:
        raise ValueError("no value of the kernel at all")
    return found


def modes(text: str) -> Settings:
    """`stat`: path → "mode owner:group"."""
    return _some(gather((path, f"{mode} {owner}") for mode, owner, path in words(text, 3)))


def files(text: str) -> Settings:
    """What stands out in the file systems: "setid /usr/bin/su" → "4755 root:root"."""
    return _some(gather((f"{kind} {path}", f"{mode} {owner}") for kind, mode, owner, path in words(text, 4)))


def units(text: str) -> Settings:
    """`systemctl show` of what runs: "nginx.service PrivateTmp" → "yes"."""
    found: list[tuple[str, str]] = []
    for block in text.strip().split("\n\n"):
        own = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = own.get("Id", "")
        found += [(f"{name} {key}", value) for key, value in own.items()]
        found.append((f"{name} user", "dynamic" if own.get("DynamicUser") == "yes" else own.get("User") or "root"))
    if not found:
        raise ValueError("no service runs")
    return gather(found)


def stale(text: str) -> Settings:
    """What is newer than the running daemon: "nginx.service" → "none" or the files."""
    found = gather((unit, files.strip()) for unit, _, files in _split(text, " ") if unit)
    if not found:
        raise ValueError("no daemon is known, not even journald")
    return found


def mounts(text: str) -> Settings:
    """`findmnt`: mount point → "type,options…"; what is mounted over it last counts."""
    return _some({target: (f"{kind},{options}",) for target, kind, options in words(text, 3)})


def packages(text: str) -> Settings:
    """Those of the unwanted packages that are installed. dpkg is asked for itself, too: no answer is no good news."""
    found = [name for state, name in words(text, 2) if state.startswith("ii")]
    if "dpkg" not in found:
        raise ValueError("dpkg does not know itself")
    return gather((name, "installed") for name in found if name != "dpkg")


def plain(text: str) -> Settings:
    """Lines of "key value" or "key=value"."""
    return gather(_named(text))


def apt(text: str) -> Settings:
    """What apt is told to do, and what it knows of: without any setting it said nothing."""
    found = plain(text)
    if not any(key.startswith("config ") for key in found):
        raise ValueError("apt does not say how it is configured")
    return found


def system(text: str) -> Settings:
    """What the host is; which controls apply hangs on it, so it must be whole."""
    found = plain(text)
    if "virt" not in found or "suite" not in found:
        raise ValueError("neither its release nor what kind of machine it is")
    return found


def certificates(text: str) -> Settings:
    """ "tcp/443" → days until the certificate it shows ends; none when it shows none."""
    return gather((port, days) for port, days in words(text, 2))


def _named(text: str) -> Iterable[tuple[str, str]]:
    """First word: the key; of kinds of which there are many (security, config …) the second belongs to it."""
    many = {"security", "config", "timer", "set", "kaudit", "failed", "blocked"}
    for line in text.splitlines():
        if match := re.match(r"(\w+)=(.*)", line):
            yield match[1], match[2].strip()
            continue
        first, _, rest = line.strip().partition(" ")
        if first in many:
            second, _, rest = rest.partition(" ")
            first = f"{first} {second}"
        if first:
            yield first.strip(), rest.strip()


def _some(found: Settings) -> Settings:
    """Of which every host has some: none at all was not looked at."""
    if not found:
        raise ValueError("nothing at all")
    return found


def _split(text: str, separator: str) -> Iterable[tuple[str, str, str]]:
    return (line.partition(separator) for line in text.splitlines())


READERS: Mapping[str, Callable[[Seen], Settings | str]] = {
    "system": _whole(system),
    "sshd": _whole(sshd),
    "sysctl": _whole(sysctl),
    "ports": _whole(ports),
    "firewall": _missing(firewall, {"input": ("none: nftables is not installed",), "input6": ("none",)}),
    "pam": _whole(pam),
    "sudo": _whole(sudo),
    "accounts": _whole(accounts),
    "modes": _whole(modes),
    "files": _whole(files),
    "units": _whole(units),
    "stale": _whole(stale),
    "mounts": _whole(mounts),
    "packages": _whole(packages),
    "apt": _whole(apt),
    "logs": _whole(plain),
    "time": _whole(plain),
    "certificates": _whole(certificates),
}
