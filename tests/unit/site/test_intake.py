"""What an order goes through before it is accepted, with the real program over a pipe."""

from __future__ import annotations

import json
import lzma
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.core.canonical import digest, dumps
from tram.core.frames import encode

from .host import NOW, Site, make_key, pack_of, raw_pack, script, tree_of

pytestmark = pytest.mark.slow

FILES = {"playbook.yml": script(), "roles/x/files/a": b"a" * 5000}


def refused(site: Site, frame: bytes) -> dict[str, Any]:
    answer = site.exchange(frame)[1]
    assert answer["t"] == "refused", answer
    assert site.refusals()[-1]["reason"] == answer["reason"]
    assert list((site.root / "runs").iterdir()) == []
    assert list((site.root / "queue").iterdir()) == []
    return answer


def test_the_host_speaks_first_and_says_where_it_stands(site: Site) -> None:
    (state,) = site.exchange()
    assert state["t"] == "state"
    assert (state["province"], state["site"], state["host"]) == ("lab", "huong-khe", "huong-khe-srv1")
    assert (state["serial"], state["trees"], state["partial"], state["runs"], state["busy"]) == (0, [], {}, [], None)
    assert state["runtime"] == ["0123456789abcdef"]
    assert state["free_bytes"] > 0


def test_a_signed_order_with_its_pack_is_accepted_and_queued(site: Site) -> None:
    order = site.send(FILES)
    (state,) = site.exchange()
    assert state["serial"] == 1
    assert state["trees"] == [order.tree]
    assert state["runs"] == [{"run": order.run, "state": "accepted", "from": 1, "next_seq": 2}]
    assert [path.name for path in (site.root / "queue").iterdir()] == ["1.json"]
    assert list((site.root / "incoming").iterdir()) == []


def test_what_is_here_already_need_not_be_sent_again(site: Site) -> None:
    site.send(FILES)
    assert site.exchange(site.frame(site.order(FILES), None))[1]["t"] == "accepted"


def test_a_tree_that_is_not_here_is_asked_for(site: Site) -> None:
    order = site.order(FILES)
    assert site.exchange(site.frame(order, None))[1] == {"t": "need", "run": order.run, "pack": None, "offset": 0}


def test_an_upload_that_was_cut_off_goes_on_where_it_stopped(site: Site) -> None:
    files = {**FILES, "b": random.Random(1).randbytes(9000)}
    order, pack = site.order(files), pack_of(files)
    whole = site.frame(order, pack)
    site.exchange(whole[:-1500])
    (state,) = site.exchange()
    here = state["partial"][digest(pack)]
    assert 0 < here < len(pack)
    assert site.exchange(site.frame(order, pack, here))[1]["t"] == "accepted"


def test_an_upload_from_beyond_what_is_here_is_told_where_to_begin(site: Site) -> None:
    order, pack = site.order(FILES), pack_of(FILES)
    answer = site.exchange(site.frame(order, pack, 100))[1]
    assert answer == {"t": "need", "run": order.run, "pack": digest(pack), "offset": 0}


def test_a_part_that_a_power_cut_tore_is_asked_for_once_more_from_the_start(site: Site) -> None:
    order, pack = site.order(FILES), pack_of(FILES)
    (site.root / "incoming").mkdir()
    (site.root / "incoming" / f"{digest(pack)}.part").write_bytes(b"\0" * 50)
    answer = site.exchange(site.frame(order, pack, 50))[1]
    assert answer == {"t": "need", "run": order.run, "pack": digest(pack), "offset": 0}
    assert site.exchange(site.frame(order, pack))[1]["t"] == "accepted"


def test_another_key_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    order = site.order(FILES)
    sig = make_key(tmp_path / "other").sign(order.canonical())
    answer = refused(site, site.frame(order, pack_of(FILES), sig=sig))
    assert answer["message"] == "the order is not signed by centre@lab with a key this host knows"


def test_a_signature_made_for_something_else_is_refused(site: Site) -> None:
    order = site.order(FILES)
    assert refused(site, site.frame(order, None, sig=site.key.sign(order.canonical(), "file")))["reason"] == "signature"


def test_an_order_changed_after_it_was_signed_is_refused(site: Site) -> None:
    order = site.order(FILES)
    document = {**json.loads(order.canonical()), "playbook": "playbooks/other.yml"}
    assert refused(site, site.frame(order, None, order=document))["reason"] == "signature"


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        (
            {"host": "so-noi-vu-srv1"},
            "host",
            "the order is for lab/huong-khe/so-noi-vu-srv1, this is lab/huong-khe/huong-khe-srv1",
        ),
        ({"province": "ha-tinh"}, "host", "the order is for ha-tinh/huong-khe/huong-khe-srv1, this is lab/"),
        (
            {"issued": NOW - timedelta(days=2), "expires": NOW - timedelta(days=1)},
            "expired",
            "the order expired at 2026-11-20T19:05:00Z; the centre's time is 2026-11-21T19:05:10Z",
        ),
        (
            {"runtime": "f" * 16},
            "runtime",
            "runtime ffffffffffffffff is not installed here; there is 0123456789abcdef (install the runtime first)",
        ),
    ],
)
def test_an_order_that_is_not_for_here_and_now_is_refused(
    site: Site, changes: dict[str, Any], reason: str, message: str
) -> None:
    answer = refused(site, site.frame(site.order(FILES, **changes), pack_of(FILES)))
    assert answer["reason"] == reason
    assert answer["message"].startswith(message)


def test_an_order_is_accepted_once(site: Site) -> None:
    order = site.order(FILES)
    frame = site.frame(order, pack_of(FILES))
    first, again = site.exchange(frame, frame)[1:]
    assert first["t"] == "accepted"
    assert (again["t"], again["reason"]) == ("refused", "replayed")
    assert again["message"] == "serial 1 is not above 1, the last one accepted"


def test_a_clock_wrong_by_years_does_not_matter_while_the_centre_is_on_the_line(site: Site) -> None:
    past = {"issued": NOW - timedelta(days=9000), "expires": NOW - timedelta(days=8999)}
    order = site.order(FILES, **past)
    assert site.exchange(site.frame(order, pack_of(FILES), now="2002-03-31T00:00:00Z"))[1]["t"] == "accepted"


def test_a_format_of_the_future_is_refused_by_its_number(site: Site) -> None:
    order = site.order(FILES)
    document = {**json.loads(order.canonical()), "format": 2}
    answer = refused(site, site.frame(order, None, order=document))
    assert answer["reason"] == "format"
    assert answer["message"].startswith("order: format 2 is not known here")


def damaged_in_the_middle(pack: bytes) -> bytes:
    return pack[:-30] + bytes([pack[-30] ^ 1]) + pack[-29:]


def slots_of(files: dict[str, bytes]) -> dict[str, dict[str, int]]:
    return {path: {"mode": 0o644, "size": len(content)} for path, content in files.items()}


def with_more_than_announced(_: bytes) -> bytes:
    return raw_pack(slots_of(FILES), {**FILES, "zzz": b"nobody named me"})


def with_another_content(_: bytes) -> bytes:
    return pack_of({**FILES, "playbook.yml": FILES["playbook.yml"][::-1]})


def with_another_file(_: bytes) -> bytes:
    return pack_of({"another.yml" if path == "playbook.yml" else path: data for path, data in FILES.items()})


def without_an_object(_: bytes) -> bytes:
    path = "roles/x/files/a"
    slots = slots_of(FILES) | {path: {"mode": 0o644, "size": len(FILES[path]), "digest": digest(FILES[path])}}
    return raw_pack(slots, {name: data for name, data in FILES.items() if name != path})


def with_less_than_announced(_: bytes) -> bytes:
    return raw_pack(slots_of(FILES), {"playbook.yml": FILES["playbook.yml"]})


def cut_short(pack: bytes) -> bytes:
    return pack[:-20]


def no_xz(_: bytes) -> bytes:
    return b"PK\3\4 a zip, by mistake"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged_in_the_middle, "the pack is not xz as it must be"),
        (with_more_than_announced, "the pack holds more than the tree names"),
        (with_another_content, "what is in the pack is not the order's tree"),
        (with_another_file, "what is in the pack is not the order's tree"),
        (with_less_than_announced, "the pack ends before all that it announces"),
        (without_an_object, "1 files of the tree did not come, the first is roles/x/files/a"),
        (cut_short, "the pack is cut short"),
        (no_xz, "the pack is not xz as it must be"),
    ],
)
def test_a_pack_that_is_not_what_the_tree_names_is_refused(
    site: Site, spoil: Callable[[bytes], bytes], message: str
) -> None:
    answer = refused(site, site.frame(site.order(FILES), spoil(pack_of(FILES))))
    assert answer["reason"] == "damaged"
    assert answer["message"].startswith(message)
    assert site.exchange()[0]["trees"] == []


def test_a_pack_that_is_not_what_its_digest_says_is_refused(site: Site) -> None:
    answer = refused(site, site.frame(site.order(FILES), pack_of(FILES), pack=digest(b"another")))
    assert (answer["reason"], answer["message"]) == ("damaged", "the pack is not what its digest says")


def test_a_path_out_of_the_tree_is_refused_before_anything_is_kept(site: Site) -> None:
    files = {"playbook.yml": b"[]", "x": b"evil"}
    document = json.loads(tree_of(files).canonical())
    document["files"]["../../etc/cron.d/x"] = document["files"].pop("x")
    tree = dumps(document)
    order = site.order(files, tree=digest(tree))
    answer = refused(site, site.frame(order, pack_of(files, tree=tree)))
    assert answer["reason"] == "path"
    assert list((site.root / "objects").iterdir()) == []


def test_a_pack_larger_than_its_order_allows_is_refused(site: Site) -> None:
    order = site.order(FILES)
    answer = refused(site, site.frame(order, pack_of({**FILES, "bomb": bytes(5 * 2**20)})))
    assert answer["reason"] == "too-large"
    assert (
        answer["message"] == f"the pack holds {5 * 2**20 + order.bytes} bytes of files, its order allows {order.bytes}"
    )
    answer = refused(site, site.frame(order, lzma.compress((2**31).to_bytes(4, "big") + bytes(9 * 2**20))))
    assert (answer["reason"], answer["message"]) == ("too-large", "a sketch of 2147483648 bytes; the limit is 4194304")
    answer = refused(site, site.frame(order, None, pack=digest(b""), pack_bytes=2**30))
    assert answer["reason"] == "too-large"
    assert list((site.root / "objects").iterdir()) == []


def test_a_pack_of_another_format_is_refused_by_its_number(site: Site) -> None:
    old = tree_of(FILES).canonical()
    answer = refused(site, site.frame(site.order(FILES), lzma.compress(len(old).to_bytes(4, "big") + old)))
    assert (answer["reason"], answer["message"]) == ("format", "pack: format 1 is not known here, only format 2")


@pytest.fixture
def small_disk(site: Site) -> Iterator[Site]:
    """A host whose state directory is on a disk of 40 MB."""
    argv = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "tmpfs", str(site.root)]
    kept = {path.name: path.read_bytes() for path in site.root.iterdir()}
    if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        for name, content in kept.items():
            (site.root / name).write_bytes(content)
        yield site
    finally:
        subprocess.run(["umount", str(site.root)], check=True)


def test_a_full_disk_is_refused_with_both_figures(small_disk: Site) -> None:
    files = {**FILES, "large": bytes(8 * 2**20)}
    answer = refused(small_disk, small_disk.frame(small_disk.order(files), pack_of(files)))
    assert answer["reason"] == "full"
    assert re.search(r"has 4\d\.\d MB free, needed are 50\.3 \(33\.6 of it margin\)", answer["message"])
    assert small_disk.exchange(small_disk.frame(small_disk.order(FILES), pack_of(FILES)))[1]["t"] == "accepted"


def test_what_is_no_frame_ends_the_conversation_with_a_word(site: Site) -> None:
    assert site.exchange(b"\xff\xff\xff\xff")[1] == {
        "t": "error",
        "fatal": True,
        "message": "the other end announces a message of 4294967295 bytes; the limit is 1048576",
    }


def test_a_kind_that_is_not_known_is_passed_over(site: Site) -> None:
    answers = site.exchange(encode({"t": "dance"}), site.frame(site.order(FILES), pack_of(FILES)))
    assert [answer["t"] for answer in answers] == ["state", "error", "accepted"]


def test_data_of_a_refused_order_are_read_past(site: Site) -> None:
    bad = site.frame(site.order(FILES, host="another-srv1"), pack_of(FILES))
    good = site.frame(site.order(FILES), pack_of(FILES))
    assert [answer["t"] for answer in site.exchange(bad, good)] == ["state", "refused", "accepted"]
    assert (site.root / "incoming").exists()


def test_partial_packs_are_bounded(site: Site) -> None:
    for number in range(6):
        files = {**FILES, "n": str(number).encode() * 3000}
        pack = pack_of(files)
        site.exchange(site.frame(site.order(files), pack)[:-40])
    assert len(site.exchange()[0]["partial"]) <= 3


def test_a_host_that_does_not_know_who_it_is_says_so(site: Site) -> None:
    (site.root / "config.json").write_text("{}")
    (answer,) = site.exchange()
    assert (answer["t"], answer["fatal"]) == ("error", True)
    assert "does not say province, site and host" in answer["message"]
