"""Which document is in which file of a documents server's backup: read from the dump of its database, at the hub."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from tram_backup_reading import Failed, chosen, explained

DUMP = "var/lib/tram-backup-site/dumps/documents/mayan.sql"
FILES = "/var/lib/mayan/document_storage"
COPY = re.compile(r"COPY public\.(\w+) \((.*)\) FROM stdin;\n")
# Source: PostgreSQL's manual, COPY, "Text Format".
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
DOCUMENTS, HELD, TOLD = "documents_document", "documents_documentfile", "metadata_documentmetadata"


def rows(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The rows of a dump's tables that tell of documents, each with its table."""
    table, names = "", []
    for line in lines:
        if table:
            if line == "\\.\n":
                table = ""
            elif table in (DOCUMENTS, HELD, TOLD):
                yield table, dict(zip(names, map(_plain, line.rstrip("\n").split("\t")), strict=True))
        elif found := COPY.fullmatch(line):
            table, names = found[1], [name.strip('"') for name in found[2].split(", ")]


def _plain(field: str) -> str | None:
    if field == "\\N":
        return None
    return re.sub(r"\\(.)", lambda found: ESCAPED.get(found[1], found[1]), field, flags=re.DOTALL)


def matching(lines: Iterable[str], words: str) -> list[dict[str, Any]]:
    """The files of all documents that have these words in their name or in what is told of them (number, subject),
    the newest first."""
    labels: dict[str, str] = {}
    told: dict[str, list[str]] = {}
    held = []
    for table, row in rows(lines):
        if table == DOCUMENTS:
            labels[row["id"] or ""] = row["label"] or ""
        elif table == TOLD:
            told.setdefault(row["document_id"] or "", []).append(row["value"] or "")
        else:
            held.append(row)
    wanted = words.casefold()
    return [
        {
            "document": int(number),
            "label": labels[number],
            "told": [value for value in told.get(number, []) if value],
            "at": row["timestamp"],
            "name": row["filename"],
            "path": f"{FILES}/{row['file']}",
        }
        for row in sorted(held, key=lambda one: one["timestamp"] or "", reverse=True)
        if (number := row["document_id"] or "") in labels
        and any(wanted in text.casefold() for text in (labels[number], *told.get(number, [])))
    ]


def find(hub: Any, host: str, passphrase: str, wanted: str, words: str) -> dict[str, Any]:
    """The archive, and what `matching` finds in it; nothing leaves the hub but that.

    Raises: Failed.
    """
    archive = chosen(hub, host, passphrase, wanted)["name"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape", dir=hub.root) as out:
        ran = hub.borg(host, ["extract", "--stdout", f"::{archive}", DUMP], passphrase, None, out)
        if "never matched" in ran.stderr:
            raise Failed(f"{host}: {archive} has no documents")
        if ran.returncode != 0:
            raise Failed(explained(host, ran))
        out.seek(0)
        return {"archive": archive, "found": matching(out, words)}
