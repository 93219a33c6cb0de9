"""The host keys we trust: a plain known_hosts file, the same one that ssh and Ansible read."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import paramiko

from tram.act.outcome import IdentityChanged
from tram.act.target import Target
from tram.core.errors import BadInput
from tram.core.files import write_whole


@dataclass(frozen=True, slots=True)
class Pins:
    """One known_hosts file; many threads and processes may pin at once, and lines of other hands are left alone."""

    path: Path

    def of(self, target: Target) -> list[paramiko.PKey]:
        """Every key pinned for the target, under any of its names.

        Raises: BadInput for a line that is no `names type key` (markers such as @revoked are not for this file).
        """
        if not self.path.exists():
            return []
        try:
            file = paramiko.HostKeys(str(self.path))
        except paramiko.hostkeys.InvalidHostKey as error:
            raise BadInput(f"{self.path}: no host key: {error.line}", hint="mend or remove that line") from error
        entries = [entry for name in target.pin_names if (entry := file.lookup(name)) is not None]
        return [key for entry in entries for key in entry.values()]

    def check(self, target: Target, shown: paramiko.PKey) -> bool:
        """Whether the target is pinned already, with the key it shows; False when it was never seen.

        Raises: IdentityChanged when another key is pinned.
        """
        pinned = self.of(target)
        other = [key for key in pinned if key.get_name() == shown.get_name() and key != shown]
        if not pinned or (shown in pinned and not other):
            return bool(pinned)
        expected = " / ".join(dict.fromkeys(key.fingerprint for key in other or pinned))
        forget = "; ".join(shlex.join(["ssh-keygen", "-f", str(self.path), "-R", name]) for name in target.pin_names)
        raise IdentityChanged(
            f"{target.name} ({target.address}) is not the host it was: "
            f"pinned is {expected}, it now shows {shown.fingerprint}",
            hint="nothing was sent to it. If it was really reinstalled, compare the new fingerprint at its console "
            "(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), forget the old one "
            f"({forget}) and run this again with --fingerprint",
        )

    def add(self, target: Target, key: paramiko.PKey) -> None:
        """Pin `key` under all the target's names: one line, appended in one write."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone() as file:
            if key in self.of(target):  # another run was faster
                return
            text = self.path.read_bytes()
            glue = "\n" if text and not text.endswith(b"\n") else ""
            file.write(f"{glue}{','.join(target.pin_names)} {key.get_name()} {key.get_base64()}\n".encode())

    def forget(self, target: Target) -> None:
        """Trust none of the keys pinned under the target's names any more; other lines stay as they are."""
        if not self.path.exists():
            return
        with self._alone():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not set(line.split(" ", 1)[0].split(",")) & set(target.pin_names)]
            write_whole(self.path, "".join(kept))

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        """The file, to be appended to, while no other run changes it."""
        while True:
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_ino == self.path.stat().st_ino:  # else replaced while we waited
                    yield file
                    return
