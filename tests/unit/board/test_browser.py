"""An operator's morning in Debian's Chromium: by keyboard, with JavaScript and without. Pictures: build/board/."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tram.register import Province
from tram_board.access import Person
from tram_board.ledger import Runs
from tram_board.people import write_account
from tram_board.session import Sessions
from tram_board.state import INTERVAL
from tram_board.watcher import Watcher
from tram_board.web import Board, application
from tram_board.words import VERBS

from .conftest import NOW, REPO, Hub, all_well

pytestmark = pytest.mark.slow
CHROMIUM = Path("/usr/bin/chromium")
PASSWORD = "correct horse battery"
PATIENCE_MS = 60_000
PICTURES = REPO / "build/board"


@pytest.fixture(scope="module")
def hub(ha_tinh: Province) -> Hub:
    made = all_well(ha_tinh)
    made.set("disk_free", "huong-khe-srv1", 0.01)
    made.silence("ky-anh-srv1")
    return made


@pytest.fixture(scope="module")
def address(ha_tinh: Province, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    accounts = tmp_path_factory.mktemp("board") / "people.json"
    write_account(accounts, Person("truc", "operator"), PASSWORD)
    watcher = Watcher(ha_tinh, hub.source(), verbs=tuple(VERBS), interval=INTERVAL, now=lambda: NOW)
    made = Board(watcher, accounts, Sessions("k" * 40, plain_http=True), Runs(None), REPO / "docs/runbooks")
    server = uvicorn.Server(uvicorn.Config(application(made), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < end
            time.sleep(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail("chromium is not installed: run scripts/setup.sh dev")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield browser
        browser.close()


def morning(browser: Browser, address: str, *, script: bool) -> tuple[Page, list[str]]:
    """Log in by keyboard alone; the page, and what its console complains of from then on."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=script)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    expect(page.locator("#name")).to_be_focused(timeout=PATIENCE_MS)
    page.keyboard.type("truc")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/")
    return page, complaints


@pytest.mark.parametrize("script", [True, False], ids=["with-javascript", "without-javascript"])
def test_an_operator_finds_what_is_bad_and_why(chromium: Browser, address: str, *, script: bool) -> None:
    page, complaints = morning(chromium, address, script=script)
    name = "with" if script else "without"
    expect(page.locator("a.tile")).to_have_count(32)
    assert page.locator("a.tile.bad").get_attribute("aria-label") == "Huyện Hương Khê: xấu"
    assert page.locator("a.tile.unknown").get_attribute("aria-label") == "Huyện Kỳ Anh: không rõ"
    page.screenshot(path=PICTURES / f"board-{name}-javascript.png", full_page=True)
    page.get_by_role("link", name="Hôm nay").click()
    first = page.locator(".tasks > li").first
    expect(first).to_contain_text("Huyện Hương Khê")
    page.screenshot(path=PICTURES / f"today-{name}-javascript.png")
    first.get_by_role("link", name="Huyện Hương Khê").click()
    expect(page.locator("main")).to_contain_text("một ổ đĩa chỉ còn trống 1 %")
    expect(page.locator(".charts .uplot" if script else ".charts svg.curve").first).to_be_visible()
    page.screenshot(path=PICTURES / f"site-{name}-javascript.png", full_page=True)
    page.get_by_role("link", name="English").click()
    expect(page.locator("main")).to_contain_text("a disk is full but for 1 %")
    page.context.close()
    assert complaints == []


def test_a_tile_opens_by_keyboard_and_its_focus_is_seen(chromium: Browser, address: str) -> None:
    page, _complaints = morning(chromium, address, script=True)
    tile = page.locator("#s-huong-khe")
    tile.focus()
    assert page.evaluate("getComputedStyle(document.activeElement.querySelector('rect')).stroke") != ""
    page.keyboard.press("Enter")
    page.wait_for_url("**/sites/huong-khe")
    page.context.close()


def test_the_report_fits_a_page_of_paper(chromium: Browser, address: str) -> None:
    page, complaints = morning(chromium, address, script=True)
    page.goto(f"{address}/report")
    page.pdf(path=PICTURES / "report.pdf", format="A4", prefer_css_page_size=True)
    pages = (PICTURES / "report.pdf").read_bytes().count(b"/Type /Page\n")
    page.context.close()
    assert pages == 1
    assert complaints == []


def test_the_board_refreshes_itself_and_keeps_the_place(chromium: Browser, address: str) -> None:
    page, complaints = morning(chromium, address, script=True)
    page.locator("#s-huong-khe").focus()
    with page.expect_response(f"{address}/?verb=", timeout=PATIENCE_MS):
        page.evaluate("htmx.trigger(document.querySelector('main'), 'refresh')")
    expect(page.locator("a.tile")).to_have_count(32)
    expect(page.locator("#s-huong-khe")).to_be_focused()
    page.context.close()
    assert complaints == []
