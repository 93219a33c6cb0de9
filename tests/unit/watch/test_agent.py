"""A host's agent and the hub's taker: what leaves, what is kept, what crosses the line, and what when nothing does."""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

REPO = Path(__file__).parents[3]
PAGE = """# HELP a b
node_load1 0.5
node_cpu_seconds_total{cpu="0"} 5
node_filesystem_avail_bytes{device="/dev/sda1",device_error="",fstype="ext4",mountpoint="/"} 1e+09
node_filesystem_avail_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run/lock"} 1
tram_baseline_drift{host="x-srv1",site="x"} 2
tram_exporter_success{exporter="đĩa \\"a\\"\\n,b"} 1
"""


def program(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPO / path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


agent, take = program("roles/watch_site/files/agent.py"), program("roles/watch_hub/files/take.py")
page = program("bench/watch/page.py").page


def settings(**more: Any) -> argparse.Namespace:
    keep, no_disk = re.compile("tram_.*|node_(load1|filesystem_avail_bytes)"), re.compile("/(run|dev)(/.*)?")
    return argparse.Namespace(**{"keep": keep, "no_disk": no_disk, "of_others": False, "max_series": 1000} | more)


def test_only_what_is_asked_for_leaves_and_nothing_says_whose_it_is() -> None:
    lines, over = agent.choose(PAGE, settings())
    assert lines == [
        "node_load1 0.5",
        'node_filesystem_avail_bytes{device="/dev/sda1",mountpoint="/"} 1e+09',
        "tram_baseline_drift 2",
        'tram_exporter_success{exporter="đĩa \\"a\\"\\n,b"} 1',
    ]
    assert over == 0


def test_the_hub_alone_speaks_of_others() -> None:
    lines, _ = agent.choose(PAGE, settings(of_others=True))
    assert 'tram_baseline_drift{of_site="x",of_host="x-srv1"} 2' in lines


def test_series_over_the_bound_are_counted() -> None:
    lines, over = agent.choose(PAGE, settings(max_series=3))
    assert (len(lines), over) == (3, 1)


@pytest.mark.parametrize("said", [b"", page(0).encode()], ids=["whole", "against-the-last"])
def test_what_is_packed_is_unpacked(said: bytes) -> None:
    pages = [(1_790_000_060_000, page(1).encode()), (1_790_000_120_000, page(2).encode())]
    assert take.unpack(agent.pack(pages, said), said) == pages


def test_a_page_that_hardly_changed_costs_hardly_anything() -> None:
    said, sizes, series = b"", [], 0
    for minute in range(240):
        lines, _ = agent.choose(page(minute), settings(keep=re.compile(".*")))
        text, series = ("\n".join(lines) + "\n").encode(), len(lines)
        sizes.append(len(agent.pack([(1_790_000_000_000 + 60_000 * minute, text)], said)))
        said = text[-agent.WINDOW :]
    request = len("POST /samples HTTP/1.1\r\nHost:watch.lab.example.vn\r\nContent-Length:999\r\n\r\n") + agent.HEADERS
    day = (sum(sizes[1:]) / len(sizes[1:]) + request) * 1440
    print(f"{series} series each minute: {sum(sizes[1:]) / len(sizes[1:]):.0f} bytes packed (a whole page {sizes[0]}); "
          f"with HTTP, TLS and TCP/IP {day / 1e6:.2f} MB a day")  # fmt: skip
    assert series >= 150
    assert day < 1_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0\0\0garbage",
        b"\0\0\0\0" + zlib.compress(b"@1\nup 1\n")[2:-4][:-3],
        agent.pack([], b"") + b"",
        b"\0\0\0\0" + zlib.compress(b"@x\nup 1\n", wbits=-15),
        b"\0\0\0\0" + zlib.compress(b"@1\n" + b"0" * 9_000_000, wbits=-15),
        b"\0\0\0\0" + zlib.compress(b"@1\n" + b"a\n" * 200_000, wbits=-15),
        b"\0\0\0\0" + zlib.compress(b"@1\n" * 200_000, wbits=-15),
    ],
    ids=["garbage", "cut-off", "empty", "no-time", "bomb", "bomb-of-lines", "bomb-of-pages"],
)
def test_what_no_agent_sends_is_refused(body: bytes) -> None:
    with pytest.raises(take.Unreadable):
        take.unpack(body, b"")


def test_a_page_that_is_not_known_is_told() -> None:
    with pytest.raises(take.Unknown):
        take.unpack(agent.pack([(1, b"up 1\n")], b"one"), b"another")


def test_each_line_gets_its_time() -> None:
    assert take.stamped([(5, b"up 1\na 2\n"), (6, b"up 0\n")]) == b"up 1 5\na 2 5\nup 0 6\n"


def test_a_reading_outlives_the_agent_and_the_newest_goes_first(tmp_path: Path) -> None:
    now = round(time.time() * 1000)
    spool = agent.Spool(tmp_path / "spool", 10_000_000)
    for minutes in (5, 4, 3, 0):
        spool.add(now - 60_000 * minutes, f"up {minutes}\n".encode())
    (tmp_path / "spool/new").write_bytes(b"half a readi")
    again = agent.Spool(tmp_path / "spool", 10_000_000)
    live = again.next()
    assert live == [(now, b"up 0\n")]
    again.remove([now])
    assert [text for _at, text in again.next()] == [b"up 5\n", b"up 4\n", b"up 3\n"]


def test_beyond_the_bound_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    spool = agent.Spool(tmp_path, 3 * agent.BLOCK)
    for at in range(1, 6):
        spool.add(at, b"up 1\n")
    assert (spool.times, spool.dropped) == ([3, 4, 5], 2)


def test_the_hub_is_told_how_many_were_lost_and_when(tmp_path: Path) -> None:
    spool = agent.Spool(tmp_path, 2 * agent.BLOCK)
    spool.add(1, b"up 1\n")
    assert spool.told() == ["tram_watch_pending 1", "tram_watch_dropped_total 0"]
    began = time.time()
    for at in (2, 3):
        spool.add(at, b"up 1\n")
    pending, dropped, when = spool.told()
    assert (pending, dropped) == ("tram_watch_pending 2", "tram_watch_dropped_total 1")
    assert when.startswith("tram_watch_dropped_timestamp_seconds ")
    assert float(when.split()[1]) >= began - 1


def test_a_reading_the_disk_spoilt_holds_nothing_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spool = agent.Spool(tmp_path, 10_000_000)
    for at in (1, 2):
        spool.add(at, b"up 1\n")
    (tmp_path / "1").write_bytes(b"\0" * 40)
    assert spool.next() == [(2, b"up 1\n")]
    assert (spool.times, spool.dropped) == ([2], 1)
    assert "cannot be read and is lost" in capsys.readouterr().err


def test_a_full_disk_is_told_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = agent.Spool(tmp_path, 10_000_000)

    def full(_name: str, _packed: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_write", full)
        for at in range(1, agent.READINGS_IN_MEMORY + 3):
            spool.add(at, b"up 1\n")
    assert (len(spool.times), spool.dropped) == (agent.READINGS_IN_MEMORY, 2)
    assert "No space left" in capsys.readouterr().err
    found = spool.next()
    assert found[0] == (3, b"up 1\n")
    spool.remove([at for at, _text in found])
    spool.add(99, b"up 1\n")
    assert (spool.times, spool.unwritten) == ([99], {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["99", "dropped"]


class Enough(Exception):
    """The spool is empty."""


def test_what_was_taken_last_is_the_newest_also_while_a_backlog_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = round(time.time() * 1000)
    spool, status = agent.Spool(tmp_path / "spool", 10_000_000), tmp_path / "said.json"
    for minutes in (5, 4, 0, -999):
        spool.add(now - 60_000 * minutes, b"up 1\n")

    def wait(**_more: float) -> None:
        raise Enough

    monkeypatch.setattr(spool.more, "wait", wait)
    with pytest.raises(Enough):
        agent.send(spool, argparse.Namespace(tell=lambda _pages: 100), status, 0)
    assert json.loads(status.read_text()) == {
        "requests": 3, "bytes": 300, "taken": now, "error": "", "pending": 0, "dropped": 0,
    }  # fmt: skip


class Store(ThreadingHTTPServer):
    """Stands for the store: keeps what it is given; refuses while it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.code = 204
        outer = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if outer.code == 204:
                    outer.lines += [f"{self.path.partition('?')[2]} {line}" for line in text.splitlines()]
                self.send_response_only(outer.code)
                self.end_headers()

        super().__init__(("127.0.0.1", 0), Taking)


@pytest.fixture
def serve() -> Iterator[Callable[[ThreadingHTTPServer], ThreadingHTTPServer]]:
    """Serve on a thread until the end of the test."""
    running: list[ThreadingHTTPServer] = []

    def begin(server: ThreadingHTTPServer) -> ThreadingHTTPServer:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield begin
    for one in running:
        one.shutdown()
        one.server_close()


class Plain(agent.Hub):  # type: ignore[misc, name-defined]
    """The way to the hub without TLS and nginx."""

    def connect(self) -> None:
        self.close()
        self.sock = socket.create_connection(("127.0.0.1", self.settings.port), timeout=5)  # type: ignore[assignment]
        self.answers = self.sock.makefile("rb")
        self.since = time.monotonic()

    def _post(self, body: bytes) -> tuple[int, int]:
        # The taker hangs up after each answer: nginx keeps the connection for it.
        self.connect()
        assert self.sock is not None
        send_all = self.sock.sendall
        self.sock = type("Sock", (), {"sendall": lambda _, data: send_all(data.replace(b"/samples", b"/take?a=b", 1)),
                                      "close": self.sock.close})()  # fmt: skip
        return super()._post(body)  # type: ignore[no-any-return]


def test_taken_is_what_the_store_has_and_a_hub_that_began_anew_gets_a_whole_page(
    serve: Callable[[ThreadingHTTPServer], ThreadingHTTPServer],
) -> None:
    store = serve(Store())
    assert isinstance(store, Store)
    at = f"127.0.0.1:{store.server_address[1]}"
    taker = serve(take.Server(("127.0.0.1", 0), at))
    hub = Plain(argparse.Namespace(hub="h", port=taker.server_address[1]))
    whole = hub.tell([(1, page(1).encode())])
    again = hub.tell([(2, page(1).encode())])
    assert again < whole / 3
    store.code = 503
    with pytest.raises(OSError, match="the hub answers 503"):
        hub.tell([(3, page(3).encode())])
    store.code = 204
    taker.known.clear()  # type: ignore[attr-defined]
    assert hub.tell([(3, page(3).encode())]) > whole  # it says it does not know, and is told anew
    assert [line for line in store.lines if "node_load1" in line and line.endswith(" 3")] != []
    assert len({line.rsplit(" ", 1)[1] for line in store.lines}) == 3
    assert all(line.startswith("a=b ") for line in store.lines)


def test_who_gets_no_turn_is_told_to_come_again(
    serve: Callable[[ThreadingHTTPServer], ThreadingHTTPServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = serve(Store())
    taker = serve(take.Server(("127.0.0.1", 0), f"127.0.0.1:{store.server_address[1]}"))
    hub = Plain(argparse.Namespace(hub="h", port=taker.server_address[1]))
    monkeypatch.setattr(take, "TURN_SECONDS", 0)
    for _ in range(take.AT_ONCE):
        taker.turns.acquire()  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="the hub answers 503"):
        hub.tell([(1, b"up 1\n")])
    taker.turns.release()  # type: ignore[attr-defined]
    for at in range(2 * take.AT_ONCE):
        hub.tell([(at, b"up 1\n")])


def test_a_page_of_random_bytes_never_ends_the_taker() -> None:
    dice = random.Random(7)
    for _ in range(300):
        body = b"\0\0\0\0" + dice.randbytes(dice.randrange(1, 200))
        try:
            take.unpack(body, b"")
        except take.Unreadable:
            continue


def test_the_default_holds_a_month_of_minutes() -> None:
    defaults = yaml.safe_load((REPO / "roles/watch_site/defaults/main.yml").read_text(encoding="utf-8"))
    month = 31 * 86_400 / defaults["watch_site_every_seconds"]
    text = "\n".join(agent.choose(page(1), settings(keep=re.compile(".*")))[0]).encode()
    assert len(zlib.compress(text, 9)) <= agent.BLOCK
    assert month * agent.BLOCK <= defaults["watch_site_buffer_max_bytes"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it answers nothing"),
        (b"HTTP/1.0 503 Busy\r\n\r\n", "it answers HTTP/1.0 503 Busy"),
        (b"HTTP/1.0 200 OK\r\n\r\nnode_filesystem_avail_bytes 1.2", "its page is cut off"),
    ],
    ids=["hung-up", "busy", "cut-off"],
)
def test_a_page_that_is_not_whole_is_an_error_of_the_target(answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:

        def once() -> None:
            taken, _ = door.accept()
            with taken:
                taken.recv(1000)
                taken.sendall(answer)

        threading.Thread(target=once, daemon=True).start()
        with pytest.raises(ValueError, match=said):
            agent.read(f"127.0.0.1:{door.getsockname()[1]}")


def test_a_label_may_hold_what_python_takes_for_the_end_of_a_line() -> None:
    line = 'tram_disk_readable{disk="a\u2028b\x85"} 1'
    assert agent.choose(f"{line}\n", settings()) == ([line], 0)


def test_a_disk_that_became_read_only_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = agent.Spool(tmp_path, 10_000_000)
    spool.add(1, b"up 1\n")
    (tmp_path / "new").touch()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(Path, "rename", read_only)
    spool = agent.Spool(tmp_path, 10_000_000)
    spool.add(2, b"up 1\n")
    spool.remove([1, 2])
    assert (spool.times, spool.unwritten, spool.next()) == ([], {}, [])
    assert "Read-only file system" in capsys.readouterr().err


def test_a_reading_that_goes_for_two_reasons_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = agent.Spool(tmp_path, 2 * agent.BLOCK)
    monkeypatch.setattr(agent, "READINGS_IN_MEMORY", 1)
    spool.unwritten, spool.sizes, spool.times = {1: b"up 1\n"}, {1: 0, 2: agent.BLOCK, 3: agent.BLOCK}, [1, 2, 3]
    spool.unwritten[4], spool.sizes[4], spool.times = b"up 1\n", 0, [1, 2, 3, 4]
    spool.add(5, b"up 1\n")
    assert (spool.times, spool.dropped) == ([3, 4, 5], 2)


def test_two_pages_of_the_same_mark_cost_a_whole_page_and_no_reading(
    serve: Callable[[ThreadingHTTPServer], ThreadingHTTPServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = serve(Store())
    assert isinstance(store, Store)
    taker = serve(take.Server(("127.0.0.1", 0), f"127.0.0.1:{store.server_address[1]}"))
    hub = Plain(argparse.Namespace(hub="h", port=taker.server_address[1]))
    hub.tell([(1, page(1).encode())])
    monkeypatch.setattr(zlib, "crc32", lambda _: 0)  # no page's mark is what one with none is told by
    hub.tell([(2, page(1).encode())])
    assert any(line.endswith(" 2") for line in store.lines)
