"""A tree names every file; no name in it leads out of where it is put."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tram.core.canonical import BadDocument
from tram.core.tree import FileEntry, Tree, check_path

parts = st.text("aă.-_ \U0001f4ec", min_size=1, max_size=5).filter(lambda part: part not in (".", ".."))
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
entry = st.builds(
    FileEntry,
    digest=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(0, 1000),
    mode=st.sampled_from([0o644, 0o755, 0o600]),
)


def made(files: dict[str, FileEntry]) -> Tree:
    """A tree, unless the paths drawn contradict one another."""
    try:
        return Tree(files)
    except BadDocument as error:
        assume("is a file, not a directory" not in error.message)
        raise


@pytest.mark.slow
@given(st.dictionaries(paths, entry, max_size=6))
def test_a_tree_comes_back_as_it_was_written(files: dict[str, FileEntry]) -> None:
    tree = made(files)
    again = Tree.parse(tree.canonical())
    assert (again, again.digest, again.bytes) == (tree, tree.digest, sum(entry.size for entry in files.values()))


@pytest.mark.slow
@given(st.dictionaries(paths, entry, min_size=2, max_size=6))
def test_the_same_files_in_any_order_are_the_same_tree(files: dict[str, FileEntry]) -> None:
    assert made(dict(reversed(files.items()))).digest == made(files).digest


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "", "a", "\\", "\0"]), max_size=5).map("/".join))
def test_a_path_that_is_taken_stays_below_the_directory_it_is_put_into(path: str) -> None:
    try:
        taken = check_path(path)
    except BadDocument:
        return
    put = Path("/tree") / taken
    assert PurePosixPath(taken).as_posix() == taken
    assert Path("/tree") in put.parents
    assert ".." not in put.parts


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_tree_or_a_clear_refusal(data: bytes) -> None:
    with suppress(BadDocument):
        assert Tree.parse(data).canonical() == data


def test_a_tree_cannot_be_changed_after_it_was_checked() -> None:
    tree = Tree({"a": FileEntry("0" * 64, 1, 0o644)})
    with pytest.raises(TypeError):
        tree.files["../b"] = tree.files["a"]  # type: ignore[index]
