"""A small project of its own: the register of the lab, and playbooks and roles that a test writes."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tram.bundle import Content, build
from tram.register import Host, Province, load

REPO = Path(__file__).parents[3]
FAR = "huong-khe-srv1"


@dataclass(frozen=True)
class Bench:
    """A project in a directory of its own, with a secrets directory beside it."""

    folder: Path
    secrets: Path

    def write(self, files: dict[str, str]) -> Bench:
        """Write files of the project, each text without its common indentation."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return self

    def keep(self, files: dict[str, str]) -> Bench:
        """Write files of the secrets directory."""
        for name, text in files.items():
            path = self.secrets / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return self

    @property
    def province(self) -> Province:
        """The register as it is now."""
        return load(self.folder / "inventories/lab")

    def host(self, name: str = FAR) -> Host:
        """A host by its inventory name."""
        hosts = (host for site in self.province.sites for host in site.hosts)
        return next(host for host in hosts if host.inventory_name == name)

    def build(self, name: str = FAR, playbook: str = "play.yml", *, check: bool = False) -> Content:
        """The bundle of one host."""
        return build(
            self.folder / "playbooks" / playbook, self.province, self.host(name), secrets=self.secrets, check=check
        )

    def unpack(self, content: Content, into: Path) -> Path:
        """The files of a bundle on disk."""
        for place, entry in content.tree.files.items():
            path = into / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.objects[entry.digest])
            path.chmod(entry.mode)
        return into


def text_of(content: Content, place: str) -> str:
    """A file of a bundle."""
    return content.objects[content.tree.files[place].digest].decode()


def set_up(folder: Path) -> Bench:
    """An empty project with the lab's register."""
    lab = folder / "inventories/lab"
    shutil.copytree(REPO / "inventories/lab/sites", lab / "sites")
    for name in ("province.yml", "register.yml"):
        shutil.copy(REPO / "inventories/lab" / name, lab / name)
    shutil.copytree(REPO / "inventories/plugins", folder / "inventories/plugins")
    shutil.copy(REPO / "ansible.cfg", folder / "ansible.cfg")
    secrets = folder.parent / f"{folder.name}-secrets"
    secrets.mkdir(mode=0o700)
    return Bench(folder, secrets)
