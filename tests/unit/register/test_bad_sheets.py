"""Each bad spreadsheet owes exactly its errors, by sheet, row and column, and leaves the register as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.register import RegisterInvalid
from tram.register.importing import import_sheets

from .bad_register import GOOD
from .bad_sheet import SHEETS, make_sheet, read_case

FILES = sorted(SHEETS.glob("*.yml"))


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden files too."""
    found = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_spreadsheet_owes_exactly_these_errors_and_changes_nothing(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    spreadsheet = make_sheet(case, tmp_path)
    register = tmp_path / "register"
    shutil.copytree(GOOD, register)
    for name in case.remove:
        (register / name).unlink()
    before = contents(register)
    with pytest.raises(BadInput) as caught:
        import_sheets(spreadsheet, register, dry_run=False)
    error = caught.value
    told = (
        [str(problem) for problem in error.problems]
        if isinstance(error, RegisterInvalid)
        else [f"{error.message}; {error.hint}".replace(f"{tmp_path}/", "")]
    )
    assert told == case.owes
    assert contents(register) == before


def test_there_are_cases() -> None:
    assert len(FILES) > 10
