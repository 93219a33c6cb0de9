"""Debian's own slapd for a test alone: as role `directory` configures it, on a unix socket only, as nobody special."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import yaml

from tram.accounts import ldif
from tram.accounts.directory import Said, base_of
from tram.act.outcome import NotReached
from tram.core.run import run
from tram.register import Province

ROLE = Path(__file__).parents[3] / "roles/directory"


@dataclass
class LocalDirectory:
    """A door to it without a line in between. `dies_after` ends a change after so many records, as a cut line does."""

    url: str
    dies_after: int | None = None

    @property
    def name(self) -> str:
        return "hub1"

    def search(self, base: str, filter_: str, attributes: Sequence[str]) -> Said:
        return self._run(["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", base, filter_, *attributes], "")

    def change(self, text: str) -> Said:
        if self.dies_after is not None:
            self._run(["ldapmodify"], "".join(f"{one}\n\n" for one in text.split("\n\n")[: self.dies_after]))
            raise NotReached("the line was cut")
        return self._run(["ldapmodify"], text)

    def bind(self, dn: str, password: str) -> bool:
        """Whether a person can log in with it."""
        argv = ["ldapwhoami", "-x", "-H", self.url, "-D", dn, "-w", password]
        return run(argv, check=False).code == 0

    def set_own(self, dn: str, old: str, new: str) -> None:
        """A person's own change of the password."""
        run(["ldappasswd", "-x", "-H", self.url, "-D", dn, "-w", old, "-s", new])

    def _run(self, argv: Sequence[str], stdin: str) -> Said:
        words = [argv[0], "-Q", "-Y", "EXTERNAL", "-H", self.url, *argv[1:]]
        ran = run(words, stdin=stdin, check=False, timeout=timedelta(minutes=5))
        return Said(ran.code, ran.stdout, ran.stderr)


@contextmanager
def slapd(province: Province) -> Iterator[LocalDirectory]:
    """Start one with a branch for each site; it is ended by its process id, and removed."""
    program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
    assert program, "slapd is not installed: apt install slapd (scripts/setup.sh dev)"
    with tempfile.TemporaryDirectory(prefix="tram-ldap-") as scratch:
        folder = Path(scratch)
        copy = folder / "slapd"  # elsewhere than where AppArmor expects it and ties it to /var/lib/ldap
        shutil.copy2(program, copy)
        for name in ("config", "database"):
            (folder / name).mkdir()
        (folder / "config.ldif").write_text(_config(folder, base_of(province.domain)))
        shutil.copy(ROLE / "files/schema/tram.ldif", folder / "schema.ldif")
        become = _unprivileged(folder)
        run([*become, copy, "-T", "add", "-n", "0", "-F", folder / "config", "-l", folder / "config.ldif"])
        door = LocalDirectory(f"ldapi://{quote(str(folder / 'ldapi'), safe='')}")
        with (folder / "log").open("wb") as log:
            argv = [*become, copy, "-d", "0", "-h", door.url, "-F", folder / "config"]
            server = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            _wait(server, folder, within=20)
            said = door.change(_frame(province))
            assert said.code == 0, said.stderr
            yield door
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=20)


def _config(folder: Path, base: str) -> str:
    """The role's own, without TLS, with this folder's places, for who runs the tests."""
    values: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    values |= {
        "directory_base": base,
        "directory_provider": True,
        "directory_replicas": [],
        "ansible_managed": "a test",
    }
    values["__directory_root"] = f"gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"
    world = jinja2.Environment(autoescape=False, trim_blocks=True)
    world.filters |= {"comment": lambda text: f"# {text}", "regex_escape": re.escape}
    text = world.from_string((ROLE / "templates/etc/ldap/tram/config.ldif.j2").read_text(encoding="utf-8")).render(
        values
    )
    for place, here in (
        ("/etc/ldap/tram/schema.ldif", folder / "schema.ldif"),
        ("/var/lib/ldap/tram", folder / "database"),
        ("/run/slapd/", f"{folder}/"),
    ):
        text = text.replace(place, str(here))
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("olcTLS"))


def _frame(province: Province) -> str:
    """What the role makes of the tree, as far as people need it."""
    policies: list[dict[str, Any]] = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))[
        "__directory_policies"
    ]
    rules = {
        "directory_password_min_length": "12",
        "directory_password_history": "5",
        "directory_lockout_attempts": "10",
    }
    rules |= {"directory_lockout_seconds": "900"}
    default = {
        name: [jinja2.Template(value).render(rules) for value in values]
        for name, values in policies[0]["attributes"].items()
    }
    base = base_of(province.domain)
    tiers = sorted({site.tier for site in province.sites})
    units = ["ou=groups", "ou=policies", "ou=services", *(f"ou={tier}" for tier in tiers)]
    units += [f"ou={site.code},ou={site.tier}" for site in province.sites]
    units += [f"ou={site.code},ou=services" for site in province.sites]
    top = {"objectClass": ["dcObject", "organization"], "dc": [province.domain.split(".")[0]], "o": [province.name]}
    return "".join(
        [
            ldif.add(base, top),
            *(
                ldif.add(f"{unit},{base}", {"objectClass": ["organizationalUnit"], "ou": [unit.split(",")[0][3:]]})
                for unit in units
            ),
            ldif.add(f"cn=default,ou=policies,{base}", default),
        ]
    )


def _unprivileged(folder: Path) -> list[str]:
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("openldap")
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _wait(server: subprocess.Popen[bytes], folder: Path, *, within: float) -> None:
    end = time.monotonic() + within
    while True:
        assert server.poll() is None, (folder / "log").read_text(errors="replace")
        assert time.monotonic() < end, (folder / "log").read_text(errors="replace")
        with socket.socket(socket.AF_UNIX) as line, suppress(OSError):
            line.connect(str(folder / "ldapi"))
            return
        time.sleep(0.05)
