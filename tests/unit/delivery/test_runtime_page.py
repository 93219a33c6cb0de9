"""docs/contracts/runtime.md shows what is said. TRAM_WRITE_DOCS=1 writes it anew."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import timedelta
from pathlib import Path

from tram.bundle.runtime import Runtime
from tram.delivery.install import install, installer, request
from tram.delivery.line import Line
from tram.delivery.progress import Teller
from tram.site.install.plan import Put

from .bench import HOST, REPO
from .test_install import ONE_LINER, make

PAGE = REPO / "docs/contracts/runtime.md"
FILES = (Put("/usr/local/sbin/tram-site", b"#!/bin/sh\nexec /usr/bin/python3 \xe2\x80\xa6\n", 0o755),)


class Overheard(Line):
    """A line that remembers what went over it."""

    def __init__(self, root: Path) -> None:
        self.to = self.back = b""
        super().__init__([sys.executable, "-I", "-c", ONE_LINER, "--root", str(root)], patience=timedelta(seconds=60))

    def write(self, data: bytes, /) -> int:
        self.to += data
        return super().write(data)

    def read(self, size: int, /) -> bytes:
        piece = super().read(size)
        self.back += piece
        return piece


def conversation(folder: Path, runtime: Runtime) -> tuple[str, str]:
    """What the host answers first, and what the centre announces then."""
    with Overheard(folder / "root") as line:
        install(line, FILES, runtime, Teller(None, "", HOST, lambda _progress: None))
    asked = request(HOST, FILES, runtime) + b"\n"
    start = line.to.index(asked) + len(asked)
    return line.back.splitlines()[0].decode(), line.to[start : line.to.index(b"\n", start)].decode()


def test_the_conversation_on_the_page_is_what_is_said(tmp_path: Path) -> None:
    runtime = make(tmp_path, {"yaml/__init__.py": b""}, {"launch.py": b"pass\n", "tram/__init__.py": b'"""Xin."""\n'})
    has, coming = conversation(tmp_path, runtime)
    asked = json.loads(request(HOST, FILES, runtime))
    examples = {
        "json index": json.dumps(runtime.index, sort_keys=True, separators=(",", ":")),
        "text id": runtime.id,
        "json asked": json.dumps({**asked, "index": "…"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
        "json has": has,
        "json coming": coming,
    }
    if os.environ.get("TRAM_WRITE_DOCS"):
        text = PAGE.read_text()
        for name, body in examples.items():
            text = re.sub(rf"```{name}\n.*?```", lambda _, n=name, b=body: f"```{n}\n{b}\n```", text, flags=re.DOTALL)
        PAGE.write_text(text)
    shown = dict(re.findall(r"```(\w+ \w+)\n(.*?)\n```", PAGE.read_text(), re.DOTALL))
    assert shown == examples
    assert len(installer()) < 16_000
