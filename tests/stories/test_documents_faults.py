"""Documents under faults: processes killed while clerks upload, documents that are bad, malware."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fpdf import FPDF
from fpdf.enums import AccessPermission, EncryptionMethod
from PIL import Image, ImageDraw, ImageFont

from tram.lab.lab import Lab
from tram.lab.memory import send

from ..desk import BUSY, Desk, page_with
from ..malware import EICAR, archive, new_sample, signature_of, wait_active
from ..person import wait_until
from .test_documents import HOST, first, inventory, lab, sh, wheels  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.long]

KIND = "Thử sự cố"
KILLED = {
    "web": "gunicorn",
    "workers": "celery",
    "Redis": "redis-server",
    "PostgreSQL": "postgres",
    "nginx": "nginx",
}
"""What its processes are called in their command lines."""
SCAN_PAGES = int(os.environ.get("TRAM_STORY_SCAN_PAGES", "300"))


@pytest.fixture(scope="module")
def boss(lab: Lab, first: object) -> Desk:  # noqa: F811
    """The administrator."""
    found = Desk(lab, HOST)
    found.wait("it answers", lambda: found.log_in("quan-tri")[0] == 200)
    return found


@pytest.fixture(scope="module")
def kind(boss: Desk) -> Iterator[int]:
    """A type of documents for the story; what it left goes with it."""
    number = boss.kind(KIND)
    yield number
    with contextlib.suppress(Exception):
        boss.api("DELETE", f"document_types/{number}/")


class Clerk(threading.Thread):
    """Somebody who uploads document after document; each once, whatever is answered."""

    def __init__(self, desk: Desk, kind: int, word: str) -> None:
        super().__init__(daemon=True)
        self.desk, self.kind, self.word = desk, kind, word
        self.taken: list[str] = []
        self.tried = 0
        self.said: set[int] = set()
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            self.tried += 1
            name = f"{self.word}{self.tried}.pdf"
            try:
                status, _ = self.desk.send(self.kind, name, page_with(f"{self.word}{self.tried}"))
            except (OSError, http.client.HTTPException):
                status = 0
            self.said.add(status)
            if status == 201:
                self.taken.append(name)
            time.sleep(0.5)


def ids(desk: Desk, kind: int) -> dict[str, int]:
    """The documents of a type by name."""
    found: dict[str, int] = {}
    page = f"document_types/{kind}/documents/?page_size=100"
    while page:
        said = desk.api("GET", page)
        found |= {one["label"]: one["id"] for one in said["results"]}
        page = said["next"].split("/api/v4/")[1] if said["next"] else ""
    return found


@pytest.mark.parametrize("what", list(KILLED))
def test_what_was_taken_while_a_process_is_killed_is_there_once_and_read(
    boss: Desk,
    kind: int,
    lab: Lab,  # noqa: F811
    what: str,
) -> None:
    clerk = Clerk(boss, kind, f"{what.upper()[:3]}{time.time_ns() % 10**6}X")
    clerk.start()
    wait_until("two are taken", lambda: len(clerk.taken) > 1, timedelta(seconds=120))
    killed = sh(lab, f"pids=$(pgrep -f {KILLED[what]} | grep -vx $$); kill -KILL $pids; echo $pids | wc -w")
    before = len(clerk.taken)
    wait_until(f"uploads are taken again after {what}", lambda: len(clerk.taken) > before + 1, timedelta(seconds=240))
    clerk.enough.set()
    clerk.join(200)
    there = boss.labels(kind)
    print(f"{what}: {killed} processes killed; {clerk.tried} uploads, {len(clerk.taken)} taken, answers {clerk.said}")
    assert [name for name in clerk.taken if there[name] != 1] == []
    assert [name for name, count in there.items() if count > 1] == []
    assert clerk.said <= {0, 201, 500, *BUSY}

    def unread() -> list[str]:
        numbers = ids(boss, kind)
        return [name for name in clerk.taken if boss.pages(numbers[name]) != 1 or boss.files(numbers[name]) != 1]

    boss.wait("each has its page", lambda: not unread(), 400)


def test_malware_of_the_provinces_own_list_and_the_test_file_are_refused_also_in_a_zip(
    boss: Desk,
    kind: int,
    lab: Lab,  # noqa: F811
) -> None:
    sample, before = new_sample(), boss.labels(kind)
    assert boss.send(kind, "chua-biet.docm", sample.content)[0] == 201
    with signature_of(lab, sample) as serial:
        wait_active(lab, [HOST], serial)
        for content, name in ((sample.content, sample.name), (EICAR, "EICAR")):
            zipped = archive({"Hồ sơ/Mẫu.docm": content})
            for file, sent in (("mau.docm", content), ("ho-so.zip", zipped), ("hai.zip", archive({"a.zip": zipped}))):
                status, said = boss.send(kind, file, sent)
                assert status == 422, said
                assert name.rpartition(".")[2] in said
                assert "mã độc" in said
    after = boss.labels(kind)
    assert after - before == {"chua-biet.docm": 1}


def test_without_a_scanner_uploads_are_refused_and_what_waits_is_kept_back(boss: Desk, kind: int, lab: Lab) -> None:  # noqa: F811
    stop = "systemctl stop tram-antivirus-watch clamav-daemon.socket clamav-daemon.service"
    before = boss.labels(kind)
    sh(lab, stop)
    try:
        status, said = boss.send(kind, "khong-quet.pdf", page_with("KHONGQUET"))
        assert (status, "không quét được mã độc" in said) == (503, True)
    finally:
        sh(lab, "systemctl start clamav-daemon.service tram-antivirus-watch")
    assert boss.labels(kind) == before
    # Hung, it is the same: an answer that does not come is no answer.
    assert send(lab.machine(HOST), "clamd", signal.SIGSTOP) > 0
    try:
        began = time.monotonic()
        status, said = boss.send(kind, "treo.pdf", page_with("TREO"))
        print(f"a scanner that hangs: {status} after {time.monotonic() - began:.0f} s")
        assert status == 503
    finally:
        send(lab.machine(HOST), "clamd", signal.SIGCONT)
    assert boss.labels(kind) == before


def scan(pages: int) -> bytes:
    """Pages as a scanner makes them: pictures of a little text, no letters to be parsed."""
    pdf = FPDF(unit="pt", format=(595, 842))
    for number in range(pages):
        picture = Image.new("L", (827, 1169), 255)
        ImageDraw.Draw(picture).text((80, 100), f"Trang so {number + 1}", font=ImageFont.load_default(40), fill=0)
        file = io.BytesIO()
        picture.save(file, "PNG")
        file.seek(0)
        pdf.add_page()
        pdf.image(file, 0, 0, 595, 842)
    return bytes(pdf.output())


def locked() -> bytes:
    """A PDF that wants a password."""
    pdf = FPDF()
    pdf.set_encryption("chu", "khach", permissions=AccessPermission.none(), encryption_method=EncryptionMethod.AES_128)
    pdf.add_page()
    pdf.set_font("helvetica", size=20)
    pdf.cell(text="Mat khau")
    return bytes(pdf.output())


@pytest.mark.parametrize(
    ("which", "advice"),
    [("cut off", "quét hoặc xuất lại"), ("not one at all", "quét hoặc xuất lại"), ("with a password", "bỏ mật khẩu")],
)
def test_a_bad_document_is_said_to_whom_it_concerns_and_stops_nobody(
    boss: Desk, kind: int, which: str, advice: str
) -> None:
    content = {"cut off": scan(3)[:2000], "not one at all": b"%PDF-1.4\n" + b"\0x" * 500, "with a password": locked()}
    name = f"{which}.pdf"
    status, said = boss.send(kind, name, content[which])
    print(f"{which}: {status} {said[:300]}")
    assert status == 422
    assert advice in json.loads(said)["detail"]
    assert name not in boss.labels(kind)
    good = f"tot-{time.time_ns() % 10**6}.pdf"
    assert boss.send(kind, good, page_with("TOT"))[0] == 201
    boss.wait("the next one is read", lambda: boss.pages(ids(boss, kind)[good]) == 1, 200)


def test_a_long_scan_keeps_nobody_waiting_and_goes_on_when_the_worker_is_killed(
    boss: Desk,
    kind: int,
    lab: Lab,  # noqa: F811
) -> None:
    name = f"quet-{time.time_ns() % 10**6}.pdf"
    assert boss.send(kind, name, scan(SCAN_PAGES))[0] == 201
    boss.wait("it has its pages", lambda: boss.pages(ids(boss, kind)[name]) == SCAN_PAGES, 900)
    number = ids(boss, kind)[name]
    version = boss.api("GET", f"documents/{number}/")["version_active"]["id"]
    table = (
        "ocr_documentversionpageocrcontent o JOIN documents_documentversionpage p ON p.id=o.document_version_page_id"
    )
    own = "count(*) FILTER (WHERE o.content ~ ('Trang so ' || p.page_number))"
    count = f"SELECT count(*), count(DISTINCT p.id), {own} FROM {table} WHERE p.document_version_id={version}"

    def recognised() -> tuple[int, ...]:
        """Texts, pages that have one, texts that are their own page's."""
        said = sh(lab, f'runuser -u postgres -- psql -Atc "{count}" mayan')
        return tuple(int(number) for number in said.split("|"))

    boss.wait("recognition has begun", lambda: recognised()[0] > 2, 300)
    small = f"nho-{time.time_ns() % 10**6}.pdf"
    began = time.monotonic()
    assert boss.send(kind, small, page_with("NHO"))[0] == 201
    boss.wait("a small one is there beside it", lambda: boss.pages(ids(boss, kind)[small]) == 1, 300)
    print(f"a document of one page behind one of {SCAN_PAGES}: its page after {time.monotonic() - began:.0f} s")
    at = recognised()[0]
    sh(lab, "systemctl kill --kill-whom=all --signal=KILL 'mayan-worker-*'")
    began = time.monotonic()
    boss.wait("every page is recognised", lambda: recognised()[1] == SCAN_PAGES, 2400)
    seconds, (texts, pages, own_texts) = time.monotonic() - began, recognised()
    freed = sh(lab, "journalctl -o cat -u 'mayan-*' | grep -c 'tram_mayan.locks .*held by a process that died' || :")
    print(
        f"killed at {at} of {SCAN_PAGES} pages; the rest was recognised in {seconds:.0f} s, {freed} locks of the dead "
        f"taken over; {texts} texts of {pages} pages, {own_texts} say their page's number"
    )
    assert (texts, pages, boss.files(number)) == (SCAN_PAGES, SCAN_PAGES, 1)
    assert own_texts >= 0.95 * SCAN_PAGES
