"""Two agencies' documents: a practice applied as code, fifty clerks at once, letters in and out, a browser."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from typer.testing import CliRunner, Result

from tram.cli.main import app
from tram.lab.lab import Lab
from tram.push.playbook import run_playbook

from ..conftest import REPO
from ..office import PICTURES, Desk, Office, Person, scanned
from ..person import Person as Correspondent
from ..person import wait_until
from ..small_lab import MINE, own_lab, write_inventory
from .test_documents import wheels  # noqa: F401  # a fixture

pytestmark = [pytest.mark.lab, pytest.mark.long]

HOST, SITE = "trung-tam-hub1", "trung-tam"
BROUGHT = "/srv/wheels"
CLERKS = [f"van-thu-{number:02}" for number in range(1, 51)]
IN, OUT = "SNV · Công văn đến", "SNV · Công văn đi"
WORD = "Khuyến"
PEOPLE = {
    "trung-tam": {"symbol": "TTCNTT", "people": {"van-thu": ["thu-tt"], "lanh-dao": ["truong-tt"]}},
    "so-noi-vu": {
        "symbol": "SNV",
        "people": {
            "van-thu": ["thu-snv", *CLERKS],
            "lanh-dao": ["truong-snv"],
            "chuyen-vien": ["vien-snv", "vien2-snv"],
        },
    },
}


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that keeps documents for itself and for a department without servers."""
    functions = ["hub_cache", "dns", "pki", "mirror", "antivirus_mirror", "antivirus", "mail", "documents"]
    hosts = {SITE: [{"functions": functions, "ram_mb": 4096}], "so-noi-vu": []}
    folder = write_inventory(tmp_path_factory.mktemp("province"), hosts)
    boxes = [(SITE, "van-thu"), ("so-noi-vu", "van-thu-snv")]
    documents = {
        "documents_wheels_url": f"file://{BROUGHT}/",
        "documents_scripts_url": f"file://{BROUGHT}/npm/",
        "documents_dispatch": [
            {"agency": agency, "address": f"{box}@tinh.example", "host": "mail.tinh.example"} for agency, box in boxes
        ],
    }
    (folder / "group_vars/documents.yml").write_text(yaml.safe_dump(documents), encoding="utf-8")
    path = folder / "group_vars/site_trung_tam.yml"
    accounts = yaml.safe_load(path.read_text(encoding="utf-8"))
    accounts["mail_accounts"].append({"user": "van-thu-snv", "name": "Văn thư Sở Nội vụ", "quota_bytes": 1_000_000_000})
    path.write_text(yaml.safe_dump(accounts, allow_unicode=True), encoding="utf-8")
    write_people(folder, PEOPLE)
    return folder


def write_people(folder: Path, agencies: dict[str, Any]) -> None:
    """The site's file of the practice."""
    (folder / "practice").mkdir(exist_ok=True)
    text = yaml.safe_dump({"agencies": agencies}, allow_unicode=True, sort_keys=False)
    (folder / "practice" / f"{SITE}.yml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def lab(province: Path, wheels: Path) -> Iterator[Lab]:  # noqa: F811
    """The hub with mail and documents."""
    with own_lab(province, "prac", "base", "pki", "dns", "antivirus", "mail") as found:
        if not MINE:
            shutil.copytree(wheels, f"/proc/{found.machines[HOST].init_pid()}/root{BROUGHT}", dirs_exist_ok=True)
            assert run_playbook(REPO / "playbooks/documents.yml", province).failures() == []
        yield found


@pytest.fixture(scope="module")
def office(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Office:
    """The instance."""
    return Office(lab, HOST, tmp_path_factory.mktemp("office"))


def tram(province: Path, *words: str) -> Result:
    """`tram documents`."""
    command, *more = words
    return CliRunner().invoke(app, ["documents", command, SITE, "-i", str(province), *more])


def plan(province: Path) -> list[dict[str, Any]]:
    """What would change."""
    told = tram(province, "plan", "--json")
    assert told.exit_code == 0, told.output
    changes: list[dict[str, Any]] = json.loads(told.stdout)["changes"]
    return changes


@pytest.fixture(scope="module")
def applied(lab: Lab, office: Office, province: Path) -> Office:
    """The practice is in force, and everybody has a password."""
    began = time.monotonic()
    told = tram(province, "apply")
    assert told.exit_code == 0, (told.output, told.exception)
    office.password("quan-tri")
    print(f"practice of 2 agencies and 55 people applied in {time.monotonic() - began:.0f} s")
    for user, box in (("truong-snv", "lanh-dao"), ("vien-snv", "chuyen-vien"), ("thu-snv", "van-thu-snv")):
        office.password(user, f"{box}@tinh.example")
    return office


def tick(lab: Lab) -> dict[str, int]:
    """Letters in, letters out, reminders; whatever the clock is just doing is waited for."""
    for _ in range(60):
        ran = lab.sh(HOST, ["tram-mayan", "manage", "tram_tick"], timeout=timedelta(minutes=3))
        assert ran.code == 0, ran
        if told := json.loads(ran.stdout.strip().splitlines()[-1]):
            return dict(told)
        time.sleep(1)
    raise AssertionError("somebody else holds the lock for ever")


def received(clerk: Person, label: str, subject: str) -> int:
    """A document that was brought in, once its flow has begun."""
    document = clerk.stub(label, subject)
    wait_until("its flow begins", lambda: bool(clerk.flow(document)), timedelta(minutes=5))
    return document


def test_a_practice_is_applied_and_a_second_time_changes_nothing(applied: Office, province: Path) -> None:
    assert plan(province) == []
    again = tram(province, "apply", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["changes"] == []


def test_drift_is_shown_and_taken_back(applied: Office, province: Path) -> None:
    boss = applied.person("quan-tri")
    field = next(one for one in boss.every("metadata_types/") if one["name"] == "trich_yeu")
    boss.api("PATCH", f"metadata_types/{field['id']}/", {"label": "Nội dung"})
    group = next(one for one in boss.every("groups/") if one["name"] == "SNV · Văn thư")
    stranger = next(one for one in boss.every("users/") if one["username"] == "thu-tt")
    boss.api("POST", f"groups/{group['id']}/users/add/", {"user": stranger["id"]})
    found = {(one["action"], one["kind"], one["name"]): one["details"] for one in plan(province)}
    assert found == {
        ("change", "field", "trich_yeu"): {"label": ["Nội dung", "Trích yếu nội dung"]},
        ("remove", "group's person", "SNV · Văn thư / thu-tt"): {},
    }
    assert tram(province, "apply").exit_code == 0
    assert plan(province) == []


def test_fifty_clerks_at_once_get_no_gap_and_no_double(applied: Office) -> None:
    with ThreadPoolExecutor(6) as pool:
        clerks = list(pool.map(applied.person, CLERKS))
        documents = list(pool.map(lambda one: one[1].stub(IN, f"Công văn {one[0]}"), enumerate(clerks)))
    pairs = list(zip(clerks, documents, strict=True))
    wait_until("their flows begin", lambda: all(one.flow(document) for one, document in pairs), timedelta(minutes=10))
    gate = Barrier(len(clerks))

    def register(pair: tuple[Person, int]) -> int:
        gate.wait()
        return pair[0].step(pair[1], "Vào sổ")[0]

    began = time.monotonic()
    with ThreadPoolExecutor(len(clerks)) as pool:
        answers = list(pool.map(register, pairs))
    print(f"50 clerks registered at once in {time.monotonic() - began:.1f} s")
    assert set(answers) == {201}
    numbers = sorted(int(clerk.noted(document)["so_den"]) for clerk, document in pairs)
    first = numbers[0]
    assert numbers == list(range(first, first + 50))


def test_one_document_gets_one_number_and_a_refused_step_costs_none(applied: Office) -> None:
    clerk, head = applied.person("thu-snv"), applied.person("truong-snv")
    document = received(clerk, IN, "Hai người cùng vào sổ")
    gate = Barrier(2)

    def register(who: Person) -> int:
        gate.wait()
        return who.step(document, "Vào sổ")[0]

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(register, [clerk, applied.person(CLERKS[0])]))
    assert answers[0] == 201
    assert answers[1] != 201
    number = int(clerk.noted(document)["so_den"])
    status, said = head.step(document, "Phân công", nguoi_xu_ly="thu-tt", han_xu_ly="25/12/2026")
    assert status == 400
    assert "không thuộc các lựa chọn" in said
    status, said = head.step(document, "Phân công", nguoi_xu_ly="vien-snv", han_xu_ly="mai")
    assert status == 400
    assert "25/12/2026" in said
    following = received(clerk, IN, "Số tiếp theo")
    assert clerk.step(following, "Vào sổ")[0] == 201
    assert int(clerk.noted(following)["so_den"]) == number + 1


def test_another_agency_sees_nothing_of_it(applied: Office) -> None:
    clerk, stranger = applied.person("thu-snv"), applied.person("thu-tt")
    document = received(clerk, IN, "Chỉ của Sở Nội vụ")
    assert clerk.ask("GET", f"/api/v4/documents/{document}/")[0] == 200
    assert stranger.ask("GET", f"/api/v4/documents/{document}/")[0] == 404
    assert stranger.ask("GET", f"/api/v4/documents/{document}/workflow_instances/")[0] == 404
    theirs = [one["document_type"]["label"] for one in stranger.every("documents/")]
    assert [label for label in theirs if not label.startswith("TTCNTT")] == []
    assert [one["label"] for one in stranger.every("document_types/") if one["label"].startswith("SNV")] == []
    assert {one["full_path"].split(" / ")[0] for one in stranger.every("cabinets/")} == {"TTCNTT"}
    assert stranger.every(f"search/documents.documentsearchresult/?q={quote('Chỉ')}") == []


def test_a_letter_becomes_one_registered_document_whatever_is_retried(applied: Office, lab: Lab) -> None:
    sender, box = Correspondent(lab, SITE, "chuyen-vien"), Correspondent(lab, SITE, "van-thu-snv")
    token = f"hop-{os.getpid()}"
    subject = f"Mời họp {token}"
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender.address, box.address, subject
    message["Message-ID"], message["Date"] = f"<moi-{os.getpid()}@tinh.example>", formatdate()
    message.set_content("Kính mời dự họp.")
    message.add_attachment(scanned("Giấy mời"), maintype="application", subtype="pdf", filename="giấy mời.pdf")
    with sender.smtp() as session:
        session.send_message(message)
    box.wait_received(token, {str(message["Message-ID"])}, timedelta(minutes=2))
    clerk = applied.person("thu-snv")

    def there() -> list[dict[str, Any]]:
        return [one for one in clerk.every("documents/") if one["label"] == subject]

    tick(lab)
    assert len(there()) == 1
    with box.imap() as imap:
        found = imap.uid("SEARCH", "KEYWORD", "TramDaVaoSo")[1][0].decode().split()
        imap.uid("STORE", ",".join(found), "-FLAGS", "(TramDaVaoSo)")
    tick(lab)
    document = there()[0]["id"]
    assert len(there()) == 1
    noted = clerk.noted(document)
    assert int(noted["so_den"]) > 0
    assert noted["trich_yeu"] == subject
    files = sorted(one["filename"] for one in clerk.every(f"documents/{document}/files/"))
    assert files == ["00-thu.pdf", "01-giấy mời.pdf"]
    assert clerk.flow(document)["current_state"]["label"] == "Đã vào sổ"


def test_an_issued_document_leaves_by_mail_once_with_its_file(applied: Office, lab: Lab) -> None:
    specialist, head, clerk = (applied.person(name) for name in ("vien-snv", "truong-snv", "thu-snv"))
    subject = f"Báo cáo bc-{os.getpid()}"
    document = specialist.upload(OUT, f"{subject}.pdf", scanned(subject))
    wait_until("its flow begins", lambda: bool(specialist.flow(document)), timedelta(minutes=3))
    assert specialist.step(document, "Trình ký")[0] == 201
    assert specialist.step(document, "Ký")[0] == 404
    assert head.step(document, "Ký")[0] == 201
    assert clerk.step(document, "Cấp số và phát hành", noi_nhan="lanh-dao@tinh.example")[0] == 201
    noted = clerk.noted(document)
    assert noted["ky_hieu"] == f"{noted['so']}/SNV"
    tick(lab)
    tick(lab)
    reader = Correspondent(lab, SITE, "lanh-dao")
    wait_until("it arrives", lambda: sum(reader.received(f"bc-{os.getpid()}").values()) == 1, timedelta(minutes=2))


def test_who_is_late_is_reminded_and_counted_and_a_leaver_with_work_is_held(
    applied: Office, lab: Lab, province: Path, tmp_path: Path
) -> None:
    clerk, head = applied.person("thu-snv"), applied.person("truong-snv")
    subject = f"Quá hạn qh-{os.getpid()}"
    document = received(clerk, IN, subject)
    assert clerk.step(document, "Vào sổ")[0] == 201
    yesterday = (datetime.now(UTC) - timedelta(days=2)).strftime("%d/%m/%Y")
    assert head.step(document, "Phân công", nguoi_xu_ly="vien-snv", han_xu_ly=yesterday)[0] == 201
    tick(lab)
    tick(lab)
    reader = Correspondent(lab, SITE, "chuyen-vien")
    wait_until("one reminder", lambda: sum(reader.received(f"qh-{os.getpid()}").values()) == 1, timedelta(minutes=2))
    file = tmp_path / "tram_documents.prom"
    told = tram(province, "report", "--json", "--metrics", str(file))
    assert told.exit_code == 0, told.output
    rows = {(row["agency"], row["person"]): row for row in json.loads(told.stdout)}
    assert rows["so-noi-vu", "vien-snv"]["overdue"] == 1
    assert rows["so-noi-vu", "thu-snv"]["in"] >= 1
    assert rows["trung-tam", ""]["overdue"] == 0
    assert 'tram_documents_overdue{agency="so-noi-vu",' in file.read_text(encoding="utf-8")
    assert "vien-snv" not in file.read_text(encoding="utf-8")
    left = json.loads(json.dumps(PEOPLE))
    left["so-noi-vu"]["people"]["chuyen-vien"] = ["vien2-snv"]
    write_people(province, left)
    try:
        held = tram(province, "plan")
    finally:
        write_people(province, PEOPLE)
    assert "vien-snv leaves so-noi-vu with" in str(held.exception)


def test_without_mayan_it_says_so_and_changes_nothing(applied: Office, lab: Lab, province: Path) -> None:
    assert lab.sh(HOST, ["systemctl", "stop", "mayan-web"]).code == 0
    try:
        told = tram(province, "apply")
        assert told.exception is not None
        assert "Mayan does not answer" in str(told.exception)
    finally:
        lab.sh(HOST, ["systemctl", "start", "mayan-web"], timeout=timedelta(minutes=5))
    assert plan(province) == []


def test_in_a_browser_a_document_goes_from_the_scanner_to_its_end(applied: Office, tmp_path: Path) -> None:
    """Clerk, head, specialist, head; found by a word of the scan; the flow's picture says where it is."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    subject = f"Kế hoạch {os.getpid()}"
    scan = tmp_path / f"{subject}.pdf"
    scan.write_bytes(scanned("ỦY BAN NHÂN DÂN TỈNH", f"{WORD} khích chuyển đổi số ở cơ sở", "Kính gửi: Sở Nội vụ"))
    with applied.browser(tmp_path) as browser:
        clerk, head, specialist = (Desk(applied, browser, user) for user in ("thu-snv", "truong-snv", "vien-snv"))
        clerk.register(IN, scan, {"Trích yếu nội dung": subject, "Cơ quan ban hành": "UBND tỉnh"})
        wait_until("it is there", lambda: bool(clerk.documents(scan.name)), timedelta(minutes=5))
        document = clerk.documents(scan.name)[0]
        wait_until("its flow begins", lambda: bool(clerk.person.flow(document)), timedelta(minutes=5))
        clerk.step(document, "Vào sổ")
        clerk.picture(document, "1-vao-so")
        head.step(document, "Phân công", nguoi_xu_ly="vien-snv", han_xu_ly="25/12/2030")
        specialist.step(document, "Nhận xử lý")
        specialist.step(document, "Trình duyệt")
        assert 'data-state="here"' in head.picture(document, "2-cho-duyet")
        head.step(document, "Kết thúc")
        svg = head.picture(document, "3-ket-thuc")
        assert svg.count('data-state="done"') == 6
        wait_until("it is found by a word of the scan", lambda: document in clerk.found(WORD), timedelta(minutes=8))
        clerk.search(WORD, "4-tim-thay")
        stranger = Desk(applied, browser, "thu-tt")
        assert stranger.found(WORD) == []
        assert stranger.page.goto(f"https://{applied.name}/api/v4/tram/flow/{document}/").status == 404
        print(f"screenshots: {', '.join(sorted(path.name for path in PICTURES.glob('*.png')))}")
