"""Who gets which letter: Alertmanager's file as the role writes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import yaml

ROLE = Path(__file__).parents[3] / "roles/watch_hub/templates/etc/tram-watch-hub"


def written() -> str:
    """As for two people on duty."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE), trim_blocks=True, autoescape=False)
    environment.filters["comment"] = "# {}".format
    given: dict[str, Any] = {
        "ansible_managed": "x",
        "tram_fqdn": "hub.tinh.example",
        "watch_hub_mail_server": "127.0.0.1:25",
        "watch_hub_mail_from": "giam-sat@tinh.example",
        "watch_hub_mail_to": ["a@tinh.example", "b@tinh.example"],
        "watch_hub_repeat_page_hours": 4,
        "watch_hub_repeat_ticket_hours": 24,
    }
    return environment.get_template("alertmanager.yml.j2").render(given)


def test_the_daily_letter_comes_once_a_day_to_everybody_and_its_end_is_no_letter(tmp_path: Path) -> None:
    said = yaml.safe_load(written())
    [daily] = [route for route in said["route"]["routes"] if route["matchers"] == ['severity="daily"']]
    receivers = {one["name"]: one["email_configs"] for one in said["receivers"]}
    assert [(one["to"], one["send_resolved"]) for one in receivers[daily["receiver"]]] == [
        ("a@tinh.example", False),
        ("b@tinh.example", False),
    ]
    assert {one["send_resolved"] for one in receivers["mail"]} == {True}
    # It fires for one hour and is silent for 23: more than the first, less than the second.
    assert daily["repeat_interval"] == "12h"
    if shutil.which("amtool"):
        file = tmp_path / "alertmanager.yml"
        file.write_text(written().replace("templates: [/etc/tram-watch-hub/mail.tmpl]\n", ""))
        ran = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
