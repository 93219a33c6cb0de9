"""docs/contracts/{event,exchange}.md show the bytes that the code writes."""

from __future__ import annotations

import io
import re
from pathlib import Path

from tram.core import events
from tram.core.frames import read_data, read_frame, write_data, write_frame
from tram.site import limits
from tram.site.refusal import Refusal

CONTRACTS = Path(__file__).parents[3] / "docs/contracts"
EVENT, EXCHANGE = ((CONTRACTS / name).read_text() for name in ("event.md", "exchange.md"))
RUN, HOST = "20261121T190500Z-3fa9c1", "huong-khe-srv1"


def block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def test_the_events_on_the_page_are_what_is_written(tmp_path: Path) -> None:
    at = {"at": "2026-11-21T19:05:00Z"}
    task = {"task": "base : Chào", "status": "changed", "seconds": 0.2, "path": "/etc/motd"}
    result = {"outcome": "done", "reason": "", "verify": [{"role": "base", "ok": True, "message": ""}]}
    path = tmp_path / "events.jsonl"
    events.append_all(
        path,
        RUN,
        HOST,
        [("state", {**at, "state": "accepted"}), ("task", {**at, **task}), ("result", {**at, **result})],
    )
    assert path.read_text() == block(EVENT, "jsonl")
    assert [event.seq for event in events.read(path)] == [1, 2, 3]


def test_the_frames_on_the_page_are_what_is_sent() -> None:
    sent = io.BytesIO()
    write_frame(sent, {"t": "ack", "run": RUN, "seq": 12})
    write_data(sent, b"abc")
    shown = bytes.fromhex("".join(block(EXCHANGE, "hex").split()))
    assert shown == sent.getvalue(), sent.getvalue().hex()
    stream = io.BytesIO(shown)
    assert read_frame(stream) == {"t": "ack", "run": RUN, "seq": 12}
    frame = read_frame(stream)
    assert frame is not None
    assert b"".join(read_data(stream, frame)) == b"abc"


def test_every_reason_for_a_refusal_is_on_the_page() -> None:
    source = "".join(path.read_text() for path in Path(limits.__file__).parent.glob("*.py"))
    reasons = set(re.findall(rf'{Refusal.__name__}\(\s*"([a-z-]+)"', source))
    assert {"signature", "host", "expired", "replayed", "damaged", "full", "runtime", "too-large"} <= reasons
    assert [reason for reason in reasons if f"`{reason}`" not in EXCHANGE] == []


def test_the_bounds_on_the_pages_are_the_bounds() -> None:
    assert f"at most {limits.MAX_EVENTS_OF_A_RUN:,} events a run" in EVENT.lower()
    assert f"{limits.MAX_UNACKNOWLEDGED_RUNS} runs that" in EVENT
    assert f"{limits.PARTIAL_PACKS} packs begun" in EXCHANGE
    assert f"{limits.MAX_WAITING_ORDERS} orders that wait" in EXCHANGE


def test_a_torn_last_line_is_cut_off_and_its_number_used_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for number in range(3):
        events.append(path, RUN, HOST, "note", {"message": f"{number}" * 300})
    path.write_bytes(path.read_bytes()[:-20])
    assert [event.seq for event in events.read(path)] == [1, 2]
    assert events.last_seq(path) == 2
    events.append(path, RUN, HOST, "note", {"message": "after"})
    assert [(event.seq, event.body["message"][:5]) for event in events.read(path, 3)] == [(3, "after")]
