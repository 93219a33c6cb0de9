"""One host: a disk over the base image, booted by systemd-nspawn as a whole Debian with its own PID 1."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tram.core.errors import TramError
from tram.core.run import Ran, run
from tram.lab.cgroup import make_groups
from tram.lab.paths import LabPaths
from tram.lab.process import children, find, stop_namespace, wait_gone
from tram.lab.sysctl import ENVIRONMENT, make_copies

_BOOT_PATIENCE = timedelta(seconds=60)
_STOP_PATIENCE = timedelta(seconds=20)
_SIGRTMIN_PLUS_4 = signal.SIGRTMIN + 4  # systemd(1): poweroff
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HostDown(TramError):
    """The host is not running."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a new disk is given: root's public key, and root's password as a crypt(5) hash."""

    root_public: str
    root_hash: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A host of a lab, by its inventory name (`<site>-<host>`)."""

    paths: LabPaths
    name: str

    @property
    def tag(self) -> str:
        """Machine name, namespace name, and what its process is found by."""
        return self.paths.host(self.name)

    @property
    def upper(self) -> Path:
        """The writable layer: what the host has written since it was made. Touch it only while the host is off."""
        return self.paths.disk(self.name)

    @property
    def image(self) -> Path:
        """The image under the writable layer: a link, so that a disk keeps its image when the recipe changes."""
        return self.upper.parent / "image"

    def make_disk(self, image: Path, keys: Keys) -> str:
        """Lay out a new disk over an image; returns the public half of its ssh host key."""
        self.upper.mkdir(parents=True)
        self.image.symlink_to(image)
        ssh = self.upper / "etc/ssh"
        ssh.mkdir(parents=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", ssh / "ssh_host_ed25519_key"])
        (self.upper / "etc/hostname").write_text(f"{self.name}\n")
        (self.upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n")
        (self.upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        root = self.upper / "root"
        (root / ".ssh").mkdir(parents=True, mode=0o700)
        root.chmod(0o700)
        (root / ".ssh/authorized_keys").write_text(keys.root_public)
        shadow = (self.image / "etc/shadow").read_text().splitlines(keepends=True)
        file = self.upper / "etc/shadow"
        file.touch(mode=0o640)
        os.chown(file, 0, _group_id(self.image, "shadow"))
        file.write_text("".join(_with_hash(line, keys.root_hash) for line in shadow))
        return (ssh / "ssh_host_ed25519_key.pub").read_text()

    def init_pid(self) -> int | None:
        """PID of the host's PID 1 as the machine sees it, or None when it is off."""
        for nspawn in find(f"--machine={self.tag}"):
            for child in children(nspawn):
                return child
        return None

    def start(self) -> None:
        """Switch on; returns at once. Nothing happens when it is on already."""
        if find(f"--machine={self.tag}"):
            return
        mount_point = self.upper.parent / "root"
        work = self.upper.parent / "work"
        for directory in (mount_point, work, self.paths.run):
            directory.mkdir(parents=True, exist_ok=True)
        # The overlay is mounted in a mount namespace of the host's own process: however that ends, no mount is left.
        script = 'mount -t overlay overlay -o "$1" "$2" && shift 2 && exec "$@"'
        layers = f"lowerdir={self.image.resolve()},upperdir={self.upper},workdir={work}"
        nspawn = [
            "systemd-nspawn", "--quiet", "--boot", f"--directory={mount_point}", f"--machine={self.tag}",
            f"--hostname={self.name}", "--register=no", f"--network-namespace-path=/run/netns/{self.tag}",
            "--resolv-conf=off", "--timezone=off", "--console=pipe", "--capability=all", "--private-users=no",
            "--link-journal=no", *make_copies(self.paths.memory / self.name, self.name),
        ]  # fmt: skip
        if not Path("/run/systemd/system").is_dir():
            nspawn.append("--keep-unit")  # no systemd on the machine that could give the host a scope
            script = "".join(f"echo $$ >{file} && " for file in make_groups(self.tag)) + script
        console = (self.paths.run / f"{self.name}.console").open("ab")
        with console:
            subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, "sh", layers, mount_point, *nspawn],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                env={**os.environ, **ENVIRONMENT},
            )  # fmt: skip

    def wait_up(self, within: timedelta = _BOOT_PATIENCE) -> None:
        """Return when systemd has come up and sshd answers.

        Raises: TramError with the end of the console when it does not within that time.
        """
        deadline = time.monotonic() + within.total_seconds()
        while time.monotonic() < deadline:
            if (pid := self.init_pid()) and _enter(pid, ["systemctl", "is-active", "ssh.service"]).code == 0:
                return
            time.sleep(0.05)
        console = self.paths.run / f"{self.name}.console"
        last = console.read_text(errors="replace").strip().splitlines()[-3:] if console.exists() else []
        raise TramError(
            f"{self.name} did not boot: {' / '.join(last) or 'its console is empty'}", hint=f"see {console}"
        )

    def sh(self, argv: list[str], *, timeout: timedelta = timedelta(minutes=5), stdin: str | None = None) -> Ran:
        """Run a program as root on the host, not over the network; the code is the program's own.

        Raises: HostDown.
        """
        pid = self.init_pid()
        if pid is None:
            raise HostDown(f"{self.name} is off", hint=f"tram lab power {self.name} on")
        return _enter(pid, argv, timeout=timeout, stdin=stdin)

    def cut_power(self) -> None:
        """Kill everything on it without warning. The disk keeps what had been written.

        Nobody sees another die first, and none writes down that systemd has gone: all stop before the first is killed.
        """
        for nspawn in find(f"--machine={self.tag}"):
            for child in children(nspawn):
                stop_namespace(child)
                _kill(child, signal.SIGKILL)
            if not wait_gone(nspawn, timedelta(seconds=5)):
                _kill(nspawn, signal.SIGKILL)
                wait_gone(nspawn, timedelta(seconds=5))

    def stop(self) -> None:
        """Shut down as from the power button; what does not end in time is cut off."""
        for nspawn in find(f"--machine={self.tag}"):
            for child in children(nspawn):
                _kill(child, _SIGRTMIN_PLUS_4)
            if not wait_gone(nspawn, _STOP_PATIENCE):
                self.cut_power()


def enter_argv(pid: int, argv: list[str]) -> list[str]:
    """The command line that runs a program inside the host whose PID 1 that is, with root's plain environment."""
    env = [
        "env",
        "--ignore-environment",
        "--chdir=/root",
        f"PATH={_PATH}",
        "HOME=/root",
        "LANG=C.UTF-8",
        f"TERM={os.environ.get('TERM', 'dumb')}",
    ]
    return ["nsenter", "--target", str(pid), "--all", "--", *env, *argv]


def _enter(pid: int, argv: list[str], *, timeout: timedelta = timedelta(seconds=30), stdin: str | None = None) -> Ran:
    return run(enter_argv(pid, argv), check=False, timeout=timeout, stdin=stdin)


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _with_hash(line: str, password_hash: str) -> str:
    user, _, rest = line.split(":", 2)
    return f"{user}:{password_hash}:{rest}" if user == "root" else line


def _group_id(root: Path, group: str) -> int:
    for line in (root / "etc/group").read_text().splitlines():
        name, _, number, _ = line.split(":")
        if name == group:
            return int(number)
    raise TramError(f"{root}: no group {group}")
