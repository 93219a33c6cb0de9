"""A package that a change installed stays when the change is taken back, with files that dpkg would not bring again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tram.site.place import Config
from tram.site.restore import brought_by_packages
from tram.site.snapshot import Entry, Snapshot

LISTED = {
    "fail2ban": ["/etc/fail2ban", "/etc/fail2ban/jail.d", "/etc/fail2ban/jail.conf"],
    "libpam-pwquality": ["/etc/security/pwquality.conf"],
    "hostile": ["/etc/ssh/sshd_config.d/hostile.conf", "/etc/sudoers.d/hostile"],
    "postfix": ["/etc/postfix"],
}


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        pytest.param("etc/fail2ban/jail.conf", True, id="its own file, read by a unit that is stopped"),
        pytest.param("etc/fail2ban/jail.d/tram.local", False, id="what a role laid beside it"),
        pytest.param("etc/security/pwquality.conf", True, id="read by a line of PAM that goes back"),
        pytest.param("etc/apt/apt.conf.d/50unattended-upgrades", True, id="laid down by ucf, in nobody's list"),
        pytest.param("etc/postfix/main.cf", True, id="in a directory that is the package's alone"),
        pytest.param("etc/ssh/sshd_config.d/hostile.conf", False, id="a package's drop-in for sshd"),
        pytest.param("etc/sudoers.d/hostile", False, id="a package's rule for sudo"),
        pytest.param("etc/motd", False, id="nobody's"),
    ],
)
def test_what_dpkg_would_not_bring_again_stays(tmp_path: Path, path: str, stays: bool) -> None:
    info, ucf = tmp_path / "var/lib/dpkg/info", tmp_path / "var/lib/ucf"
    info.mkdir(parents=True)
    ucf.mkdir()
    for package, listed in LISTED.items():
        (info / f"{package}.list").write_text("".join(f"{line}\n" for line in ["/.", "/etc", *listed]))
    (ucf / "registry").write_text("unattended-upgrades \t /etc/apt/apt.conf.d/50unattended-upgrades\n")
    directories = {listed.lstrip("/") for listed in LISTED["fail2ban"][:2] + LISTED["postfix"]}
    files = {name: Entry("directory", 0o755, 0, 0, "", ()) for name in directories} | {
        path: Entry("file", 0o644, 0, 0, "0" * 64, ())
    }
    before = Snapshot({}, packages=["sudo 1"])
    after = Snapshot(files, packages=["sudo 1", "unattended-upgrades 2", *(f"{name} 1" for name in LISTED)])
    kept = brought_by_packages(Config("tinh", "so", "srv1", system=tmp_path), before, after)
    assert (path in kept) is stays
