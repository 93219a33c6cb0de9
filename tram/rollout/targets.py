"""Which hosts of the register a playbook is for: its own `hosts:` patterns, read by Ansible's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tram.core.errors import BadInput
from tram.register import Host, Province, Site
from tram.register.inventory import all_groups, entries

# Playbooks that import one another in a circle would never end.
_DEEPEST_IMPORT = 10


@dataclass(frozen=True, slots=True)
class Targets:
    """The hosts a playbook is for, in the order of the register; `named` are the groups its patterns name."""

    hosts: tuple[tuple[Site, Host], ...]
    named: frozenset[str]


def find_playbook(stack: str, folder: Path = Path("playbooks")) -> Path:
    """The playbook of a stack: `mail` is playbooks/mail.yml; a path is itself.

    Raises: BadInput when there is none.
    """
    path = Path(stack) if stack.endswith((".yml", ".yaml")) else folder / f"{stack}.yml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.yml"))) or "none here"
        raise BadInput(f"{stack}: there is no {path}", hint=f"the stacks are: {known}")
    return path


def targets(playbook: Path, province: Province) -> Targets:
    """Every host that a play of the playbook, or of one it imports, is for.

    Raises: BadInput for a playbook that cannot be read, or is for no host of the province.
    """
    patterns = list(dict.fromkeys(_patterns(playbook, _DEEPEST_IMPORT)))
    plain = _plain(province)
    if all(pattern in plain for pattern in patterns):
        names = {name for pattern in patterns for name in plain[pattern]}
    else:
        names = _by_ansible(patterns, playbook, province)
    hosts = tuple((site, host) for site in province.sites for host in site.hosts if host.inventory_name in names)
    if not hosts:
        raise BadInput(
            f"{playbook}: no host of {province.name} is meant ({', '.join(patterns)})",
            hint="give hosts that function in the register",
        )
    words = {word for pattern in patterns for word in pattern.replace(",", ":").split(":")}
    return Targets(hosts, frozenset(word.lstrip("&") for word in words if not word.startswith("!")))


def _plain(province: Province) -> dict[str, list[str]]:
    """The hosts of each pattern that is nothing but the name of a group."""
    found: dict[str, list[str]] = {group: [] for group in ("all", *all_groups(province))}
    for entry in entries(province):
        for group in ("all", *entry.groups):
            found[group].append(entry.name)
    return found


def _by_ansible(patterns: Iterable[str], playbook: Path, province: Province) -> set[str]:
    """The names of the hosts of any patterns: a third of a second to import Ansible, so not for plain ones."""
    from ansible.errors import AnsibleError  # noqa: PLC0415

    inventory = _inventory(province)
    try:
        return {str(host.name) for pattern in patterns for host in inventory.list_hosts(pattern)}
    except AnsibleError as error:
        raise BadInput(f"{playbook}: {error}", hint="correct its hosts:") from error


def _inventory(province: Province) -> Any:
    """The register as Ansible's inventory, without reading a file again."""
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    manager = InventoryManager(loader=DataLoader(), parse=False)
    for group in all_groups(province):
        manager.add_group(group)
    for entry in entries(province):
        for group in ("all", *entry.groups):
            manager.add_host(entry.name, group=group)
    manager.reconcile_inventory()
    return manager


def _patterns(playbook: Path, depth: int) -> Iterator[str]:
    """The `hosts:` of every play, those of imported playbooks in their place."""
    if depth == 0:
        raise BadInput(f"{playbook}: playbooks import one another too deeply", hint="is there a circle?")
    try:
        plays = YAML(typ="safe").load(playbook.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(f"{playbook}: cannot be read: {str(error).splitlines()[0]}", hint="correct the file") from error
    if not isinstance(plays, list) or not all(isinstance(play, dict) for play in plays):
        raise BadInput(f"{playbook}: is no list of plays", hint="correct the file")
    for play in plays:
        imported = play.get("ansible.builtin.import_playbook", play.get("import_playbook"))
        if imported:
            yield from _patterns(playbook.parent / str(imported), depth - 1)
            continue
        hosts = play.get("hosts", "")
        yield ":".join(map(str, hosts)) if isinstance(hosts, list) else str(hosts)
