"""The drop-in of role sandbox, from values as people write them in YAML."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
import yaml

from ...role_module import ROLES


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("ReadOnlyPaths: /srv/www", ["ReadOnlyPaths=/srv/www"]),
        ("TasksMax: 64", ["TasksMax=64"]),
        ("ProtectHome: no", ["ProtectHome=False"]),
        (
            "SystemCallFilter: ['@system-service', '~@resources']",
            ["SystemCallFilter=@system-service", "SystemCallFilter=~@resources"],
        ),
        ("UMask: ''", []),
    ],
    ids=["text", "a number", "a truth value", "a list", "left out"],
)
def test_a_setting_is_written_whatever_its_kind(given: str, lines: list[str]) -> None:
    settings: dict[str, Any] = yaml.safe_load(given)
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)  # as Ansible has it
    environment.filters["comment"] = "# {}".format
    template = environment.from_string((ROLES / "sandbox/templates/drop-in.conf.j2").read_text(encoding="utf-8"))
    text = template.render(ansible_managed="managed", __sandbox_set=settings)
    assert text.splitlines() == ["# managed", "[Service]", *lines]
