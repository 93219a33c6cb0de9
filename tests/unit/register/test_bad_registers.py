"""Each bad register owes exactly its errors: all of them, with file, line and hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tram.register import RegisterInvalid, load

from .bad_register import CASES, GOOD, make_bad, read_case

FILES = sorted(CASES.glob("*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_register_owes_exactly_these_errors(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    folder = make_bad(case, tmp_path / "register")
    with pytest.raises(RegisterInvalid) as caught:
        load(folder)
    assert [str(problem) for problem in caught.value.problems] == case.owes
    assert caught.value.exit_code == 2


def test_the_register_that_the_cases_change_is_good() -> None:
    assert len(FILES) > 20
    assert [site.code for site in load(GOOD).sites] == ["trung-tam", "huong-khe", "vu-quang"]
