#!/usr/bin/python
"""Ansible module: hand letters to a milter as Postfix does, and say what it answers."""

from __future__ import annotations

import socket
import struct

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: antivirus_milter
short_description: Ask a milter about a clean letter and about one with the antivirus test file
description:
  - Speaks Sendmail's milter protocol, so it needs no mail server and leaves nothing behind.
options:
  address: {description: Where it listens., type: str, required: true}
  port: {description: TCP port., type: int, required: true}
  within_seconds: {description: How long an answer may take., type: int, default: 150}
author: [Tram]
"""

EXAMPLES = r"""
- name: Ask
  antivirus_milter: {address: 127.0.0.1, port: 7357}
"""

RETURN = r"""
clean: {description: 'Answer to the clean letter: accept, reject, tempfail or the reply.', type: str}
infected: {description: Answer to the letter with the test file., type: str}
"""

# In two halves: this module itself must not be found.
TEST_FILE = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
BOUNDARY = b"tram"
SKIPPED = {b"C": 0x01, b"H": 0x02, b"M": 0x04, b"R": 0x08, b"B": 0x10, b"L": 0x20, b"N": 0x40}
ANSWERS = {b"a": "accept", b"c": "accept", b"r": "reject", b"t": "tempfail", b"d": "discard"}


class Milter:
    """A session with a milter. Source: mfapi and smfi of Sendmail's libmilter, version 6 of the protocol."""

    def __init__(self, address: str, port: int, within: float) -> None:
        self.connection = socket.create_connection((address, port), within)
        # It may change what it likes, and leave out the steps it does not want.
        self.say(b"O", struct.pack("!III", 6, 0x1FF, 0x7FF))
        _, offer = self.hear()
        self.unwanted = struct.unpack("!I", offer[8:12])[0]

    def say(self, command: bytes, data: bytes = b"") -> None:
        """Send a command."""
        self.connection.sendall(struct.pack("!I", len(data) + 1) + command + data)

    def hear(self) -> tuple[bytes, bytes]:
        """Wait for an answer: its letter and what goes with it."""
        (length,) = struct.unpack("!I", self._take(4))
        answer = self._take(length)
        return answer[:1], answer[1:]

    def _take(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self.connection.recv(count - len(found))
            if not more:
                raise OSError("the milter hung up")
            found += more
        return found

    def letter(self, attachment: bytes) -> str:
        """Hand over a letter with an attachment; what is to become of it."""
        body = (
            b"--" + BOUNDARY + b"\r\nContent-Type: application/octet-stream\r\n\r\n" + attachment
            + b"\r\n--" + BOUNDARY + b"--\r\n"
        )  # fmt: skip
        steps = [
            (b"C", b"localhost\x004" + struct.pack("!H", 25) + b"127.0.0.1\x00"),
            (b"H", b"localhost\x00"),
            (b"M", b"<verify@localhost>\x00"),
            (b"R", b"<verify@localhost>\x00"),
            (b"L", b"MIME-Version\x001.0\x00"),
            (b"L", b"Content-Type\x00multipart/mixed; boundary=" + BOUNDARY + b"\x00"),
            (b"N", b""),
            (b"B", body),
        ]
        for command, data in steps:
            if self.unwanted & SKIPPED[command]:
                continue
            self.say(command, data)
            letter, text = self.hear()
            if letter != b"c":
                return self._meaning(letter, text)
        self.say(b"E")
        while True:
            letter, text = self.hear()
            # Headers it adds, and "still at it".
            if letter in (b"h", b"i", b"m", b"p"):
                continue
            return self._meaning(letter, text)

    @staticmethod
    def _meaning(letter: bytes, text: bytes) -> str:
        return ANSWERS.get(letter) or text.rstrip(b"\x00").decode(errors="replace")


def main() -> None:
    """Ask twice."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "within_seconds": {"type": "int", "default": 150},
        },
        supports_check_mode=True,
    )
    where = (module.params["address"], module.params["port"], module.params["within_seconds"])
    try:
        clean = Milter(*where).letter(b"so lieu thang 11")
        infected = Milter(*where).letter(TEST_FILE)
    except OSError as error:
        module.fail_json(msg=f"{where[0]} port {where[1]}: {error}; see: journalctl -u clamav-milter -u clamav-daemon")
    module.exit_json(changed=False, clean=clean, infected=infected)


if __name__ == "__main__":
    main()
