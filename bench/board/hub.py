"""A hub of its own on loopback: Debian's Prometheus takes what Debian's vmagent scrapes and writes to it.

The way of a real site's samples: vmagent scrapes pages, keeps them on disk, and sends them by remote write.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from threading import Thread

import httpx

from bench.board.province import page_of, silent
from tram.register import Province

SCRAPE_SECONDS = 20
NAME, PASSWORD = "truc", secrets.token_urlsafe(12)
_PROMETHEUS = """\
global: {scrape_interval: 1m}
storage:
  tsdb: {out_of_order_time_window: 30d}
"""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(argv: list[str], folder: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the block ends, waited for until the address `ready` answers."""
    if not shutil.which(argv[0]):
        raise SystemExit(f"{argv[0]} is not on this machine: apt install prometheus victoria-metrics")
    with (folder / f"{Path(argv[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder)
    try:
        until(lambda: _answers(ready), f"{argv[0]} does not answer: {folder}")
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).is_success
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], bool], what: str, *, within: float = 180) -> None:
    """Wait, within reason."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(what)
        time.sleep(0.2)


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus that takes remote writes, also old ones; its address."""
    (folder / "prometheus.yml").write_text(_PROMETHEUS)
    port = free_port()
    argv = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]
    with started(argv, folder, f"http://127.0.0.1:{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def pages(province: Province, series: int) -> Iterator[int]:
    """Every site's page, at /N, of so many series. The port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(self.path.strip("/"))
            body = page_of(number, province.sites[number].code, time.time(), series).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def agent(folder: Path, hub: str, port: int, province: Province) -> Iterator[None]:
    """vmagent, scraping the first host of each site that is not silent; sets site and host, writes to the hub."""
    targets = [
        {
            "targets": [f"127.0.0.1:{port}"],
            "labels": {"__metrics_path__": f"/{number}", "site": site.code, "host": host.inventory_name},
        }
        for number, site in enumerate(province.sites)
        for host in site.hosts[:1]
        if not silent(number)
    ]
    (folder / "targets.json").write_text(json.dumps(targets))
    (folder / "vmagent.yml").write_text(
        f"global: {{scrape_interval: {SCRAPE_SECONDS}s}}\n"
        "scrape_configs: [{job_name: node, file_sd_configs: [{files: [targets.json]}]}]\n"
    )
    listen = free_port()
    argv = [
        "vmagent",
        f"-promscrape.config={folder}/vmagent.yml",
        f"-remoteWrite.url={hub}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder}/queue",
        "-remoteWrite.queues=1",
        "-promscrape.maxScrapeSize=1MB",
        f"-httpListenAddr=127.0.0.1:{listen}",
    ]
    with started(argv, folder, f"http://127.0.0.1:{listen}/health"):
        yield


def series_in(hub: str) -> int:
    """How many of our series have a value now."""
    answer = httpx.get(f"{hub}/api/v1/query", params={"query": "count({site!=''})"}, timeout=30)
    result = answer.json()["data"]["result"]
    return int(result[0]["value"][1]) if result else 0


@contextmanager
def board(folder: Path, hub: str, register: Path) -> Iterator[tuple[str, int]]:
    """The board as it is served, with an account; its address and process."""
    port = free_port()
    settings = folder / "board.toml"
    settings.write_text(
        f'register = "{register}"\nfolder = "{folder}/keys"\nsource = "{hub}"\nplain_http = true\nport = {port}\n'
        f"interval_seconds = {2 * SCRAPE_SECONDS}\n"
        'verbs = ["reach", "hardware", "mail", "antivirus", "baseline", "backup"]\n'
    )
    tool = str(Path(sys.executable).with_name("tram"))
    account = [tool, "board", "person", NAME, "--role", "operator", "--settings", str(settings)]
    subprocess.run(account, input=PASSWORD + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
    argv = [tool, "board", "serve", "--settings", str(settings)]
    with started(argv, folder, f"http://127.0.0.1:{port}/healthz") as process:
        yield f"http://127.0.0.1:{port}", process.pid


def spent(pid: int) -> float:
    """CPU seconds of a process so far. Source: proc(5), /proc/pid/stat, utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def logged_in(address: str) -> dict[str, str]:
    """A session's cookies."""
    with httpx.Client(base_url=address, timeout=60) as client:
        word = re.search(r'name="word" value="([^"]+)"', client.get("/login").text)
        assert word
        client.post("/login", data={"name": NAME, "password": PASSWORD, "word": word[1]})
        return dict(client.cookies)
