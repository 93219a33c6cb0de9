"""Kernel values of a host that can be set and read back, while the machine's own kernel is never touched.

All hosts share one kernel, so what systemd-nspawn shows of it below /proc/sys is read-only. Here a host gets copies of
the parts that belong to the kernel as a whole: files that keep what was written, and do nothing. The part `net` is the
real one of the host's own network namespace, and works. So a lab shows that values are set, kept, loaded at boot and
healed; what the kernel then does is shown for `net` alone.

The copies lie in memory: sysctl(8) -a takes the first two names of a directory for "." and "..", which holds on proc
and on tmpfs, and walks round for ever where it does not.
"""

from __future__ import annotations

import shutil
import stat
import uuid
from pathlib import Path

_REAL = Path("/proc/sys")
_COPIED = ("dev", "fs", "kernel", "vm")
_RANDOM = "kernel/random"  # stays the kernel's own: each read of `uuid` there is another one
_INSIDE = "/run/host"  # systemd-nspawn's place for what a machine gives its containers

# Keys of Debian's kernel, with its values, that the kernel of the machine may have been built without.
_DEBIAN = {
    "kernel/kexec_load_disabled": "0",
    "kernel/modules_disabled": "0",
    "kernel/sysrq": "1",
    "kernel/unprivileged_userns_clone": "1",
    "kernel/yama/ptrace_scope": "0",
    "vm/unprivileged_userfaultfd": "0",
}

ENVIRONMENT = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
"""Makes systemd-nspawn leave /proc/sys/net writable (systemd's docs/ENVIRONMENT.md)."""


def make_copies(directory: Path, hostname: str) -> list[str]:
    """Lay out a host's copies as after a boot; returns the arguments of systemd-nspawn that mount them."""
    shutil.rmtree(directory, ignore_errors=True)
    for top in _COPIED:
        _copy(_REAL / top, directory / top)
    for name, value in _DEBIAN.items():
        file = directory / name
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_text(f"{value}\n")
    (directory / "kernel/hostname").write_text(f"{hostname}\n")
    (directory / "boot_id").write_text(f"{uuid.uuid4()}\n")
    return [
        f"--bind={directory}:{_INSIDE}/sysctl",
        f"--bind-ro={_REAL / _RANDOM}:{_INSIDE}/random",
        *(f"--bind={_INSIDE}/sysctl/{top}:{_REAL / top}" for top in _COPIED),
        f"--bind-ro={_INSIDE}/random:{_REAL / _RANDOM}",
        f"--bind-ro={_INSIDE}/sysctl/boot_id:{_REAL / _RANDOM}/boot_id",
    ]


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _copy(entry, target / entry.name)
            continue
        try:
            content = entry.read_bytes()
        except OSError:  # one that can only be written to, or whose hardware is not there
            content = b""
        (target / entry.name).write_bytes(content)
        (target / entry.name).chmod(stat.S_IMODE(entry.stat().st_mode))
