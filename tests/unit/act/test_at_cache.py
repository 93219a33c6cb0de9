"""The program at a package cache: what is there is not fetched, caps and hours hold, what breaks off is asked again."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tram.act import at_cache

MIRROR = "http://deb.example/debian/pool"


class PackageCache(ThreadingHTTPServer):
    """Gives packages, and keeps them where apt-cacher-ng would; `breaks` are those that break off once."""

    daemon_threads = True

    def __init__(self, kept: Path) -> None:
        super().__init__(("127.0.0.1", 0), Package)
        self.kept = kept
        self.packages: dict[str, bytes] = {}
        self.breaks: set[str] = set()
        self.asked: list[str] = []


class Package(BaseHTTPRequestHandler):
    server: PackageCache

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        data = self.server.packages.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.path in self.server.breaks:
            self.server.breaks.remove(self.path)
            self.wfile.write(data[: len(data) // 2])
            return
        path = self.server.kept / self.path.removeprefix("http://").replace("%2b", "+")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageCache]:
    with PackageCache(tmp_path / "kept") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for number, size in enumerate((1000, 2000, 4000)):
            server.packages[f"{MIRROR}/p{number}_1%2b{number}.deb"] = bytes(size)
        monkeypatch.setattr(at_cache, "KEPT", server.kept)
        monkeypatch.setattr(at_cache, "setting", lambda _: f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(at_cache.time, "sleep", lambda _: None)
        yield server
        server.shutdown()


def work(cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **given: Any) -> Any:
    """Run the program; the last line it says, with what it said was needed."""
    asked = {
        "state": str(cache.kept.parent / "state"), "hosts": [], "mirror": None, "dry": False, "max_bytes": None,
        "until": None, "files": [[address, len(data)] for address, data in cache.packages.items()],
    }  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(asked | given).encode() + b"\n")))
    at_cache.main()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next(line for line in said if "need" in line) | said[-1]


def test_what_is_there_is_not_fetched_again(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = work(cache, monkeypatch, capsys)
    assert (first["need"], first["of"], first["fetched"], first["problems"]) == (7000, 7000, 7000, [])
    again = work(cache, monkeypatch, capsys)
    assert (again["need"], again["of"], again["fetched"]) == (7000, 0, 0)
    assert len(cache.asked) == 3


def test_a_dry_run_fetches_nothing(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert work(cache, monkeypatch, capsys, dry=True)["of"] == 7000
    assert cache.asked == []


def test_the_cap_holds_and_the_rest_comes_the_next_time(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = work(cache, monkeypatch, capsys, max_bytes=3500)
    assert (first["fetched"], first["why_left"], first["left"]) == (3000, "cap", [f"{MIRROR}/p2_1%2b2.deb"])
    again = work(cache, monkeypatch, capsys, max_bytes=4000)
    assert (again["fetched"], again["left"]) == (4000, [])


def test_nothing_more_is_begun_when_the_hours_are_over(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = work(cache, monkeypatch, capsys, until=time.time() - 1)
    assert (said["fetched"], said["why_left"], len(said["left"])) == (0, "hours", 3)


def test_what_breaks_off_is_asked_for_again_and_counted_once(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.breaks.add(f"{MIRROR}/p2_1%2b2.deb")
    said = work(cache, monkeypatch, capsys)
    assert (said["fetched"], said["problems"]) == (7000, [])


def test_what_the_mirror_does_not_have_is_said_and_the_others_come(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"{MIRROR}/gone.deb"
    files = [[gone, 10], *([address, len(data)] for address, data in cache.packages.items())]
    said = work(cache, monkeypatch, capsys, files=files)
    assert said["fetched"] == 7000
    assert said["problems"] == [[gone, "404 Not Found"]]


def test_nothing_outside_of_the_cache_is_looked_at(cache: PackageCache) -> None:
    (cache.kept.parent / "secret").write_bytes(b"x")
    cache.kept.mkdir(exist_ok=True)
    assert at_cache.kept("http://deb.example/../../secret") == 0


def test_a_host_that_names_a_file_of_its_own_is_refused(
    cache: PackageCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = {"name": "a", "architecture": "amd64", "sources": [["../x.list", ""]], "status": "", "packages": ["b"]}
    with pytest.raises(at_cache.Stop, match="no name of a file"):
        work(cache, monkeypatch, capsys, hosts=[host])


def test_apts_lines_are_read_whatever_hash_they_have() -> None:
    lines = [
        "'http://a/b_1%3a2%2b3_all.deb' b_1%3a2+3_all.deb 4495456 ",
        "'http://a/c_1_all.deb' c_1_all.deb 12 MD5Sum:ca437fbf6cd7213667aefcbd28bc2b6a",
        "Reading package lists...",
    ]
    found = [(one["address"], one["size"]) for one in map(at_cache.URI.match, lines) if one]
    assert found == [("http://a/b_1%3a2%2b3_all.deb", "4495456"), ("http://a/c_1_all.deb", "12")]


def test_pieces_of_the_mirrors_files_are_found_where_nginx_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_cache, "PIECES", tmp_path)
    size = at_cache.SLICE + 100
    assert at_cache.Mirror.has("/bundles/a", size) == 0
    key = hashlib.md5(b"/bundles/abytes=1048576-2097151", usedforsecurity=False).hexdigest()
    piece = tmp_path / key[-1] / key[-3:-1] / key
    piece.parent.mkdir(parents=True)
    piece.touch()
    assert at_cache.Mirror.has("/bundles/a", size) == 100
