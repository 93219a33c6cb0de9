"""Rebuilding a host: what is done is not done again, what differs is told, what is proven can be checked by anybody."""

from __future__ import annotations

import copy
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tram.act import certificate
from tram.act.certificate import check_words, issue, proven, text
from tram.act.outcome import StepFailed
from tram.act.pins import Pins
from tram.act.rebuild import Book, compare
from tram.act.target import Target
from tram.core.errors import BadInput, ProgramFailed
from tram.core.run import run
from tram.register import load
from tram.register.moving import moved
from tram.register.problem import RegisterInvalid

from ..register.bad_register import GOOD

FOUND = {
    "archive": "a-srv1-20261122T151155Z",
    "at": "2026-11-22T15:11:55Z",
    "services": {"mail": [{"path": "/var/vmail", "files": 2, "bytes": 9, "sha256": "ab"}]},
}


def came(**other: Any) -> dict[str, Any]:
    return {
        "mail": {
            "bytes_on_line": 7,
            "restored": [{"path": "/var/vmail", "files": 2, "bytes": 9, "sha256": "ab"} | other],
        }
    }


def book(tmp_path: Path, machine: str = "a-srv1 (192.0.2.1)") -> tuple[Book, list[tuple[str, bool]]]:
    told: list[tuple[str, bool]] = []
    return Book(tmp_path / "state.json", machine, lambda step, done: told.append((step, done))), told


def test_a_step_that_is_done_is_remembered_and_one_that_failed_is_not(tmp_path: Path) -> None:
    first, _ = book(tmp_path)
    assert first.step("contents", lambda: {"a": 1}) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        first.step("takeover", lambda: 1 // 0)
    again, told = book(tmp_path)
    assert again.step("contents", lambda: 1 // 0) == {"a": 1}
    assert again.step("takeover", lambda: "SHA256:x") == "SHA256:x"
    assert told == [("contents", True), ("takeover", False)]
    assert again.undo("takeover")
    assert not book(tmp_path)[0].undo("takeover")


def test_what_was_begun_on_one_machine_does_not_go_on_on_another(tmp_path: Path) -> None:
    book(tmp_path)[0].step("contents", dict)
    with pytest.raises(BadInput, match=r"begun on a-srv1 \(192.0.2.1\), not on a-srv1 \(192.0.2.9\)"):
        book(tmp_path, "a-srv1 (192.0.2.9)")


def test_what_came_is_what_the_archive_has() -> None:
    assert compare(FOUND, came()) == {"files": 2, "bytes": 9}


@pytest.mark.parametrize(
    "other", [{"files": 1}, {"sha256": "cd"}, {"path": "/elsewhere"}], ids=lambda one: next(iter(one))
)
def test_one_letter_less_or_another_byte_is_told(other: dict[str, Any]) -> None:
    with pytest.raises(StepFailed, match="mail: /var/vmail: "):
        compare(FOUND, came(**other))


def test_pins_of_a_dead_host_go_and_its_neighbours_stay(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    lines = [
        "a-srv1,192.0.2.1 ssh-ed25519 AAAA\n",
        "# a note\n",
        "a-srv2,192.0.2.11 ssh-ed25519 BBBB\n",
        "192.0.2.1 ssh-rsa CC\n",
    ]
    file.write_text("".join(lines), encoding="utf-8")
    Pins(file).forget(Target("a-srv1", "192.0.2.1", "tram", file))
    assert file.read_text(encoding="utf-8") == "".join(lines[1:3])


def dies(*_words: object, **_more: object) -> None:
    raise KeyboardInterrupt


def test_anybody_can_check_the_certificate_and_a_changed_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    province = load(GOOD)
    steps = {name: {"said": said, "seconds": 1.0} for name, said in
             {"restore": came(), "compare": {"files": 2, "bytes": 9}}.items()}  # fmt: skip
    report = {"contents": FOUND, "done": steps, "began": "2026-11-22T15:00:00Z", "machine": "spare"}
    document = text("a-srv1", "a", copy.deepcopy(report), datetime(2026, 11, 22, 15, 30, tzinfo=UTC), "destroyed")
    assert b'"rto_seconds":1800' in document
    assert b'"rpo_seconds":0' in document, "the backup ended as the drill began, or after"
    file = issue(province, document, tmp_path / "proofs", "a-srv1")
    run(["ssh-keygen", *check_words(province, file)], stdin=file.read_text(encoding="utf-8"))
    with pytest.raises(ProgramFailed):
        run(["ssh-keygen", *check_words(province, file)], stdin=file.read_text(encoding="utf-8").replace("1800", "1"))
    # A second drill that dies here leaves the first one's certificate as it was.
    with monkeypatch.context() as patch:
        patch.setattr(certificate, "run", dies)
        with pytest.raises(KeyboardInterrupt):
            issue(province, document.replace(b"1800", b"1801"), tmp_path / "proofs", "a-srv1")
    assert sorted(one.name for one in file.parent.iterdir()) == ["a-srv1.json", "a-srv1.json.sig", "allowed_signers"]
    # What the centre signed counts as proven, and nothing else.
    assert proven(province, tmp_path / "proofs") == {"a-srv1": datetime(2026, 11, 22, 15, 30, tzinfo=UTC)}
    file.write_text(file.read_text(encoding="utf-8").replace("2026", "2027"), encoding="utf-8")
    (tmp_path / "proofs/odd.json").write_text("[]", encoding="utf-8")
    assert proven(province, tmp_path / "proofs") == {}


def test_a_host_moves_in_the_register_and_its_comments_stay(tmp_path: Path) -> None:
    folder = tmp_path / "province"
    shutil.copytree(GOOD, folder)
    province = load(folder)
    site = next(one for one in province.sites if not one.is_hub)
    host = site.hosts[0]
    free = str(next(one for one in site.network.hosts() if str(one) not in {str(h.address) for h in site.hosts}))
    path = folder / "sites" / f"{site.code}.yml"
    path.write_text("# bought in spring\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    said = moved(province, site, host.name, free)
    assert said.startswith("# bought in spring\n")
    assert path.read_text(encoding="utf-8") != said
    path.write_text(said, encoding="utf-8")
    found = next(one for one in load(folder).sites if one.code == site.code)
    assert str(found.hosts[0].address) == free
    with pytest.raises(RegisterInvalid):
        moved(province, site, host.name, "8.8.8.8")
