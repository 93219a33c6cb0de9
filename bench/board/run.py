"""The board over 500 sites and 60,000 series: how long the server takes, until content stands in Chromium, how heavy.

    .venv/bin/python -m bench.board.run

Needs Debian's prometheus, victoria-metrics (vmagent) and chromium. Everything is on loopback, in a folder of its own.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import sync_playwright

from bench.board.hub import SCRAPE_SECONDS, agent, board, logged_in, pages, prometheus, series_in, spent, until
from bench.board.province import silent, write_register
from bench.on_lab import write
from tram.register import load
from tram_board.watcher import FRESH

HERE = Path(__file__).parent
SITES, SERIES = 500, 60_000
TURNS = 10
VIEWS = ("/", "/today", "/links", "/adoption", "/report", "/board.json", "/sites/xa-100")


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="print only, leave the page as it is")
    parser.add_argument("--no-browser", action="store_true", help="leave Chromium out: a busy machine hangs it")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="tram-board-") as made:
        folder = Path(made)
        write_register(folder / "register", SITES)
        province = load(folder / "register")
        heard = sum(not silent(number) for number in range(SITES))
        series = -(-SERIES // heard)
        with prometheus(folder) as hub, pages(province, series) as port, agent(folder, hub, port, province):
            until(lambda: series_in(hub) >= heard * series, "the series did not come")
            time.sleep(2 * SCRAPE_SECONDS)
            with board(folder, hub, folder / "register") as (address, serving):
                results = {
                    "sites": SITES,
                    "heard": heard,
                    "series": series_in(hub),
                    **measured(address, serving, browser=not given.no_browser),
                }
    results["load"] = round(os.getloadavg()[0], 1)
    if given.dry:
        print(table(results))
    else:
        write(HERE, results, table(results))


def measured(address: str, process: int, *, browser: bool) -> dict[str, Any]:
    """Server times of every view (asked anew, and from the answer a moment ago), weights, and Chromium."""
    cookies = logged_in(address)
    with httpx.Client(base_url=address, cookies=cookies, timeout=60) as client:
        began = time.perf_counter()
        client.get("/").raise_for_status()
        first = round(1000 * (time.perf_counter() - began), 1)
        warm = {view: _median(client, view, pause=0) for view in VIEWS}
        before, turns = spent(process), 12
        cold = {view: _median(client, view, pause=FRESH.total_seconds() + 0.5, turns=turns) for view in ("/",)}
        cpu = round(1000 * (spent(process) - before) / turns)
        counts = client.get("/board.json").json()["sites"]
        weights = {
            path: _weight(client, path)
            for path in ("/", "/static/board.css", "/static/vendor/htmx.min.js", "/static/mark.svg")
        }
    return {
        "warm_ms": warm,
        "first_ms": first,
        "cold_ms": cold,
        "cpu_ms": cpu,
        "states": counts,
        "weights": weights,
        "chromium": chromium(address, cookies) if browser else None,
    }


def _median(client: httpx.Client, path: str, *, pause: float, turns: int = TURNS) -> dict[str, float]:
    client.get(path)
    took = []
    for _turn in range(turns):
        time.sleep(pause)
        began = time.perf_counter()
        answer = client.get(path)
        took.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, path
    return {"median": round(statistics.median(took), 1), "worst": round(max(took), 1)}


def _weight(client: httpx.Client, path: str) -> int:
    """Bytes of the body as they are on the line."""
    with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    if answer.headers.get("content-encoding") == "gzip":
        gzip.decompress(raw)
    return len(raw)


def chromium(address: str, cookies: dict[str, str]) -> dict[str, float]:
    """A first visit with an empty cache: milliseconds until the last tile stands and is painted; bytes on the line."""
    found = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for _turn in range(3):
            context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="vi-VN")
            context.add_cookies([{"name": name, "value": value, "url": address} for name, value in cookies.items()])
            page = context.new_page()
            page.goto(address, wait_until="load")
            assert page.locator("a.tile").count() == SITES
            found.append(
                page.evaluate(
                    """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
                    const [way] = performance.getEntriesByType('navigation');
                    const files = performance.getEntriesByType('resource');
                    done({parsed: way.domInteractive, loaded: way.loadEventEnd,
                          painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
                          bytes: way.transferSize + files.reduce((sum, file) => sum + file.transferSize, 0)});
                    })))"""
                )
            )
            context.close()
        browser.close()
    return {name: round(statistics.median(one[name] for one in found), 1) for name in found[0]}


def table(results: dict[str, Any]) -> str:
    """The figures as a table."""
    seen, heard, load = results["chromium"], results["heard"], results["load"]
    rows = [
        f"{results['sites']} sites ({heard} heard), {results['series']:,} series; machine load {load}",
        "",
        "| | median | worst |",
        "|---|---|---|",
    ]
    rows.append(f"| server, `/`, the very first look after the start | {results['first_ms']} ms | |")
    for view, one in results["cold_ms"].items():
        rows.append(
            f"| server, `{view}`, a look every {FRESH.total_seconds():.0f} s | {one['median']} ms | {one['worst']} ms |"
        )
    rows.append(f"| … processor time of the board, a look and the state asked meanwhile | {results['cpu_ms']} ms | |")
    for view, one in results["warm_ms"].items():
        rows.append(f"| server, `{view}`, state at hand | {one['median']} ms | {one['worst']} ms |")
    weights = results["weights"]
    if seen is None:
        together = sum(weights.values()) / 1000
        rows += ["| Chromium | not measured | |", f"| first load on the line, bodies | {together:.1f} kB | |"]
    else:
        rows += _seen(seen)
    return "\n".join([*rows, *(f"| … `{path}` | {size / 1000:.1f} kB | |" for path, size in weights.items())])


def _seen(seen: dict[str, float]) -> list[str]:
    return [
        f"| Chromium, empty cache: first content painted | {seen['painted']} ms | |",
        f"| … every tile there (parsed) | {seen['parsed']} ms | |",
        f"| … loaded | {seen['loaded']} ms | |",
        f"| first load on the line, headers and all files | {seen['bytes'] / 1000:.1f} kB | |",
    ]


if __name__ == "__main__":
    main()
