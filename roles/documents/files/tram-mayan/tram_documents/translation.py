"""Compiles the Vietnamese that goes over Mayan's own: one catalogue for each of its apps."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from .place import LIB, read, run, write

SOURCES = LIB / "locale"
COMPILED = LIB / "compiled"


def digest() -> str:
    """What the sources hold, in a word."""
    found = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.po")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def is_compiled() -> bool:
    """Whether what is compiled is what the sources hold."""
    return read("translation") == digest()


def compile_all() -> None:
    """Compile every source, checked by gettext (placeholders, plurals), beside the old ones; then change over.

    Raises Trouble with gettext's words; the old ones stay.
    """
    word = digest()
    new = COMPILED.with_name("compiled.new")
    shutil.rmtree(new, ignore_errors=True)
    for path in sorted(SOURCES.glob("*.po")):
        place = new / path.stem / "vi/LC_MESSAGES"
        place.mkdir(parents=True)
        run(["msgfmt", "--check-format", "-o", str(place / "django.mo"), str(path)], what=f"msgfmt {path.name}")
    shutil.rmtree(COMPILED, ignore_errors=True)
    if new.is_dir():
        new.rename(COMPILED)
    write("translation", word)


def folders() -> list[Path]:
    """Where the compiled catalogues are."""
    return sorted(COMPILED.glob("*"))
