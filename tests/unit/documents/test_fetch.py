"""Of a release only the named files are taken; what breaks off is gone on with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tram_documents import fetch, place

ROLE = Path(__file__).parents[3] / "roles/documents"
CONTENT = b"a wheel"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_every_package_is_named_by_file_and_hash(suite: str) -> None:
    lines = (ROLE / f"files/requirements-{suite}.txt").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not line.startswith("#") and not fetch.LINE.fullmatch(line)]
    assert wrong == []
    assert len(lines) > 100
    assert not [line for line in lines if line.startswith("python-ldap")]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose release is one wheel and one package of scripts, in a directory brought by hand."""
    brought = tmp_path / "brought"
    for name in ("etc", "cache", "brought"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/requirements.txt").write_text(f"one==1 --hash=sha256:{DIGEST}  # one-1-py3-none-any.whl\n")
    (tmp_path / "etc/scripts.txt").write_text(f"@a/b 1 {DIGEST} a-b-1.tgz x/static/x\n")
    urls = {"wheels_url": f"file://{brought}/", "scripts_url": f"file://{brought}/"}
    config = {**urls, "tls": {"ca": "x", "chain": "x", "key": "x"}}
    (tmp_path / "etc/settings.json").write_text(json.dumps(config))
    for module in (place, fetch):
        monkeypatch.setattr(module, "ETC", tmp_path / "etc")
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    return tmp_path


def test_what_is_there_and_right_is_taken_once(host: Path) -> None:
    for name in ("one-1-py3-none-any.whl", "a-b-1.tgz"):
        (host / "brought" / name).write_bytes(CONTENT)
    assert fetch.fetch_all() == 2
    assert fetch.fetch_all() == 0
    assert [script.place for script in fetch.scripts()] == ["x/static/x/node_modules/@a/b"]


def test_another_file_of_that_name_is_not_taken(host: Path) -> None:
    (host / "brought/one-1-py3-none-any.whl").write_bytes(CONTENT)
    (host / "brought/a-b-1.tgz").write_bytes(b"something else")
    with pytest.raises(place.Trouble, match=r"1 files of the release could not be had, among them a-b-1\.tgz"):
        fetch.fetch_all()
    assert (host / "cache/one-1-py3-none-any.whl").exists()
    assert not (host / "cache/a-b-1.tgz").exists()


def test_an_index_says_where_a_file_is() -> None:
    links = fetch.Links("https://mirror.tinh.example:8443/wheels/simple/one/")
    links.feed('<a href="../../files/ab/one-1-py3-none-any.whl#sha256=ab">one</a><a>no</a>')
    address = "https://mirror.tinh.example:8443/wheels/files/ab/one-1-py3-none-any.whl"
    assert links.found == {"one-1-py3-none-any.whl": address}
