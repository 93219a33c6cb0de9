"""A lab as a whole: up, down, status, links and power."""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

from tram.core.errors import BadInput, TramError
from tram.core.run import Ran, run
from tram.lab import netem, network, wire
from tram.lab.capable import require_capable
from tram.lab.cgroup import remove_groups
from tram.lab.host import Keys, Machine
from tram.lab.image import ensure_image
from tram.lab.line import Line
from tram.lab.paths import LabPaths, lab_paths
from tram.lab.process import argv, find_prefix
from tram.lab.ssh import write_ssh_files
from tram.register import Province, Site, load

Say = Callable[[str], None]


class LabNotUp(TramError):
    """There is no such lab."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """A site's line as it is now; `line` is None when nobody can say (the emulator does not answer): unknown."""

    site: str
    line: Line | None
    down: dict[str, int]
    up: dict[str, int]


@dataclass(frozen=True, slots=True)
class HostState:
    """A host as seen from the machine: off, booting, or systemd's own word (running, degraded, …)."""

    host: str
    site: str
    address: str
    state: str


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab and the register it was made from."""

    paths: LabPaths
    province: Province

    @property
    def machines(self) -> dict[str, Machine]:
        """Hosts by inventory name."""
        return {
            host.inventory_name: Machine(self.paths, host.inventory_name)
            for site in self.province.sites
            for host in site.hosts
        }

    def machine(self, name: str) -> Machine:
        """A host by its inventory name. Raises: BadInput with the names there are."""
        if name not in self.machines:
            raise BadInput(f"no host {name} in lab {self.paths.name}", hint=f"one of: {', '.join(self.machines)}")
        return self.machines[name]

    def site(self, code: str) -> Site:
        """An outlying site by its code. Raises: BadInput with the codes there are."""
        outlying = {site.code: site for site in self.province.sites if not site.is_hub}
        if code not in outlying:
            raise BadInput(
                f"no site {code} with a link in lab {self.paths.name}", hint=f"one of: {', '.join(outlying)}"
            )
        return outlying[code]

    def sh(self, host: str, argv: list[str], *, timeout: timedelta = timedelta(minutes=5)) -> Ran:
        """Run a program as root on a host, past the network. Raises: HostDown, BadInput."""
        return self.machine(host).sh(argv, timeout=timeout)

    def set_link(self, code: str, **changes: object) -> LinkState:
        """Change a site's line: any field of `Line`, for example `cut=True` or `rtt=0.08`."""
        site = self.site(code)
        if not netem.available():
            return self._link_state(site, wire.ask(self.paths, code, changes))
        file = self.paths.run / f"{code}.line"
        line = Line(**json.loads(file.read_text())) if file.exists() else network.line_of(site)
        line = replace(line, **changes)  # type: ignore[arg-type]
        device = network.device_of(self.province, site)
        netem.shape(self.paths.core, device, self.paths.router(code), line)
        file.write_text(json.dumps(asdict(line)))
        return self.link(code)

    def cut(self, code: str) -> LinkState:
        """Cut a site's line: both ends hear nothing any more, and nobody is told."""
        return self.set_link(code, cut=True)

    def mend(self, code: str) -> LinkState:
        """Mend a site's line."""
        return self.set_link(code, cut=False)

    def link(self, code: str) -> LinkState:
        """A site's line as it is now."""
        site = self.site(code)
        if not netem.available():
            try:
                return self._link_state(site, wire.ask(self.paths, code, {}))
            except OSError:
                return LinkState(code, None, {}, {})
        file = self.paths.run / f"{code}.line"
        line = Line(**json.loads(file.read_text())) if file.exists() else network.line_of(site)
        down = netem.counters(self.paths.router(code), "wan")
        return LinkState(code, line, down, netem.counters(self.paths.core, network.device_of(self.province, site)))

    @staticmethod
    def _link_state(site: Site, answer: dict[str, object]) -> LinkState:
        if "error" in answer:
            raise BadInput(f"link of {site.code}: {answer['error']}")
        down, up = answer.pop("down"), answer.pop("up")
        return LinkState(site.code, Line(**answer), down, up)  # type: ignore[arg-type]

    def hosts(self) -> list[HostState]:
        """Every host with its state."""
        return [
            HostState(host.inventory_name, site.code, str(host.address), _state(self.machine(host.inventory_name)))
            for site in self.province.sites
            for host in site.hosts
        ]

    def power_cut(self, host: str) -> None:
        """Kill a host without warning; from then on it is silent."""
        self.machine(host).cut_power()
        self._plug(host, lit=False)

    def power_on(self, host: str) -> None:
        """Switch a host on again and wait until it is up."""
        machine = self.machine(host)
        self._plug(host, lit=True)
        machine.start()
        machine.wait_up()

    def _plug(self, host: str, *, lit: bool) -> None:
        site = next(one for one in self.province.sites if host in {each.inventory_name for each in one.hosts})
        network.plug(self.paths, site, host, lit=lit)

    def renew(self, host: str) -> str:
        """Throw a host's disk away and boot it bare, as a machine just delivered; the fingerprint of its new key.

        What is pinned for the old one stays: whoever comes to the new one has to be told its fingerprint.
        """
        machine = self.machine(host)
        machine.cut_power()
        image = machine.image.resolve()
        shutil.rmtree(machine.upper.parent)
        state = self.paths.state
        public = machine.make_disk(image, _keys(state, (state / "root_password").read_text().strip()))
        self.power_on(host)
        return run(["ssh-keygen", "-l", "-f", "-"], stdin=public).stdout.split()[1]


def _keys(state: Path, password: str) -> Keys:
    """What every disk of a lab is given."""
    hashed = run(["openssl", "passwd", "-6", "-stdin"], stdin=f"{password}\n").stdout.strip()
    return Keys((state / "root_key.pub").read_text(), hashed)


def _state(machine: Machine) -> str:
    if machine.init_pid() is None:
        return "off"
    said = machine.sh(["systemctl", "is-system-running"]).stdout.strip()
    return said or "booting"


def up(inventory: Path, name: str | None, say: Say) -> Lab:
    """Bring a lab up: images, wiring, disks, hosts. A lab that is up already is completed: hosts that are off start.

    Raises: NotCapable, BadInput (a wrong register; another inventory under that name), ProgramFailed.
    """
    require_capable()
    paths = lab_paths(name)
    province = load(inventory)
    if not province.lab:
        raise BadInput(
            f"{inventory} is not a lab: its hosts are real", hint="only a province.yml with lab: true is built"
        )
    images = {suite: ensure_image(suite, say) for suite in _suites(province)}
    with _locked(paths):
        lab = Lab(paths, province)
        settings = paths.state / "lab.json"
        if settings.exists() and (before := json.loads(settings.read_text())) != _shape(province):
            raise BadInput(
                f"lab {paths.name} is up with another inventory ({before['inventory']})",
                hint=f"tram lab down --name {paths.name}, or choose another --name",
            )
        if not settings.exists() or not network.helpers(paths):
            say(f"laying the wires of {len(province.sites)} sites")
            network.remove(paths)
            network.build(paths, province)
        if not settings.exists():
            shutil.rmtree(paths.state, ignore_errors=True)
            _make_disks(lab, images, say)
            settings.write_text(json.dumps(_shape(province)))
        for machine in lab.machines.values():
            lab._plug(machine.name, lit=True)
            machine.start()
        for machine in lab.machines.values():
            machine.wait_up()
            say(f"{machine.name} is up")
    return lab


def open_lab(name: str | None) -> Lab:
    """The lab of that name. Raises: LabNotUp."""
    paths = lab_paths(name)
    settings = paths.state / "lab.json"
    if not settings.exists():
        raise LabNotUp(f"lab {paths.name} is not up", hint=f"tram lab up --name {paths.name}")
    return Lab(paths, load(Path(json.loads(settings.read_text())["inventory"])))


def down(name: str | None) -> None:
    """Take a lab away: processes, mounts, namespaces, disks. Works on whatever a crash left, and on nothing."""
    paths = lab_paths(name)
    with _locked(paths):
        for machine in _running(paths):
            machine.cut_power()
        network.remove(paths)
        remove_groups(paths.prefix)
        shutil.rmtree(paths.state, ignore_errors=True)
        shutil.rmtree(paths.run, ignore_errors=True)
        shutil.rmtree(paths.memory, ignore_errors=True)
        for left in Path("/run/systemd/nspawn/propagate").glob(f"{paths.prefix}*"):
            left.rmdir()  # nspawn's own, left behind by a power cut
    _lock_file(paths).unlink(missing_ok=True)


def _running(paths: LabPaths) -> list[Machine]:
    """Every host of the lab that runs, found among the processes, whatever the register says by now."""
    tag = f"--machine={paths.host('')}"
    names = {word.removeprefix(tag) for pid in find_prefix(tag) for word in argv(pid) if word.startswith(tag)}
    return [Machine(paths, name) for name in sorted(names)]


def _make_disks(lab: Lab, images: Mapping[str, Path], say: Say) -> None:
    state = lab.paths.state
    state.mkdir(parents=True, mode=0o700)
    state.chmod(0o700)
    run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root of lab {lab.paths.name}", "-f", state / "root_key"]
    )
    password = secrets.token_urlsafe(18)
    file = state / "root_password"
    file.touch(mode=0o600)
    file.write_text(f"{password}\n")
    keys = _keys(state, password)
    say(f"making {len(lab.machines)} disks")
    host_keys = {
        host.inventory_name: lab.machine(host.inventory_name).make_disk(images[host.suite], keys)
        for site in lab.province.sites
        for host in site.hosts
    }
    write_ssh_files(lab.paths, lab.province, host_keys)


def _shape(province: Province) -> dict[str, object]:
    """What must stay as it is while a lab is up: the wiring. Other changes of the register are taken as they come."""
    return {
        "inventory": str(province.folder.resolve()),
        "networks": {site.code: str(site.network) for site in province.sites},
        "hosts": {
            host.inventory_name: [str(host.address), host.suite] for site in province.sites for host in site.hosts
        },
    }


def _suites(province: Province) -> list[str]:
    return sorted({host.suite for site in province.sites for host in site.hosts})


def _lock_file(paths: LabPaths) -> Path:
    return paths.run.parent / f"{paths.name}.lock"


@contextmanager
def _locked(paths: LabPaths) -> Iterator[None]:
    """One `up` or `down` of a lab at a time. Raises: TramError when another is under way."""
    file = _lock_file(paths)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TramError(f"lab {paths.name}: another up or down is under way", hint="wait for it to end") from None
        yield
