"""What a board is told: one file, board.toml."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tram.core.errors import BadInput
from tram_board.words import VERBS


class Settings(BaseModel):
    """The keys of board.toml: docs/contracts/board.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    register_dir: Path = Field(alias="register")
    source: str = "http://127.0.0.1:8428"
    source_ca: Path | None = None
    folder: Path
    runbooks: Path | None = None
    ledger: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8460, ge=1, le=65535)
    plain_http: bool = False
    interval_seconds: int = Field(default=60, ge=5, le=3600)
    verbs: tuple[str, ...] = tuple(VERBS)

    @field_validator("verbs")
    @classmethod
    def _known(cls, verbs: tuple[str, ...]) -> tuple[str, ...]:
        strange = sorted(set(verbs) - set(VERBS))
        if strange or not verbs:
            raise ValueError(f"unknown: {', '.join(strange) or 'nothing'}; there are {', '.join(VERBS)}")
        return tuple(verb for verb in VERBS if verb in verbs)

    @property
    def interval(self) -> timedelta:
        """How often a site's samples come."""
        return timedelta(seconds=self.interval_seconds)

    @property
    def accounts(self) -> Path:
        """The file of local accounts."""
        return self.folder / "people.json"

    @property
    def secret(self) -> Path:
        """The key sessions are signed with."""
        return self.folder / "session.key"


def read_settings(path: Path) -> Settings:
    """Read board.toml.

    Raises: BadInput with every wrong key.
    """
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint="docs/contracts/board.md has an example") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: is no TOML: {error}", hint="docs/contracts/board.md has an example") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadInput(f"{path}: {wrong}", hint="docs/contracts/board.md has an example") from error
