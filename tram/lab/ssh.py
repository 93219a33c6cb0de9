"""How the centre reaches lab hosts by ssh: an ssh_config that goes through the seat in the lab's own namespace."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tram.lab.paths import LabPaths
from tram.register import Province


def write_ssh_files(paths: LabPaths, province: Province, host_keys: Mapping[str, str]) -> None:
    """Write `ssh_config` and `known_hosts` into the lab's state.

    The lab made the disks, so it knows each host's identity beforehand, as from a provider's delivery note: the
    keys are pinned before the first contact.
    """
    state = paths.state
    # Of this lab, whichever one is meant elsewhere ($TRAM_LAB, see Province.secrets_dir).
    secrets = os.environ.get("TRAM_SECRETS") or state / "secrets"
    known, blocks = [], []
    for site in province.sites:
        for host in site.hosts:
            kind, key = host_keys[host.inventory_name].split()[:2]
            known.append(f"{host.inventory_name},{host.address} {kind} {key}\n")
            blocks.append(f"Host {host.inventory_name}\n    HostName {host.address}\n\n")
    (state / "known_hosts").write_text("".join(known))
    (state / "ssh_config").write_text(
        f"# Lab {paths.name}. Use: ssh -F {state}/ssh_config HOST\n"
        + "".join(blocks)
        + f"""Host *
    User {province.operator}
    IdentityFile {secrets}/ssh/id_ed25519
    IdentityFile {state}/root_key
    IdentitiesOnly yes
    UserKnownHostsFile {state}/known_hosts {secrets}/ssh/known_hosts_ca
    StrictHostKeyChecking yes
    ProxyCommand nsenter --net=/run/netns/{paths.core} nc %h %p
"""
    )
