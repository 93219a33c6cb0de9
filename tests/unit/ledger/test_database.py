"""Opening, migrating and failing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect

from tram.core.errors import BadInput, TramError
from tram.ledger import Ledger, LedgerFailed, LedgerTooNew, default_url, open_ledger
from tram.ledger.database import Database
from tram.ledger.migrations import STEPS
from tram.ledger.schema import metadata

from .hand import RUN, Hand, event

pytestmark = pytest.mark.slow

NEXT_STEP = ("CREATE TABLE notes (note TEXT)", "ALTER TABLE runs ADD COLUMN note VARCHAR NOT NULL DEFAULT ''")


def test_what_the_steps_make_is_what_the_queries_expect(url: str) -> None:
    database = Database(url)
    with database.read() as c:
        look = inspect(c)
        assert set(look.get_table_names()) == {*metadata.tables, "schema_version"}
        for name, table in metadata.tables.items():
            found = {column["name"]: column["nullable"] for column in look.get_columns(name)}
            keys = set(look.get_pk_constraint(name)["constrained_columns"])
            assert found.keys() == {column.name for column in table.columns}, name
            assert keys == {column.name for column in table.primary_key}, name
            for column in table.columns:
                assert column.name in keys or found[column.name] == column.nullable, f"{name}.{column.name}"
    database.close()


def test_an_older_ledger_is_brought_forward_and_keeps_what_is_in_it(hand: Hand) -> None:
    hand.ledger.record([event(1)])
    hand.ledger.close()
    newer = Ledger(hand.url, steps=(*STEPS, NEXT_STEP))
    assert [e.seq for e in newer.events(RUN)] == [1]
    newer.close()


def test_a_newer_ledger_is_not_touched(hand: Hand) -> None:
    hand.ledger.close()
    Ledger(hand.url, steps=(*STEPS, NEXT_STEP)).close()
    known = len(STEPS)
    with pytest.raises(LedgerTooNew, match=f"is of schema version {known + 1}, this version of tram knows {known}"):
        Ledger(hand.url)


def test_a_step_that_fails_leaves_the_ledger_as_it_was(hand: Hand) -> None:
    hand.ledger.close()
    with pytest.raises(LedgerFailed):
        Ledger(hand.url, steps=(*STEPS, (*NEXT_STEP, "CREATE NONSENSE")))
    again = Database(hand.url)
    with again.read() as c:
        assert not inspect(c).has_table("notes")
    again.close()


def test_many_who_open_a_new_ledger_at_once_all_find_one(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        for ledger in pool.map(lambda _: Ledger(url), range(6)):
            assert ledger.runs() == []
            ledger.close()


def test_processes_that_open_a_new_ledger_at_once_all_find_one(url: str) -> None:
    program = "import sys; from tram.ledger import Ledger; print(Ledger(sys.argv[1]).runs())"
    argv = [sys.executable, "-c", program, url]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["[]\n"] * 4


def test_a_ledger_on_disk_is_its_owners_alone(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path}/state/ledger.db").close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_default_place_is_under_the_operators_state_and_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAM_LEDGER", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_url("lab") == f"sqlite:///{tmp_path}/.local/state/tram/lab/ledger.db"
    open_ledger("lab").close()
    assert (tmp_path / ".local/state/tram/lab/ledger.db").exists()
    monkeypatch.setenv("TRAM_LEDGER", "postgresql://tram@db/lab")
    assert default_url("lab") == "postgresql://tram@db/lab"


@pytest.mark.parametrize(
    "address", ["nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://a/b"]
)
def test_an_address_of_neither_kind_is_bad_input(address: str) -> None:
    with pytest.raises(BadInput):
        Ledger(address)


def test_a_server_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(LedgerFailed) as failed:
        Ledger(f"postgresql://tram:hemligt@/x?host={tmp_path}")
    assert "hemligt" not in failed.value.message + failed.value.hint
    assert "***" in failed.value.message


def test_a_damaged_file_is_said_to_be_no_ledger(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(b"this is not a database, and it is long enough to be looked at" * 40)
    with pytest.raises(LedgerFailed, match="not a database"):
        Ledger(f"sqlite:///{file}")


def test_a_directory_that_is_not_ours_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TramError, match="file: File exists"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.db")


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.begin(RUN, province="lab", playbook="p", hosts=[("a", "b")])
    writer = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM run_hosts")
    assert len(ledger.show(RUN).hosts) == 1
    writer.execute("ROLLBACK")
    writer.close()
    ledger.close()
