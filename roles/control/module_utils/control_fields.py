"""One field of an entry in a file like /etc/passwd: the rest of the entry is its owner's (a changed password stays)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.control_things import OTHERS, Impossible, State, Thing, Validate, replace, rights


class Field(Thing):
    """`path`:`entry`:`field` (from 0, as in passwd(5), shadow(5), group(5), gshadow(5))."""

    kind = "field"

    def __init__(self, item: dict[str, Any] | str) -> None:
        if isinstance(item, str):
            path, entry, field = item.rsplit(":", 2)
            item = {"path": path, "entry": entry, "field": field}
        elif any(sign in str(item["value"]) for sign in ":\n"):
            raise Impossible(f"{item['path']}: {item['value']!r} cannot be a field")
        super().__init__(f"{item['path']}:{item['entry']}:{item['field']}", item)

    def now(self) -> State:
        fields = self._found()[1]
        return {"kind": "absent"} if fields is None else {"kind": "field", "value": fields[int(self.item["field"])]}

    def done(self, state: State) -> bool:
        return state["kind"] == "absent" or state["value"] == str(self.item["value"])  # no entry, nothing to do

    def change(self, validate: Validate) -> None:  # noqa: ARG002 (one line is too little for a daemon to check)
        self._write(str(self.item["value"]))

    def restore(self, state: State) -> None:
        if state["kind"] == "field":
            self._write(state["value"])

    def is_state(self, state: State) -> bool:
        return "absent" in (state["kind"], self.now()["kind"]) or super().is_state(state)

    def _found(self) -> tuple[list[str], list[str] | None, int]:
        """The file's lines, the entry's fields, and which line it is."""
        path = Path(self.item["path"])
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n") if path.is_file() else []
        for at, line in enumerate(lines):
            fields = line.split(":")
            if fields[0] == self.item["entry"] and len(fields) > int(self.item["field"]):
                return lines, fields, at
        return lines, None, -1

    def _write(self, value: str) -> None:
        lines, fields, at = self._found()
        if fields is None:
            return
        fields[int(self.item["field"])] = value
        lines[at] = ":".join(fields)
        path = Path(self.item["path"])
        replace(path, "\n".join(lines).encode(errors="surrogateescape"), rights(path.stat()))


OTHERS["field"] = Field
