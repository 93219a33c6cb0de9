"""Is the line to the centre up? Asked outwards, and by listening: a packet from the centre is an answer too."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

from tram.site import durable
from tram.site.limits import PROBE_TIMEOUT_SECONDS
from tram.site.place import Config, Place

UP, DOWN, CUT_HERE, UNKNOWN = "up", "down", "cut-here", "unknown"

_SSH_PORT = 22
_DISCARD_PORT = 9
_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER = 26
# Classic BPF over an IPv4 header: load the source address (offset 12), compare, return.
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_SOURCE_OFFSET = 12


class Line:
    """The line as far as this host can tell.

    `up`: something there answered (a refusal is an answer), or a packet from there came in, which is seen before any
    firewall of ours drops it. `cut-here`: this host itself lets nothing out, though a cable is plugged in. `down`: no
    sign of the other end. `unknown`: there is nobody to ask.
    """

    def __init__(self, place: Place, config: Config) -> None:
        centre = durable.read_json(place.root / "centre.json") or {}
        address = centre.get("address")
        self.targets = [*config.probes, *([(address, _SSH_PORT)] if isinstance(address, str) else [])]
        self._ear = _listen([address for address, _ in self.targets])

    def look(self) -> str:
        """up, down, cut-here or unknown; takes at most some seconds a target."""
        if not self.targets:
            return UNKNOWN
        if self._heard():
            return UP
        refused_here = False
        for address, port in self.targets:
            verdict = _ask(address, port)
            if verdict == UP:
                return UP
            refused_here = refused_here or verdict == CUT_HERE
        if self._heard():
            return UP
        return CUT_HERE if refused_here else DOWN

    def close(self) -> None:
        """Stop listening."""
        if self._ear is not None:
            self._ear.close()

    def _heard(self) -> bool:
        """Whether packets from the centre came in since the last look."""
        heard = False
        if self._ear is not None:
            with suppress(BlockingIOError, OSError):
                while self._ear.recv(64):
                    heard = True
        return heard


def _ask(address: str, port: int) -> str:
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.settimeout(PROBE_TIMEOUT_SECONDS)
            asking.connect((address, port))
    except ConnectionRefusedError:
        return UP
    except OSError as error:
        if error.errno == errno.ENETUNREACH:
            return CUT_HERE if _cable() else DOWN
        return CUT_HERE if _barred(family, address) else DOWN
    return UP


def _barred(family: socket.AddressFamily, address: str) -> bool:
    """Whether our own firewall drops what we send: the kernel says so to a datagram, though not to a connection."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"\0", (address, _DISCARD_PORT))
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def _cable() -> bool:
    """Whether any network card but the loopback has a carrier."""
    for card in Path("/sys/class/net").iterdir():
        with suppress(OSError):
            if card.name != "lo" and (card / "carrier").read_text().strip() == "1":
                return True
    return False


def _listen(addresses: list[str]) -> socket.socket | None:
    """A socket that hears packets from these IPv4 addresses only; None without addresses, or the right to listen."""
    numbers = []
    for address in addresses:
        with suppress(ValueError):
            known = ipaddress.IPv4Address(address)
            if not known.is_loopback:  # there we would hear ourselves
                numbers.append(int(known))
    if not numbers:
        return None
    steps = [struct.pack("HBBI", _LOAD_WORD | 0x00, 0, 0, _SOURCE_OFFSET)]
    for index, number in enumerate(numbers):
        steps.append(struct.pack("HBBI", _JUMP_EQUAL, len(numbers) - index, 0, number))
    steps += [struct.pack("HBBI", _RETURN, 0, 0, 0), struct.pack("HBBI", _RETURN, 0, 0, 64)]
    program = ctypes.create_string_buffer(b"".join(steps))
    ear = None
    try:
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        ear.setblocking(False)
        ear.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(steps), ctypes.addressof(program)))
    except OSError:
        if ear is not None:
            ear.close()
        return None
    return ear
