"""The README's picture of the board: the example province, its hub fed by simulated sites, in Chromium.

.venv/bin/python -m bench.board.picture
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from bench.board.hub import SCRAPE_SECONDS, agent, board, logged_in, pages, prometheus, series_in, until
from tram.register import load

REPO = Path(__file__).parents[2]
SERIES = 100


def main() -> None:
    """Serve, and take the picture."""
    register = REPO / "inventories/ha-tinh"
    province = load(register)
    with TemporaryDirectory(prefix="tram-board-") as made:
        folder = Path(made)
        with prometheus(folder) as hub, pages(province, SERIES) as port, agent(folder, hub, port, province):
            until(lambda: series_in(hub) > SERIES * len(province.sites) // 2, "the series did not come")
            time.sleep(2 * SCRAPE_SECONDS)
            with board(folder, hub, register) as (address, _serving), sync_playwright() as play:
                browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                context = browser.new_context(viewport={"width": 1100, "height": 760}, locale="vi-VN")
                cookies = logged_in(address)
                context.add_cookies([{"name": n, "value": v, "url": address} for n, v in cookies.items()])
                page = context.new_page()
                page.goto(address, timeout=120_000)
                page.screenshot(path=REPO / "docs/pictures/board.png")
                browser.close()


if __name__ == "__main__":
    main()
