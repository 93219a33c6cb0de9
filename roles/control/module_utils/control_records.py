"""What stood before, on the disk: until a control is taken back, and until a call that changed it was checked."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.control_things import Impossible, Thing, replace

OURS = {"mode": "0600", "uid": os.geteuid(), "gid": os.getegid()}


class Record:
    """What stood before a control, thing by thing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8") if path.exists() else None
        data = json.loads(self.text) if self.text else {}
        self.before: dict[str, dict[str, Any]] = data.get("before", {})
        self.made: list[str] = data.get("made", [])
        self.at: str = data.get("at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def save(self) -> None:
        """Keep it, whole and on the disk, before anything it tells about is touched."""
        text = json.dumps(
            {"control": self.path.stem, "at": self.at, "off": self.off(), "made": self.made, "before": self.before},
            indent=1,
            sort_keys=True,
        )
        if text != self.text:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(self.path, text.encode(), OURS)
            self.text = text

    def off(self) -> bool:
        """Whether all of it was put back."""
        return all(state.get("off") for state in self.before.values())

    def absent_packages(self) -> list[str]:
        """Packages that came with the control."""
        return [key.partition(":")[2] for key, state in self.before.items() if state.get("kind") == "no package"]


class Unchecked:
    """What a call changes of a control and how all of that stood before, on the disk until the call's check has passed:
    should it be killed before, the next call of that control checks, and puts back, in its place."""

    def __init__(self, record: Path) -> None:
        self.record = record
        self.path = record.parent / "unchecked" / record.name
        self.text = self.path.read_text(encoding="utf-8") if self.path.exists() else None

    def begin(self, states: dict[str, dict[str, Any]]) -> None:
        """Keep these states and the record, but for what a call that never was checked has kept already."""
        data: dict[str, Any] = json.loads(self.text) if self.text else {"record": None, "before": {}}
        if self.text is None and self.record.exists():
            data["record"] = self.record.read_text(encoding="utf-8")
        data["before"] = {**states, **data["before"]}
        if (text := json.dumps(data, sort_keys=True)) != self.text:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(self.path, text.encode(), OURS)
            self.text = text

    def put_back(self) -> None:
        """Things and record as they stood."""
        data = json.loads(self.text or "{}")
        for key, state in reversed(list(data.get("before", {}).items())):
            if not (thing := Thing.of(key)).is_state(state):
                with contextlib.suppress(Impossible):
                    thing.restore(state)
        if data:
            put_record(self.record, data["record"])

    def end(self) -> None:
        """It was checked."""
        self.path.unlink(missing_ok=True)


def put_record(path: Path, text: str | None) -> None:
    """A record as it was; none when there was none."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        replace(path, text.encode(), OURS)
