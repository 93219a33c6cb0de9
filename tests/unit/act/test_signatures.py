"""What the hub is told to publish, and what is made of its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tram.act.outcome import StepFailed
from tram.act.session import Session
from tram.act.signatures import Sample, by_hash, checked_name, publish, seen
from tram.core.errors import BadInput

pytestmark = pytest.mark.slow

SHA256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"


def test_a_hash_is_told_by_its_length() -> None:
    assert by_hash(SHA256.upper(), None) == Sample("--sha256", SHA256)
    assert by_hash("44d88612fea8a8f36de82e1278abb02f", 68) == Sample(
        "--md5", "44d88612fea8a8f36de82e1278abb02f", size=68
    )


@pytest.mark.parametrize(
    ("text", "size", "says"),
    [
        ("cong-van.docm", None, "neither a file here nor a SHA-256"),
        (SHA256[:-1], None, "neither a file here nor a SHA-256"),
        ("z" * 64, None, "neither a file here nor a SHA-256"),
        ("44d88612fea8a8f36de82e1278abb02f", None, "needs the file's size"),
    ],
)
def test_what_is_no_hash_is_refused(text: str, size: int | None, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        by_hash(text, size)


@pytest.mark.parametrize("name", ["", "ab", "a b", "-rf", "x" * 65, "tên", "a;b", "a\nb"])
def test_a_name_that_could_not_be_a_signatures_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a signature"):
        checked_name(name)


def test_the_hub_is_told_in_words_no_shell_can_misread(hub: Any, session: Session) -> None:
    hub.programs["tram-signatures"] = (0, json.dumps({"serial": 7, "made": "2026-11-22T05:00:00Z"}), "")
    with session:
        assert publish(session, Sample("--sha256", SHA256, size=9), "Tinh.A", note="$(reboot) 'x'") == 7
    assert hub.commands[-1] == (
        f"sudo -n tram-signatures add --sha256 {SHA256} --name Tinh.A --json --size 9 "
        "--note '$(reboot) '\"'\"'x'\"'\"'' --sweep"
    )


def test_the_hubs_own_reason_is_the_one_that_is_shown(hub: Any, session: Session) -> None:
    said = "tram-signatures: chữ ký Tram.Tinh.A báo nhầm 1 tệp sạch · signature Tram.Tinh.A finds 1 clean files\n"
    hub.programs["tram-signatures"] = (1, "", said)
    with (
        session,
        pytest.raises(StepFailed, match=r"^hub1: chữ ký Tram\.Tinh\.A báo nhầm .* finds 1 clean files$") as refused,
    ):
        publish(session, Sample("--sha256", SHA256), "Tinh.A")
    assert refused.value.hint == "nothing was published"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((127, "", "sudo: tram-signatures: command not found"), "has no tram-signatures"),
        ((0, "released", ""), "something else than JSON"),
    ],
)
def test_a_hub_that_cannot_publish_is_named(
    hub: Any, session: Session, answer: tuple[int, str, str], says: str
) -> None:
    hub.programs["tram-signatures"] = answer
    with session, pytest.raises(StepFailed, match=says):
        seen(session, 7)


def test_what_hosts_have_told_the_hub_is_read(hub: Any, session: Session) -> None:
    told = {"srv1.huong-khe.tinh.example": {"serial": 8, "state": "active", "at": "2026-11-22T05:00:09Z"}}
    hub.programs["tram-signatures"] = (0, json.dumps({"serial": 7, "hosts": told}), "")
    with session:
        found = seen(session, 7)
    assert [(host, one.serial, one.state, one.at.isoformat()) for host, one in found.items()] == [
        ("srv1.huong-khe.tinh.example", 8, "active", "2026-11-22T05:00:09+00:00")
    ]
