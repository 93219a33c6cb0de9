"""Board and alert rules say *bad* of the same readings: what one calls in order the other does not page about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tram_board.judging import Limits
from tram_board.readings import BY_HOST
from tram_board.state import window

RULES = Path(__file__).parents[3] / "monitoring/rules"
NUMBER = r"(?P<number>[\d.]+(?: \* \d+)?)"
HELD = {
    "DiskFull": (rf"< {NUMBER}$", "disk_bad"),
    "DiskFilling": (rf"< {NUMBER}$", "disk_attention"),
    "HostAtRisk": (rf">= {NUMBER}$", "risk_bad"),
    "LinkSlow": (r"(?P<number>\d+) \* tram_register_link_rtt_seconds", "rtt_factor"),
    "LinkOutOfContract": (rf"tram_register_link_loss_ratio \+ {NUMBER}\)", "loss_attention"),
    "MailQueueStuck": (rf"oldest_seconds > {NUMBER} ", "mail_attention"),
    "SignaturesOld": (rf"> {NUMBER}$", "signatures_bad"),
    "BackupOld": (rf"> {NUMBER}$", "backup_attention"),
    "BackupVeryOld": (rf"> {NUMBER}$", "backup_bad"),
    "RestoreUnproven": (rf"> {NUMBER}$", "proof_bad"),
}


def rules() -> dict[str, str]:
    """The expression of each alert."""
    groups = [yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for path in sorted(RULES.glob("*.yml"))]
    return {
        rule["alert"]: rule["expr"].strip()
        for found in groups
        for group in found
        for rule in group["rules"]
        if "alert" in rule
    }


@pytest.mark.parametrize("alert", sorted(HELD))
def test_an_alert_and_the_board_have_the_same_threshold(alert: str) -> None:
    pattern, name = HELD[alert]
    found = re.search(pattern, rules()[alert])
    assert found, rules()[alert]
    value = 1.0
    for part in found["number"].split(" * "):
        value *= float(part)
    assert value == getattr(Limits(), name)


def test_what_a_host_no_longer_says_is_gone_from_the_board_after_one_window() -> None:
    """A flag of a disk that was replaced: three minutes, when its agent speaks each minute."""
    back = {found for query in BY_HOST.values() for found in re.findall(r"\[([^]]*)\]", query)}
    assert back == {"$w"}
    assert window().total_seconds() == 180
