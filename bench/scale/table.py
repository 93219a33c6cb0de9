"""The table in README.md, from the rows of results.json: `python -m bench.scale.table`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- /table -->"
_HEADINGS = (
    "province",
    "ledger",
    "what",
    "done / not reached / failed",
    "wall s",
    "controller CPU ms a host: itself + helpers",
    "peak RSS MB",
    "payload B a host: down / up",
    "ledger writes a host",
    "site CPU s a host",
)


def write(found: Mapping[str, Any]) -> None:
    """Put the table into README.md, and print it."""
    table = "\n".join(_lines(found)) + "\n"
    text = README.read_text(encoding="utf-8")
    README.write_text(text[: text.index(_BEGIN) + len(_BEGIN)] + table + text[text.index(_END) :], encoding="utf-8")
    print(table)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {' | '.join(_HEADINGS)} |"
    yield "|" + "---|" * len(_HEADINGS)
    for row in found["rows"]:
        tried = row["tried"]
        own, helpers = (1000 * row[name] / tried for name in ("controller_cpu_seconds", "helpers_cpu_seconds"))
        cells = (
            f"{row['province']}, {row['hosts']} hosts",
            row["ledger"],
            row["what"],
            f"{row['done']} / {row['not_reached']} / {row['failed']}",
            f"{row['wall_seconds']:.0f}",
            f"{own:.0f} + {helpers:.0f}",
            f"{row['peak_rss_bytes'] / 1e6:.0f}",
            f"{row['bytes_down'] / tried:.0f} / {row['bytes_up'] / tried:.0f}",
            f"{row['ledger_writes'] / tried:.1f}",
            f"{(row['sites_talk_cpu_seconds'] + row['sites_work_cpu_ms'] / 1000) / tried:.2f}",
        )
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text(encoding="utf-8")))
