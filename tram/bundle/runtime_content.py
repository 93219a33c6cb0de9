"""What goes into the site runtime, and what of ansible-core does not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tram.bundle.runtime_tables import meta_as_json, plugin_options, settings_as_json
from tram.core.errors import NotCapable

# Distribution, its import package, and what of the package stays behind.
PACKAGES = (
    ("ansible-core", "ansible", ()),
    ("jinja2", "jinja2", ("*.typed",)),
    ("markupsafe", "markupsafe", ("*.so", "*.c", "*.pyi", "*.typed")),
    ("pyyaml", "yaml", ("*.so", "cyaml.py")),
    (
        "packaging",
        "packaging",
        ("*.typed", "licenses/*", "pylock.py", "metadata.py", "direct_url.py", "dependency_groups.py"),
    ),
    # The filter password_hash. Of the kinds of hash those that Debian's own crypt(3) knows.
    (
        "passlib",
        "passlib",
        (
            *("tests/*", "ext/*", "_data/*", "apache.py", "apps.py", "hosts.py", "pwd.py", "totp.py", "win32.py"),
            *("crypto/scrypt/*", "crypto/_blowfish/*", "utils/pbkdf2.py", "utils/des.py", "utils/md4.py"),
            "handlers/[!_bdms]*.py",
            "handlers/mssql.py",
            "handlers/mysql.py",
            "handlers/django.py",
        ),
    ),
)

# A site runs playbooks against itself: no galaxy, no documentation browser, no Windows, no network appliances, no other
# way to connect than "local". `*` also matches "/".
_ANSIBLE_WITHOUT = (
    "galaxy/*",
    "keyword_desc.yml",
    "cli/adhoc.py",
    "cli/config.py",
    "cli/console.py",
    "cli/doc.py",
    "cli/galaxy.py",
    "cli/inventory.py",
    "cli/pull.py",
    "cli/vault.py",
    "cli/_ssh_askpass.py",
    "cli/scripts/ansible_connection_cli_stub.py",
    "executor/powershell/*.ps1",
    "module_utils/csharp/*",
    "module_utils/powershell/*",
    "module_utils/yumdnf.py",
    "plugins/action/dnf.py",
    "plugins/callback/junit.py",
    "plugins/callback/oneline.py",
    "plugins/callback/tree.py",
    "plugins/connection/[!_l]*.py",
    "plugins/connection/_paramiko_ssh.py",
    "plugins/filter/*.yml",
    "plugins/inventory/advanced_host_list.py",
    "plugins/inventory/generator.py",
    "plugins/list.py",
    "plugins/shell/cmd.py",
    "plugins/strategy/debug.py",
    "plugins/test/*.yml",
    "plugins/lookup/config.py",
    "plugins/lookup/unvault.py",
)

# Builtin modules that stay: what the roles use, what runs on Debian, and what action plugins run on their own.
_MODULES = frozenset(
    """
    __init__ add_host apt apt_key apt_repository assemble assert async_status async_wrapper blockinfile command
    copy cron deb822_repository debconf debug dpkg_selections expect fail fetch file find gather_facts get_url
    getent git group group_by hostname import_playbook import_role import_tasks include_role include_tasks
    include_vars iptables known_hosts lineinfile meta mount_facts package package_facts pause ping pip raw
    reboot replace script service service_facts set_fact set_stats setup shell slurp stat systemd
    systemd_service sysvinit tempfile template unarchive uri user validate_argument_spec wait_for
    wait_for_connection
    """.split()  # noqa: SIM905
)

# `python3 -I launch.py MODULE ARGS…`: of all there is on the host, only this directory is added to the search path.
_LAUNCH = b'''\
"""Start a program of this runtime: python3 -I launch.py MODULE [ARGUMENT]..."""

import os
import runpy
import sys

# The real path: a run that has begun stays with its runtime although `current` is switched meanwhile.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
'''

_OURS = ("core", "site")  # rooms of ours that run on hosts


def base_files() -> dict[str, bytes]:
    """What is not ours: relative posix path → content. It changes when a package is updated.

    Raises: NotCapable when a package it is made of is not installed here.
    """
    files: dict[str, bytes] = {}
    for distribution, package, without in PACKAGES:
        folder = _folder(package)
        for path in _sources(folder):
            name = path.relative_to(folder).as_posix()
            if any(fnmatch(name, pattern) for pattern in without):
                continue
            if package == "ansible" and not is_wanted(name):
                continue
            files[f"{package}/{name}"] = path.read_bytes()
        files |= _licences(distribution, package)
        version = importlib.metadata.version(distribution)
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        files[f"{distribution.replace('-', '_')}-{version}.dist-info/METADATA"] = metadata.encode()
    # Read at each start; as JSON (which is YAML too) they cost a host milliseconds instead of seconds.
    ansible = _folder("ansible")
    for table in ("config/base.yml",):
        files[f"ansible/{table}"] = settings_as_json((ansible / table).read_bytes())
    for table in ("config/ansible_builtin_runtime.yml",):
        files[f"ansible/{table}"] = meta_as_json((ansible / table).read_bytes())
    files["ansible/plugin_options.json"] = plugin_options()
    return files


def own_files() -> dict[str, bytes]:
    """What is ours: relative posix path → content."""
    package = _folder("tram")
    paths = [package / "__init__.py", *(path for room in _OURS for path in _sources(package / room))]
    files = {f"tram/{path.relative_to(package).as_posix()}": path.read_bytes() for path in paths}
    return {"launch.py": _LAUNCH, **files}


def runtime_files() -> dict[str, bytes]:
    """Every file of the runtime as it lies in its directory on a host.

    Raises: NotCapable, as `base_files`.
    """
    return base_files() | own_files()


def is_wanted(name: str) -> bool:
    """Whether the runtime has this file of the package `ansible` (path relative to the package)."""
    folder, _, leaf = name.rpartition("/")
    if folder == "modules":
        return leaf.removesuffix(".py") in _MODULES
    return not any(fnmatch(name, pattern) for pattern in _ANSIBLE_WITHOUT)


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotCapable(f"Python package {package} is not installed", hint="run scripts/setup.sh")
    return Path(spec.submodule_search_locations[0])


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def _licences(distribution: str, package: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in importlib.metadata.files(distribution) or []:
        if "dist-info" in file.parts[0] and (
            "licenses" in file.parts or file.name.upper().startswith(("LICENSE", "COPYING"))
        ):
            found[f"licenses/{package}/{file.name}"] = Path(str(file.locate())).read_bytes()
    return found
