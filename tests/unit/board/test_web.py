"""The board in a browser: who gets in, who sees what, what is said when something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import tram_board as board_package
from tram.core.errors import BadInput
from tram.register import Province
from tram_board import people
from tram_board.access import Person
from tram_board.backoff import Backoff
from tram_board.ledger import Runs
from tram_board.people import read_accounts, read_secret, write_account
from tram_board.session import Sessions, local_path
from tram_board.state import INTERVAL
from tram_board.views import VIEWS
from tram_board.watcher import Watcher
from tram_board.web import Board, application
from tram_board.words import VERBS, Word

from .conftest import NOW, Hub

PASSWORD = "correct horse battery"
KEY = "k" * 40
PAGES = [path.replace("{code}", "huong-khe").replace("{name}", "site-does-not-answer") for path in VIEWS]
PLACES = [("/board" if path == "/" else path) + ".json" for path in PAGES]
HTML = [path for path in PAGES if not path.endswith("/history")]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that costs a test nothing; what it is made of on a hub is the library's default."""
    hasher = people.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(people, "_hasher", hasher)
    monkeypatch.setattr(people, "_NOBODY", hasher.hash("nobody"))


@pytest.fixture
def board(province: Province, hub: Hub, tmp_path: Path) -> Board:
    accounts = tmp_path / "people.json"
    write_account(accounts, Person("truc", "operator"), PASSWORD)
    write_account(accounts, Person("vanthu", "viewer", "huong-khe"), PASSWORD)
    watcher = Watcher(province, hub.source(), verbs=tuple(VERBS), interval=INTERVAL, now=lambda: NOW)
    runbooks = Path(__file__).parents[3] / "docs/runbooks"
    return Board(watcher, accounts, Sessions(KEY, plain_http=True), Runs(None), runbooks, Backoff(lambda: 0.0))


Browser = Callable[..., TestClient]


@pytest.fixture
def browser(board: Board) -> Browser:
    def begin(name: str = "", **words: str) -> TestClient:
        client = TestClient(application(board), follow_redirects=False, **words)  # type: ignore[arg-type]
        if name:
            assert log_in(client, name, PASSWORD).status_code == 303
        return client

    return begin


def word_of(page: str) -> str:
    found = re.search(r'name="word" value="([^"]+)"', page)
    assert found
    return found[1]


def log_in(client: TestClient, name: str, password: str, **words: str):  # type: ignore[no-untyped-def]
    form = {"name": name, "password": password, "word": word_of(client.get("/login").text), **words}
    return client.post("/login", data=form)


def test_nobody_sees_anything_before_logging_in(browser: Browser) -> None:
    client = browser()
    for page in HTML:
        answer = client.get(page)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")
    assert {client.get(place).status_code for place in PLACES} == {401}


@pytest.mark.parametrize("page", HTML)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_page_is_shown_in_the_reader_s_language(browser: Browser, page: str, language: str) -> None:
    answer = browser("truc").get(page, params={"lang": language})
    assert answer.status_code == 200, answer.text
    assert f'<html lang="{language}">' in answer.text
    assert ("Đến nội dung" in answer.text) == (language == "vi")


def test_the_language_is_remembered(browser: Browser) -> None:
    client = browser("truc")
    assert "Hôm nay" in client.get("/today").text
    client.get("/today?lang=en")
    assert "Today: what needs a person" in client.get("/today").text


@pytest.mark.parametrize("place", PLACES)
def test_every_view_is_there_as_json(browser: Browser, place: str) -> None:
    answer = browser("truc").get(place)
    assert answer.status_code == 200
    assert isinstance(answer.json(), dict)


def test_a_viewer_sees_his_site_only_whatever_he_asks_for(browser: Browser) -> None:
    client = browser("vanthu")
    assert [one["code"] for one in client.get("/board.json").json()["list"]] == ["huong-khe"]
    for path in ("/sites/so-noi-vu", "/sites/so-noi-vu.json", "/sites/so-noi-vu/history.json", "/sites/none.json"):
        assert client.get(path).status_code == 404
    for path in [*HTML, *PLACES]:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "noi-vu" not in answer.text
        assert "Sở Nội vụ" not in answer.text
    assert client.get("/sites/huong-khe").status_code == 200


def test_silence_elsewhere_is_not_told_to_a_viewer(browser: Browser, hub: Hub) -> None:
    hub.silence("so-noi-vu-srv1", "trung-tam-hub1", "huong-khe-srv1")
    (task,) = browser("vanthu").get("/today.json").json()["tasks"]
    assert (task["site"], task["silent_with_it"]) == ("huong-khe", [])


def test_a_hub_that_is_down_is_said_on_every_page_and_breaks_none(browser: Browser, hub: Hub) -> None:
    hub.down = True
    client = browser("truc")
    for path in [*HTML, *PLACES]:
        assert client.get(path).status_code == 200
    said = client.get("/board.json").json()
    assert said["sites"] == {"bad": 0, "attention": 0, "unknown": 3, "ok": 0}
    assert "connection refused" in said["problem"]
    for page in ("/", "/today", "/links", "/report", "/sites/huong-khe"):
        assert "không trả lời" in client.get(page).text
    assert 'class="tile ok"' not in client.get("/").text


def test_names_and_labels_do_nothing_to_a_page(browser: Browser, hub: Hub) -> None:
    hub.set("risk_unknown", "huong-khe-srv1", 1, reason="<script>alert(1)</script>")
    page = browser("truc").get("/sites/huong-khe").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_a_wrong_password_and_a_name_nobody_has_are_told_alike(browser: Browser) -> None:
    client = browser()
    wrong, nobody = log_in(client, "truc", "wrong"), log_in(client, "nobody", "wrong")
    assert wrong.status_code == nobody.status_code == 403
    assert "Sai tên hoặc mật khẩu" in wrong.text
    assert "tram_board" not in client.cookies


def test_wrong_passwords_wait_longer_and_the_right_one_waits_too(board: Board, browser: Browser) -> None:
    now = 0.0
    board.backoff = Backoff(lambda: now)
    client = browser()
    codes = [log_in(client, "truc", "wrong").status_code for _ in range(6)]
    assert codes == [403, 403, 403, 403, 403, 429]
    answer = log_in(client, "truc", PASSWORD)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    now = 2.0
    assert log_in(client, "truc", PASSWORD).status_code == 303


def test_who_hammers_a_name_from_elsewhere_does_not_lock_its_owner_out() -> None:
    now = 0.0
    backoff = Backoff(lambda: now)
    for number in range(1000):
        backoff.wrong("truc", f"192.0.2.{number % 250}")
    assert 0 < backoff.wait("truc", "198.51.100.1") <= 30
    assert backoff.wait("khac", "198.51.100.1") == 0


def test_who_logs_in_rightly_is_not_counted_against_his_office() -> None:
    now = 0.0
    backoff = Backoff(lambda: now)
    for number in range(100):
        backoff.wrong(f"an.{number}", "192.0.2.1")
        (backoff.right if number % 2 else backoff.unknown)(f"an.{number}", "192.0.2.1")
    assert backoff.wait("binh", "192.0.2.1") == 0
    for _ in range(21):
        backoff.wrong("khac", "192.0.2.1")
    assert backoff.wait("binh", "192.0.2.1") > 0


def test_a_form_of_another_page_is_not_taken(browser: Browser) -> None:
    client = browser()
    word = word_of(client.get("/login").text)
    form = {"name": "truc", "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 403
    assert (
        client.post("/login", data={**form, "word": word}, headers={"origin": "http://evil.example"}).status_code == 403
    )
    inside = browser("truc")
    assert inside.post("/logout", data={"word": word}).status_code == 403
    assert inside.post("/logout", data={"word": word_of(inside.get("/").text)}).status_code == 303
    assert inside.get("/").status_code == 303


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/today", "/today"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nb", "/"),
        ("", "/"),
    ],
)
def test_logging_in_leads_nowhere_else(asked: str, led: str) -> None:
    assert local_path(asked) == led


def test_a_new_password_or_a_removed_account_ends_its_sessions(board: Board, browser: Browser) -> None:
    first, second = browser("truc"), browser("vanthu")
    write_account(board.accounts, Person("truc", "operator"), "another horse battery")
    assert first.get("/").status_code == 303
    assert second.get("/").status_code == 200
    kept = json.loads(board.accounts.read_text())
    del kept["people"]["vanthu"]
    board.accounts.write_text(json.dumps(kept))
    assert second.get("/").status_code == 303


def test_a_forged_cookie_is_nobody(browser: Browser) -> None:
    client = browser()
    for forged in ("truc", "x.y.z", "e30.abc.def"):
        client.cookies.set("tram_board", forged)
        assert client.get("/").status_code == 303


def test_what_a_browser_is_told(browser: Browser, board: Board) -> None:
    answer = browser("truc").get("/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    # A script or style within a page would not run; there is none.
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", answer.text)
    cookie = Sessions(KEY)
    assert cookie.name.startswith("__Host-")
    set_by = log_in(browser(), "truc", PASSWORD).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in set_by.split(";")}


class Seen(HTMLParser):
    """What a screen reader would go by."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


@pytest.mark.parametrize("page", HTML)
def test_a_page_can_be_read_without_seeing_it(browser: Browser, page: str) -> None:
    seen = Seen()
    seen.feed(browser("truc").get(page).text)
    tags = [tag for tag, _attributes in seen.tags]
    assert [tags.count(name) for name in ("main", "header", "title")] == [1, 1, tags.count("title")]
    assert tags.count("h1") == 1
    assert all("scope" in attributes for tag, attributes in seen.tags if tag == "th")
    assert all("aria-label" in attributes for tag, attributes in seen.tags if tag == "nav")
    tiles = [attributes for tag, attributes in seen.tags if tag == "a" and "tile" in (attributes.get("class") or "")]
    assert all(attributes["aria-label"] for attributes in tiles)
    ids = [attributes["id"] for _tag, attributes in seen.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_accounts_open_to_others_are_refused_and_the_board_says_so(board: Board, browser: Browser) -> None:
    client = browser("truc")
    board.accounts.chmod(0o644)
    with pytest.raises(BadInput, match="others can read"):
        read_accounts(board.accounts)
    assert client.get("/").status_code == 503
    assert client.get("/board.json").status_code == 503


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no file of accounts"),
        ("[]", "is no file of accounts"),
        ('{"people": {"a": {"role": "king", "password": "$argon2id$x"}}}', "the role is operator"),
        ('{"people": {"a": {"role": "viewer", "password": "$argon2id$x"}}}', "viewer with a site"),
        ('{"people": {"a": {"role": "operator", "password": "plain"}}}', "no argon2id hash"),
        ('{"people": {"A b": {"role": "operator", "password": "$argon2id$x"}}}', "is no name"),
    ],
)
def test_a_file_of_accounts_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "people.json"
    file.write_text(text)
    file.chmod(0o640)
    with pytest.raises(BadInput, match=said):
        read_accounts(file)


def test_keys_and_accounts_are_for_their_group_only(tmp_path: Path, board: Board) -> None:
    assert board.accounts.stat().st_mode & 0o777 == 0o640
    key = read_secret(tmp_path / "key")
    assert key == read_secret(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o640
    with pytest.raises(BadInput, match="has 5 characters"):
        write_account(board.accounts, Person("truc", "operator"), "short")


def test_every_colour_of_text_stands_out_from_its_ground() -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    style = (Path(board_package.__file__).parent / "static/board.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)", style))

    def light(name: str) -> float:
        text = colours[name].lstrip("#")
        parts = [int(2 * text[n] if len(text) == 3 else text[2 * n : 2 * n + 2], 16) / 255 for n in range(3)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in ("paper", "soft"):
        ratios = {name: (light(ground) + 0.05) / (light(name) + 0.05) for name in ("ink", "link", *map(str, Word))}
        assert min(ratios.values()) >= 4.5, (ground, ratios)


def test_of_operators_who_make_accounts_at_once_each_has_made_his(tmp_path: Path) -> None:
    file, names = tmp_path / people.ACCOUNTS, {f"nguoi{number}" for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write_account(file, Person(name, "operator"), PASSWORD), names))
    assert read_accounts(file).keys() == names
