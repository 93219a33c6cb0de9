"""Base images: a plain Debian as a provider would deliver it, built once and cached, shared by all labs read-only."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tram.core.run import run
from tram.lab.mirror import Mirror, machine_mirror
from tram.lab.paths import IMAGES

SUITES = ("bookworm", "trixie")

# What a minimal server installation has. Everything else has to come through the roles, as at a real site.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "openssh-server", "python3", "python3-apt", "sudo", "ca-certificates",
    "iproute2", "iputils-ping", "netbase", "less",
)  # fmt: skip

_FILES = {
    # As a provider hands over a machine: root may log in by password until bootstrap and hardening change that.
    "etc/ssh/sshd_config.d/10-provider.conf": "PermitRootLogin yes\n",
    # A lab's disk is thrown away with the lab: flushing each unpacked file only costs time.
    "etc/dpkg/dpkg.cfg.d/lab": "force-unsafe-io\n",
    "etc/hostname": "",
    "etc/resolv.conf": "# written by role base\n",
    # tmpfs of a container; without a size a host could take half of the machine's memory.
    "etc/fstab": "tmpfs /tmp tmpfs mode=1777,nosuid,nodev,size=256m 0 0\n",
}


def image_path(suite: str) -> Path:
    """Where the image of a suite is kept; the name changes with the recipe, so an old image is never mistaken."""
    return IMAGES / f"{suite}-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]}"


def ensure_image(suite: str, say: Callable[[str], None]) -> Path:
    """Return the image of a suite, building it (about a minute) when it is not there. Safe to call twice at once.

    Raises: ProgramFailed with debootstrap's last line; what was begun is removed by the next call.
    """
    path = image_path(suite)
    if path.is_dir():
        return path
    IMAGES.mkdir(parents=True, exist_ok=True)
    with _locked(IMAGES / f".{suite}.lock"):
        if path.is_dir():
            return path
        building = path.with_suffix(".part")
        shutil.rmtree(building, ignore_errors=True)
        say(f"building the {suite} base image (once, about a minute)")
        mirror = machine_mirror()
        _debootstrap(suite, building, mirror)
        _finish(suite, building, mirror)
        building.rename(path)
    return path


def _debootstrap(suite: str, root: Path, mirror: Mirror) -> None:
    env = dict(os.environ)
    if mirror.proxy:
        env["http_proxy"] = mirror.proxy
    include = ",".join(PACKAGES)
    run(
        ["debootstrap", "--variant=minbase", f"--include={include}", suite, root, mirror.main],
        timeout=timedelta(minutes=15),
        env=env,
    )


def _finish(suite: str, root: Path, mirror: Mirror) -> None:
    for name, text in _FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
    (root / "etc/apt/sources.list").write_text(mirror.sources(suite))
    (root / "etc/apt/apt.conf.d/99lab").write_text("".join(f"{line}\n" for line in mirror.options))
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "http_proxy": mirror.proxy or ""}
    for words in (["apt-get", "update"], ["apt-get", "-y", "-q", "upgrade"], ["apt-get", "clean"]):
        run(["chroot", root, *words], timeout=timedelta(minutes=10), env=env)
    (root / "etc/apt/sources.list").write_text(mirror.cacheable_sources(suite))
    # Each host gets keys of its own.
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
