"""The site runtime: the same bytes each time, only what a site needs, and pure Python."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
from pathlib import Path

import pytest
import yaml

from tram.bundle.runtime import archive, build_runtime, compress
from tram.bundle.runtime_content import runtime_files
from tram.bundle.runtime_tables import meta_as_json, settings_as_json
from tram.core.canonical import dumps

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return runtime_files()


def test_the_archive_depends_on_nothing_but_its_files() -> None:
    files = {"b/two": b"2", "a": b"1"}
    backwards = dict(reversed(list(files.items())))
    assert archive(files) == archive(backwards)
    with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
        found = {entry.name: (entry.mode, entry.mtime, entry.uid, entry.uname) for entry in tar}
    assert found == {"a": (0o644, 0, 0, ""), "b/two": (0o644, 0, 0, "")}


def test_an_old_host_can_afford_to_unpack_it() -> None:
    packed = compress(b"x" * 100_000)
    unpacker = lzma.LZMADecompressor(memlimit=24 * 1024 * 1024)
    assert unpacker.decompress(packed) == b"x" * 100_000


def test_it_is_small_pure_and_whole(files: dict[str, bytes]) -> None:
    assert not [name for name in files if name.endswith((".so", ".pyc", ".c", ".ps1"))]
    assert sum(map(len, files.values())) < 12_000_000
    for name in (
        "ansible/cli/playbook.py",
        "ansible/modules/apt.py",
        "ansible/plugins/connection/local.py",
        "ansible/plugin_options.json",
        "jinja2/environment.py",
        "launch.py",
        "licenses/ansible/COPYING",
        "tram/core/errors.py",
        "tram/site/executor/nursery.py",
        "tram/site/install/installer.py",
        "yaml/__init__.py",
    ):
        assert name in files
    assert not [name for name in files if name.startswith(("ansible/galaxy/", "ansible/modules/dnf", "cryptography"))]


def test_only_what_may_run_on_hosts_is_in_it(files: dict[str, bytes]) -> None:
    ours = {Path(name).parts[1] for name in files if name.startswith("tram/")}
    assert ours == {"__init__.py", "core", "site"}


def test_it_is_named_by_its_index_and_built_again_the_same(files: dict[str, bytes], tmp_path: Path) -> None:
    one, two = build_runtime(tmp_path / "one"), build_runtime(tmp_path / "two")
    assert one.id == two.id == hashlib.sha256(dumps(one.index)).hexdigest()[:16]
    content = one.base.path.read_bytes()
    assert content == two.base.path.read_bytes()
    assert one.base.sha256 == hashlib.sha256(content).hexdigest()
    assert one.base.bytes == len(content) < one.bytes < 1_500_000
    with tarfile.open(one.base.path) as tar:
        assert {*tar.getnames(), *one.files} == set(files)
    assert {path.partition("/")[0] for path in one.files}.isdisjoint(one.base.names)


def test_tables_read_the_same_as_json() -> None:
    settings = b"A:\n  default: '{{ x }}'\n  type: bool\n  env: [{name: A_B}]\n  version_added: '2.10'\n  n: 010\n"
    assert yaml.safe_load(settings_as_json(settings)) == yaml.safe_load(settings)
    routes = b"plugin_routing:\n  modules:\n    x: {redirect: a.b.x, removal_version: 2.10}\n"
    assert json.loads(meta_as_json(routes)) == yaml.load(routes, Loader=yaml.BaseLoader)


def test_a_table_that_json_cannot_carry_is_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        settings_as_json(b"when: 2026-11-21\n")
