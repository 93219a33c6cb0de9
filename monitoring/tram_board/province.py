"""Where the board knows the province from: the register's folder, or on a host the register as data."""

from __future__ import annotations

import json
from pathlib import Path

from tram.core.errors import BadInput
from tram.register.model import Province
from tram.register.plain import from_plain


def read_register(path: Path) -> Province:
    """The province in a folder as in docs/contracts/register.md, or in a file as `tram.register.plain` makes it.

    Raises: BadInput.
    """
    if path.is_dir():
        # Reads YAML and checks all of it, which takes what a host does not have.
        from tram.register import load  # noqa: PLC0415

        return load(path)
    try:
        return from_plain(json.loads(path.read_text(encoding="utf-8")), path.parent)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint="role board writes it: playbooks/board.yml") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: is no register: {error}", hint="role board writes it: playbooks/board.yml") from error
