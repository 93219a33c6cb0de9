"""A piece of work with a directory of its own, in which it journals how far it got before each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tram.core import events
from tram.site import durable
from tram.site.place import Place


class Journaled:
    """Everything it knows is on the disk, so whoever comes after a power cut goes on. `name`: in reports."""

    def __init__(self, path: Path, name: str, host: str) -> None:
        self.path = path
        self.name = name
        self.host = host

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    def journal(self) -> dict[str, Any]:
        """What was journaled last; at least `state`."""
        found = durable.read_json(self.path / "state.json")
        if isinstance(found, dict) and isinstance(found.get("state"), str):
            return found
        # Not there any more: another process has just retired it, and only what is over is retired.
        return {"state": "accepted" if self.path.is_dir() else "done"}

    def note(self, **changes: Any) -> dict[str, Any]:
        """Change the journal; it is on the disk when this returns. The new journal."""
        journal = {**self.journal(), **changes}
        durable.write_json(self.path / "state.json", journal)
        return journal

    @property
    def state(self) -> str:
        return str(self.journal()["state"])

    def tell(self, kind: str, **body: Any) -> events.Event:
        """Append the next event."""
        return events.append(self.events_file, self.name, self.host, kind, body)

    def document(self, name: str) -> Any:
        """A document in the directory, None when it is not there."""
        return durable.read_json(self.path / name)

    def put(self, name: str, document: object) -> None:
        """Keep a document in the directory."""
        durable.write_json(self.path / name, document)

    def superseded(self, place: Place) -> bool:  # noqa: ARG002 (what can be superseded says so)
        """Whether something newer waits that settles the matter."""
        return False
