"""`tram hardware` and `tram metrics` as they are called."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tram.cli import hardware
from tram.cli.main import app
from tram.core.errors import BadInput
from tram.ledger import open_ledger
from tram.ledger.states import Outcome
from tram.register import load
from tram_board.asking import Source
from tram_exporters.textfile import Page

from .conftest import NOW, READINGS, REPO

LAB = REPO / "inventories/lab"


def explain(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["hardware", "explain", *words])
    assert not isinstance(ran.exception, BadInput), ran.exception
    return ran.exit_code, ran.stdout


def test_explain_names_signal_value_source_and_rate_in_both_languages() -> None:
    code, said = explain("--smartctl-json", str(READINGS / "scrutiny--smart-ata-date2.json"))
    assert code == 1
    for words in (
        "pending_sectors = 10",
        "45.7%",
        "0.61",
        "0.47–0.78",
        "Backblaze",
        "đang chờ thay",
        "wait to be replaced",
    ):
        assert words in said


def test_explain_as_json_is_whole() -> None:
    code, said = explain("--json", "--smartctl-json", str(READINGS / "scrutiny--smart-raid.json"))
    found = json.loads(said)
    assert (code, found["readable"], found["risk"], found["flags"]) == (1, False, None, [])
    assert found["unknown"][0]["reason"] == "raid_volume"
    assert [bit["bit"] for bit in found["exit_bits"]] == [2]


def test_a_disk_with_nothing_but_age_ends_with_0() -> None:
    assert explain("--smartctl-json", str(READINGS / "scrutiny--smart-nvme.json"))[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"smartctl": {', "no whole JSON document"),
        (b"smartctl: command not found\n", "no whole JSON document"),
        (b"\xff\xfe", "no whole JSON document"),
        (b"[1]", 'it has no object "smartctl"'),
    ],
)
def test_what_is_no_reading_has_one_error(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "sda.json"
    file.write_bytes(content)
    ran = CliRunner().invoke(app, ["hardware", "explain", "--smartctl-json", str(file)])
    assert isinstance(ran.exception, BadInput)
    assert said in ran.exception.message
    assert ran.exception.hint == "make it anew: smartctl --json --all DEVICE > FILE"


def test_a_file_that_is_not_there_has_one_error(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["hardware", "explain", "--smartctl-json", str(tmp_path / "no.json")])
    assert isinstance(ran.exception, BadInput)


def keep(folder: Path, host: str, flags: dict[str, float], unknown: str = "", at: datetime | None = None) -> None:
    page = Page("hardware")
    for signal, p in flags.items():
        page.gauge("tram_hardware_flag_ratio", "x", p, component="disk", signal=signal, disk="sda")
    if unknown:
        page.gauge("tram_host_risk_unknown", "x", 1, reason=unknown)
    (folder / f"{host}.prom").write_text(page.text(now=(at or datetime.now(UTC)).timestamp()))


def report(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["hardware", "report", "-i", str(LAB), *words])
    assert not isinstance(ran.exception, BadInput), ran.exception
    return ran.exit_code, ran.stdout


def test_the_list_is_by_risk_times_impact_and_who_says_nothing_is_unknown(tmp_path: Path) -> None:
    keep(tmp_path, "trung-tam-hub1", {"smart_failing": 0.2})
    keep(tmp_path, "huong-khe-srv1", {"pending_sectors": 0.5, "age": 0.1}, unknown="raid_volume")
    keep(tmp_path, "so-noi-vu-srv1", {"age": 0.1}, at=datetime.now(UTC) - timedelta(days=3))
    page = tmp_path / "page.html"
    code, said = report("--from", str(tmp_path), "--json", "--html", str(page), "--csv", str(tmp_path / "list.csv"))
    rows = json.loads(said)
    assert code == 1
    assert [(row["host"], row["risk"], row["unknown"]) for row in rows] == [
        ("trung-tam-hub1", 0.2, []), ("huong-khe-srv1", 0.55, ["raid_volume"]), ("so-noi-vu-srv1", None, ["silent"]),
    ]  # fmt: skip
    assert rows[0]["priority"] == round(0.2 * rows[0]["impact"], 4) > rows[1]["priority"]
    assert "Chính ổ đĩa báo sắp hỏng" in page.read_text()
    assert (tmp_path / "list.csv").read_text().splitlines()[0].startswith("rank,host,site")


def test_a_broken_textfile_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    keep(tmp_path, "trung-tam-hub1", {"age": 0.1})
    (tmp_path / "huong-khe-srv1.prom").write_text('tram_hardware_flag_ratio{disk="')
    ran = CliRunner().invoke(app, ["hardware", "report", "-i", str(LAB), "--from", str(tmp_path)])
    assert (ran.exit_code, "huong-khe-srv1.prom" in ran.stderr) == (1, True)


def test_readings_come_from_one_place(tmp_path: Path) -> None:
    for words in ([], ["--from", str(tmp_path), "--hub", "http://127.0.0.1:1"]):
        ran = CliRunner().invoke(app, ["hardware", "report", "-i", str(LAB), *words])
        assert isinstance(ran.exception, BadInput)


def test_an_answer_of_the_hub_reads_as_a_textfile_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = [
        ({"__name__": "tram_hardware_flag_ratio", "host": "huong-khe-srv1", "signal": "=cmd|x", "disk": "sda"}, "0.4"),
        ({"__name__": "tram_exporter_last_success_timestamp_seconds", "host": "huong-khe-srv1", "exporter": "hardware"},
         str(datetime.now(UTC).timestamp())),
        ({"__name__": "tram_hardware_flag_ratio"}, "0.9"),
    ]  # fmt: skip
    rows = [{"metric": labels, "value": [NOW, value]} for labels, value in told]
    answer = {"status": "success", "data": {"resultType": "vector", "result": rows}}
    hub = httpx.MockTransport(lambda _request: httpx.Response(200, json=answer))
    monkeypatch.setattr(hardware, "Source", lambda url, **_words: Source(url, transport=hub))
    code, said = report("--hub", "http://hub.example", "--json", "--csv", str(tmp_path / "list.csv"))
    first = json.loads(said)[0]
    assert (code, first["host"], first["risk"]) == (1, "huong-khe-srv1", pytest.approx(0.4))
    assert "'=cmd|x sda 0.40" in (tmp_path / "list.csv").read_text()


@pytest.mark.slow
def test_the_centre_says_what_hosts_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAM_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    province = load(LAB)
    ledger = open_ledger(province.code)
    for number, outcome in enumerate((Outcome.DONE, Outcome.NOT_REACHED)):
        run = f"2026112{number}T000000Z-aaaaaa"
        ledger.begin(run, province=province.code, playbook="mail", hosts=[("huong-khe-srv1", "huong-khe")])
        lease = ledger.lease(run, "huong-khe-srv1", "me", timedelta(minutes=1))
        ledger.finish(run, "huong-khe-srv1", outcome, lease=lease)
    ledger.begin("20261123T000000Z-aaaaaa", province=province.code, playbook="mail", hosts=[("gone-srv1", "gone")])
    ledger.finish("20261123T000000Z-aaaaaa", "gone-srv1", Outcome.NOT_REACHED)
    ledger.close()
    ran = CliRunner().invoke(app, ["metrics", "-i", str(LAB), "--to", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    said = (tmp_path / "tram_delivery.prom").read_text()
    assert 'tram_delivery_runs_total{host="huong-khe-srv1",outcome="done",site="huong-khe"} 1.0' in said
    assert 'tram_delivery_runs_total{host="huong-khe-srv1",outcome="not_reached",site="huong-khe"} 1.0' in said
    assert 'tram_delivery_not_reached_age_seconds{host="huong-khe-srv1",site="huong-khe"}' in said
    assert "gone-srv1" not in said, "who left the register is owed nothing"
    assert "tram_baseline_controls" not in (tmp_path / "tram_baseline.prom").read_text()


def test_the_timer_calls_metrics_with_the_place_of_the_files(tmp_path: Path) -> None:
    out = CliRunner().invoke(app, ["metrics", "timer", "-i", str(LAB), "--to", str(tmp_path)]).stdout
    assert f'tram metrics --inventory "{LAB.resolve()}" "--to" "{tmp_path}"' in out
    assert "OnCalendar=*:0/5" in out


@pytest.mark.parametrize("words", [["metrics"], ["metrics", "timer", "--install"]], ids=["now", "timer"])
def test_a_folder_that_is_not_there_is_named_before_anything_is_written(words: list[str], tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, [*words, "-i", str(LAB), "--to", str(tmp_path / "no")])
    assert isinstance(ran.exception, BadInput)
    assert ran.exception.message == f"{tmp_path / 'no'}: there is no such folder"
