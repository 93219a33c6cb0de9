"""A release is whole, signed and announced, or there is none; whatever is asked for and whenever the hub dies."""

from __future__ import annotations

import argparse
import errno
import hashlib
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tram_signatures import carry, change, publication, shelf
from tram_signatures.compiled import ALL, EICAR
from tram_signatures.entry import Entry
from tram_signatures.main import main
from tram_signatures.place import Place
from tram_signatures.publication import Result
from tram_signatures.words import Refused

from .conftest import served, tree

pytestmark = pytest.mark.slow
Add = Callable[..., Result]
HASH = "ab" * 32


def hashes(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def publish(place: Place, **given: Any) -> Result | None:
    with publication.alone(place):
        return publication.publish(place, **given)


def test_the_first_release_has_canary_and_eicar_and_is_announced(place: Place, tools: Path) -> None:
    publish(place)
    release = served(place)
    assert [file["name"] for file in release["files"]] == ["tram-canary.hsb", "tram-eicar.ndb"]
    assert {tuple(file["profiles"]) for file in release["files"]} == {ALL}
    assert f'TXT "v=1 serial={release["serial"]}"' in tools.read_text()
    canary = release["canary"].encode()
    content = (place.published / "files" / release["files"][0]["sha256"]).read_text()
    assert content == f"{hashlib.sha256(canary).hexdigest()}:{len(canary)}:Tram.Canary.{release['serial']}:73\n"


def test_each_kind_of_signature_is_published_in_the_file_clamav_takes_it_from(place: Place, add: Add) -> None:
    rule = place.state.parent / "rule.yar"
    rule.write_text('rule Vi_rut { strings: $a = "rất đặc biệt" condition: $a }', encoding="utf-8")
    add("Bang.Hash", sha256=HASH.upper())
    add("Bang.Md5", md5="cd" * 16, size=12)
    add("Bang.Mau", ndb="X:0:*:4d5a9000aabbccddeeff0011")
    add("Bang.Luat", yara=str(rule))
    release = served(place)
    contents = {file["name"]: (place.published / "files" / file["sha256"]).read_text() for file in release["files"]}
    assert contents["tram-hashes.hsb"] == f"{HASH}:*:Tram.Bang.Hash:73\n"
    assert contents["tram-hashes.hdb"] == f"{'cd' * 16}:12:Tram.Bang.Md5\n"
    assert contents["tram-patterns.ndb"] == "Tram.Bang.Mau:0:*:4d5a9000aabbccddeeff0011\n"
    assert [text for name, text in contents.items() if name.endswith(".yar")] == [rule.read_text() + "\n"]


def test_a_sample_is_found_by_its_own_signature_and_its_content_is_not_kept(
    place: Place, add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tmp_path / "công văn\nsố 12.docx"
    sample.write_bytes(b"xau" * 1000)
    add("Mau", file=str(sample), sweep=True, note="ổ dịch ở Hương Khê")
    release = served(place)
    assert (release["sweep"], release["note"]) == (True, "ổ dịch ở Hương Khê")
    assert not any(sample.read_bytes() in content for content in tree(place.state, place.published).values())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"qua stdin")))
    assert add("Stdin", file="-").new


def test_the_same_said_twice_is_one(place: Place, add: Add) -> None:
    first = add("Mot", sha256=HASH)
    again = add("Mot", sha256=HASH)
    assert (again.new, again.release.serial) == (False, first.release.serial)
    assert add("Mot", sha256=HASH, sweep=True).release.told["sweep"], "an outbreak is declared of what is known already"


REFUSALS = {
    "no hash": ({"sha256": "abc"}, "'abc' is no SHA-256"),
    "empty file": ({"sha256": hashlib.sha256(b"").hexdigest()}, "the empty file is no virus"),
    "md5 alone": ({"md5": "cd" * 16}, "an MD5 needs the file's size"),
    "short pattern": ({"ndb": "X:0:*:4d5a"}, "the pattern fixes 2 bytes, 8 are needed"),
    "wild pattern": ({"ndb": "X:0:*:4d5a????????{4}(aa|bb)"}, "the pattern fixes 2 bytes"),
    "no pattern": ({"ndb": "X:0:*:không phải"}, "a line of .ndb is Name:Target:Offset:Hex"),
    "no target": ({"ndb": "X:77:*:4d5a9000aabbccddeeff0011"}, "there is no target '77'"),
    "two lines": ({"ndb": "X:0:*:4d5a9000aabbccddeeff0011\nY:0:*:00"}, "a line of .ndb is"),
    "odd pattern": ({"ndb": "X:0:*:4d5a9000aabbccddeeff001"}, "Problem parsing database at line 1"),
    "no such file": ({"file": "/khong/co"}, "there is no such file"),
    "a directory": ({"file": "/"}, "there is no such file"),
    "a system file": ({"sha256": hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest()}, "finds 1 clean files"),
    "a system pattern": ({"ndb": "X:0:0:7f454c46020101000000"}, "not published"),
    "a taken name": ({"name": "Cu", "sha256": HASH}, "the name Cu is another signature's"),
    "another name": ({"sha256": hashes(0)}, "it is there already as Cu"),
    "a reserved name": ({"name": "Test.EICAR", "sha256": HASH}, "cannot be used"),
    "a name with a line": ({"name": "A\nB", "sha256": HASH}, "cannot be used"),
    "a name for a path": ({"name": "../A", "sha256": HASH}, "cannot be used"),
    "a note of lines": ({"sha256": HASH, "note": "a\nb"}, "one line"),
}


@pytest.mark.parametrize(("given", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_is_refused_in_one_sentence_and_changes_nothing(
    place: Place, add: Add, given: dict[str, Any], message: str
) -> None:
    add("Cu", sha256=hashes(0))
    before = tree(place.state, place.published)
    with pytest.raises(Refused) as caught:
        add(**{"name": "Moi", **given})
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert tree(place.state, place.published) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [("chẳng có gì", "there is no YARA rule"),
     ('import "pe"\nrule a { condition: pe.is_dll() }', "ClamAV does not know"),
     ("rule broken { condition: x }", "line 1 syntax error"), ("rule a {}" + " " * 300_000, "over 256000 bytes")],
)  # fmt: skip
def test_wrong_rules_are_refused(place: Place, add: Add, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yar").write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=message):
        add("Luat", yara=str(tmp_path / "r.yar"))
    (tmp_path / "r.yar").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="cannot be read"):
        add("Luat", yara=str(tmp_path / "r.yar"))


def test_a_file_of_debians_is_no_virus(add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "dpkg"
    listed.mkdir()
    digest = hashlib.md5(b"cong cu").hexdigest()
    (listed / "coreutils.md5sums").write_text(f"{digest}  usr/bin/cong-cu\n", encoding="utf-8")
    monkeypatch.setattr(change, "DPKG", listed)
    (tmp_path / "sample").write_bytes(b"cong cu")
    for given in ({"file": str(tmp_path / "sample")}, {"md5": digest, "size": 7}):
        with pytest.raises(Refused, match="that is the file /usr/bin/cong-cu of Debian's package coreutils"):
            add("Nham", **given)


def test_clamav_that_dies_in_the_trial_publishes_nothing(
    place: Place, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(place)
    before = tree(place.state, place.published)
    monkeypatch.setenv("CLAMSCAN_DIES", "1")
    with pytest.raises(Refused, match="did not live through the trial"):
        add("Mot", sha256=HASH)
    assert tree(place.state, place.published) == before


def test_a_file_that_is_allowed_is_found_no_more(place: Place, add: Add, tmp_path: Path) -> None:
    (tmp_path / "mau").write_bytes(b"phan mem ke toan" * 9)
    add("Nham", file=str(tmp_path / "mau"))
    words = {"sha256": None, "file": str(tmp_path / "mau"), "note": "", "who": "root", "name": "Duoc.Phep"}
    with publication.alone(place):
        change.allow(place, argparse.Namespace(**words))
    assert "tram-allowed.sfp" in [file["name"] for file in served(place)["files"]]


def test_a_name_that_is_removed_is_gone_and_one_that_is_not_there_is_said(place: Place, add: Add) -> None:
    add("Mot", sha256=HASH)
    with publication.alone(place):
        change.remove(place, "Tram.Mot", "")
    assert publication.entries_now(place) == []
    with publication.alone(place), pytest.raises(Refused, match="there is no signature of the name Mot"):
        change.remove(place, "Mot", "")


@pytest.mark.usefixtures("untried")
def test_going_back_is_a_new_number_with_the_old_content_and_the_old_sources(place: Place, add: Add) -> None:
    good = add("Tot", sha256=hashes(1)).release
    bad = add("Nham", sha256=hashes(2)).release
    with publication.alone(place):
        back = publication.rolled_back(place, None)
    assert back.release.serial > bad.serial
    assert back.release.same == good.same
    assert [entry.name for entry in publication.entries_now(place)] == ["Tot"]
    with publication.alone(place):
        assert publication.rolled_back(place, bad.serial).release.same == bad.same
        with pytest.raises(Refused, match="there is no such release"):
            publication.rolled_back(place, 5)


@pytest.mark.usefixtures("untried")
def test_ten_releases_are_kept_and_no_file_that_none_of_them_names(place: Place, add: Add) -> None:
    for number in range(13):
        add(f"So.{number}", sha256=hashes(number))
    kept = shelf.releases(place.releases)
    assert len(kept) == 10
    named = {file["sha256"] for release in kept for file in release.told["files"]}
    assert {path.name for path in (place.published / "files").iterdir()} == named


@pytest.mark.usefixtures("untried")
def test_the_number_grows_also_when_the_shelf_is_lost_or_the_clock_goes_back(place: Place, add: Add) -> None:
    first = add("Mot", sha256=hashes(1)).release.serial
    for release in place.releases.iterdir():
        release.rename(place.state / f"lost-{release.name}")
    second = add("Hai", sha256=hashes(2)).release.serial
    assert second > first
    assert publication.next_serial(3_000_000_000) == 3_000_000_001


class Killed(BaseException):
    """The hub's power is cut here."""


@pytest.mark.usefixtures("untried")
def test_killed_anywhere_the_mirror_is_whole_and_the_next_run_ends_it(
    place: Place, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication.shutil, "rmtree", _hardly(publication.shutil.rmtree, place.work))
    add("Cu", sha256=hashes(0))
    fsync, rename = os.fsync, Path.rename
    for at in range(200):
        left = [at]

        def step(real: Callable[..., Any], *args: Any, left: list[int] = left) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args)

        monkeypatch.setattr(os, "fsync", lambda *args, step=step: step(fsync, *args))
        monkeypatch.setattr(Path, "rename", lambda *args, step=step: step(rename, *args))
        number = at + 1
        before = served(place)["serial"]
        try:
            add(f"So.{number}", sha256=hashes(number))
            killed = False
        except Killed:
            killed = True
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "rename", rename)
        assert served(place)["serial"] >= before
        publish(place)
        now = served(place)
        names = {entry.name for entry in publication.entries_now(place)}
        assert now["serial"] == publication.newest(place).serial  # type: ignore[union-attr]
        text = "".join((place.published / "files" / file["sha256"]).read_text() for file in now["files"])
        assert all((f"Tram.{name}:" in text) for name in names)
        assert {f"So.{before_that}" for before_that in range(1, number) if f"Tram.So.{before_that}:" in text} <= names
        if not killed:
            assert at > 10, "there are more steps than that"
            return
    raise AssertionError("it never came to its end")


def _hardly(rmtree: Callable[..., Any], work: Path) -> Callable[..., Any]:
    """What a power cut leaves is not tidied up by anybody."""
    return lambda path, **given: None if Path(path) == work and sys.exc_info()[0] is Killed else rmtree(path, **given)


def test_a_full_disk_changes_nothing(place: Place, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add("Cu", sha256=hashes(0))
    before = tree(place.state, place.published)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write", full)
        with pytest.raises(Refused, match="No space left"):
            add("Moi", sha256=HASH)
    assert tree(place.state, place.published) == before
    small = Place(**{**{name: getattr(place, name) for name in Place.__slots__}, "keep_free_bytes": 10**18})
    with publication.alone(small), pytest.raises(Refused, match="bytes are free at"):
        publication.publish(small, again=True)
    assert tree(place.state, place.published) == before


@pytest.mark.usefixtures("untried")
def test_those_who_come_at_once_come_one_after_the_other(place: Place, add: Add) -> None:
    threads = [threading.Thread(target=add, args=(f"So.{n}",), kwargs={"sha256": hashes(n)}) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.name for entry in publication.entries_now(place)) == [f"So.{n}" for n in range(4)]
    with (
        publication.alone(place),
        pytest.raises(Refused, match="another tram-signatures"),
        publication.alone(place, 0.1),
    ):
        pass


@pytest.mark.usefixtures("untried")
def test_what_dns_did_not_hear_is_announced_later(
    place: Place, add: Add, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAMED_DOWN", "1")
    result = add("Mot", sha256=HASH)
    assert result.new
    assert "could not talk" in result.not_announced
    monkeypatch.delenv("NAMED_DOWN")
    assert publication.status(place)["due"]
    assert publication.announce(place) == ""
    assert f"serial={result.release.serial}" in tools.read_text()
    assert not publication.status(place)["due"]
    said = tools.read_text()
    publication.announce(place)
    assert tools.read_text() == said, "what is announced is not announced again"


def test_a_file_that_is_lost_on_the_mirror_comes_back(place: Place) -> None:
    publish(place)
    for path in (place.published / "files").iterdir():
        path.unlink()
    assert publication.status(place)["due"]
    publish(place)
    served(place)


@pytest.mark.usefixtures("untried")
def test_what_people_write_into_the_sources_is_published_or_its_line_is_named(place: Place, add: Add) -> None:
    add("Mot", sha256=hashes(1))
    with place.sources.open("a", encoding="utf-8") as file:
        file.write("# thêm bằng tay\n" + Entry("Hai", "sha256", hashes(2)).line() + "\n")
    assert publication.status(place)["due"]
    publish(place)
    names = "".join((place.published / "files" / file["sha256"]).read_text() for file in served(place)["files"])
    assert "Tram.Hai" in names
    with place.sources.open("a", encoding="utf-8") as file:
        file.write('{"name": "Ba", "kind": "sha256", "value": "x"}\n')
    with pytest.raises(Refused, match="dòng 3"):
        publish(place)
    assert "dòng 3" in publication.status(place)["wrong"]


@pytest.mark.usefixtures("untried")
def test_a_stick_has_what_is_served(place: Place, add: Add, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing has been published"):
        carry.export(place, tmp_path / "stick", sets=True)
    add("Mot", sha256=HASH)
    carry.export(place, tmp_path / "stick", sets=True)
    carry.export(place, tmp_path / "stick", sets=True)
    assert (tmp_path / "stick/release.json").read_bytes() == (place.published / "release.json").read_bytes()
    for file in served(place)["files"]:
        content = (tmp_path / "stick/files" / file["sha256"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    (tmp_path / "blocked").write_text("", encoding="utf-8")
    with pytest.raises(Refused, match="cannot be written to"):
        carry.export(place, tmp_path / "blocked", sets=True)


def test_a_wrong_word_is_exit_code_2_and_a_refusal_1(place: Place, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "config.json"
    config.write_text(f'{{"domain": "tinh.example", "state": "{place.state}"}}', encoding="utf-8")
    assert main(["--config", str(config), "add", "--name", "A", "--sha256", "x"]) == 1
    assert capsys.readouterr().err.startswith("tram-signatures: 'x' không phải SHA-256")
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(config), "add", "--name", "A"])
    assert caught.value.code == 2
    config.write_text('{"domain": "tinh.example", "la": 1}', encoding="utf-8")
    assert main(["--config", str(config), "list"]) == 1


def test_this_program_is_no_virus() -> None:
    here = Path(publication.__file__).parent
    assert not any(EICAR in path.read_bytes() for path in here.rglob("*.py"))
