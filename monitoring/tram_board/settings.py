"""What a board is told: one file, board.toml. Read with the standard library alone: a host has no pydantic 2."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.core.errors import BadInput
from tram_board.people import ACCOUNTS, KEY
from tram_board.words import VERBS

_HINT = "docs/contracts/board.md has an example"
_TEXTS = ("register", "folder", "source", "source_ca", "runbooks", "ledger", "host")
_NUMBERS = {"port": (1, 65535), "interval_seconds": (5, 3600)}
_KEYS = {*_TEXTS, *_NUMBERS, "plain_http", "verbs", "directory"}
_OF_DIRECTORY = {"url", "base", "account", "password_file", "ca", "address"}
_DOOR = re.compile(r"ldapi:///\S+|ldaps://[a-z0-9.-]+(:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Where the directory is, and who asks it. `address`: where `url`'s name is found, when not by DNS."""

    url: str
    base: str
    account: str
    password_file: Path
    ca: Path | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The keys of board.toml: docs/contracts/board.md. `register` is a folder, or a file of the register as data."""

    register: Path
    folder: Path
    source: str = "http://127.0.0.1:8428"
    source_ca: Path | None = None
    runbooks: Path | None = None
    ledger: str | None = None
    host: str = "127.0.0.1"
    port: int = 8460
    plain_http: bool = False
    interval_seconds: int = 60
    verbs: tuple[str, ...] = tuple(VERBS)
    directory: DirectorySettings | None = None

    @property
    def interval(self) -> timedelta:
        """How often a site's samples come."""
        return timedelta(seconds=self.interval_seconds)

    @property
    def accounts(self) -> Path:
        """The file of local accounts."""
        return self.folder / ACCOUNTS

    @property
    def secret(self) -> Path:
        """The key sessions are signed with."""
        return self.folder / KEY


def read_settings(path: Path) -> Settings:
    """Read board.toml.

    Raises: BadInput with every wrong key.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint=_HINT) from error
    except ValueError as error:
        raise BadInput(f"{path}: is no TOML: {error}", hint=_HINT) from error
    wrong = [f"{key}: there is no such key" for key in sorted(found.keys() - _KEYS)]
    wrong += [f"{key}: is missing" for key in ("register", "folder") if key not in found]
    wrong += [f"{key}: {said}" for key, value in found.items() if key in _KEYS and (said := _wrong(key, value))]
    if wrong:
        raise BadInput(f"{path}: {'; '.join(wrong)}", hint=_HINT)
    return Settings(**_read(found))


def _wrong(key: str, value: object) -> str:
    """Why a value will not do, or nothing."""
    if key in _NUMBERS:
        low, high = _NUMBERS[key]
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return "" if fits else f"must be a whole number from {low} to {high}"
    if key == "plain_http":
        return "" if isinstance(value, bool) else "must be true or false"
    if key == "verbs":
        strange = [str(one) for one in value if one not in VERBS] if isinstance(value, list) else [str(value)]
        return (
            f"unknown: {', '.join(strange) or 'nothing'}; there are {', '.join(VERBS)}" if strange or not value else ""
        )
    if key == "directory":
        return _wrong_directory(value)
    return "" if isinstance(value, str) and value else "must be a text"


def _wrong_directory(value: object) -> str:
    if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
        return "must be a table of texts"
    if strange := sorted(value.keys() - _OF_DIRECTORY):
        return f"there is no such key: {', '.join(strange)}"
    if missing := sorted({"url", "base", "account", "password_file"} - value.keys()):
        return f"is without {', '.join(missing)}"
    if not _DOOR.fullmatch(value["url"]):
        return "url must be ldaps://NAME or ldapi:///PATH: passwords do not travel in the clear"
    return "" if "ca" in value or value["url"].startswith("ldapi") else "ldaps needs ca, the file of the province's CA"


def _read(found: Mapping[str, Any]) -> dict[str, Any]:
    read = dict(found)
    for key in ("register", "folder", "source_ca", "runbooks"):
        if key in read:
            read[key] = Path(read[key])
    if given := read.get("directory"):
        paths = {key: Path(given[key]) for key in ("password_file", "ca") if key in given}
        read["directory"] = DirectorySettings(**{**given, **paths})
    if "verbs" in read:
        read["verbs"] = tuple(verb for verb in VERBS if verb in read["verbs"])
    return read
