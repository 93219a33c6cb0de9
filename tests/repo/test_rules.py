"""Every alert says in both languages what is wrong and names a runbook that is there; each is tried by promtool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).parents[2]
FILES = sorted((REPO / "monitoring/rules").glob("*.yml"))
ALERTS: list[dict[str, Any]] = [
    rule
    for file in FILES
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
TRIED = "".join(file.read_text(encoding="utf-8") for file in (REPO / "monitoring/rules/tests").glob("*.yml"))

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


@each_alert
def test_an_alert_has_words_in_both_languages_a_runbook_and_a_severity(alert: dict[str, Any]) -> None:
    vietnamese, _, english = alert["annotations"]["summary"].partition(" · ")
    assert any(ord(letter) > 127 for letter in vietnamese)
    assert english.isascii()
    assert english.endswith(".")
    assert (REPO / alert["annotations"]["runbook"]).is_file()
    assert alert["labels"]["severity"] in {"page", "ticket", "daily"}


@each_alert
def test_an_alert_is_tried_where_it_must_fire(alert: dict[str, Any]) -> None:
    assert f'alertname="{alert["alert"]}"' in TRIED or f"alertname: {alert['alert']}\n" in TRIED


def test_the_hub_takes_every_file_of_rules() -> None:
    taken = yaml.safe_load((REPO / "roles/watch_hub/vars/main.yml").read_text(encoding="utf-8"))["__watch_hub_rules"]
    assert sorted(taken) == [file.stem for file in FILES]
    # By links of single files: a bundle follows those, and no directory's.
    carried = sorted((REPO / "roles/watch_hub/files/rules").iterdir())
    assert [path.resolve() for path in carried] == FILES
