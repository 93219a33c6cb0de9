"""Tables of ansible-core that a host would otherwise parse from YAML at each start, seconds of an old CPU."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from tram.core.run import run


def settings_as_json(source: bytes) -> bytes:
    """A YAML document of ordinary values as JSON, which the same reader reads to the same values."""
    return _json(yaml.load(source, Loader=yaml.SafeLoader))


def meta_as_json(source: bytes) -> bytes:
    """A collection's routing table as JSON; each scalar is text, as Ansible's own reader of it has it."""
    return _json(yaml.load(source, Loader=yaml.BaseLoader))  # noqa: S506


def plugin_options() -> bytes:
    """The option definitions of the plugins every playbook loads: {"<type>": {"<name>": {option: definition}}}, JSON.

    Asked of Ansible itself, in a process of its own because loading it changes the interpreter.
    """
    done = run(
        [sys.executable, "-c", Path(__file__).with_name("runtime_options.py").read_text()],
        timeout=timedelta(minutes=2),
        env={**os.environ, "LC_ALL": "C.UTF-8"},  # Ansible takes no LANG=en, which asks us for English
    )
    return _json(json.loads(done.stdout))


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=0)
    if json.loads(text) != value:
        raise ValueError("a table has values that JSON cannot carry")
    return text.encode()
