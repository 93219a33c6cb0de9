"""A pack is what a site lacks and nothing else, in few bytes and bounded memory."""

from __future__ import annotations

import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.bundle import Content, File, pack
from tram.bundle.content import content
from tram.core.canonical import digest


def made(files: dict[str, bytes]) -> Content:
    """A content of plain files."""
    return content({path: File(data) for path, data in files.items()}, roles=(), returns=(), missing=())


def unpack(data: bytes, most: int) -> list[tuple[str, bytes]]:
    """Read a pack as the contract says: a record is 32 bytes digest, 8 bytes size, content; never more than `most`."""
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=32 * 2**20)
    plain = reader.decompress(data, most)
    assert reader.eof, "more than was announced"
    found = []
    while plain:
        name, size = plain[:32].hex(), int.from_bytes(plain[32:40])
        found.append((name, plain[40 : 40 + size]))
        assert digest(found[-1][1]) == name
        plain = plain[40 + size :]
    return found


files = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=50), max_size=6)


@given(files, st.sets(st.sampled_from("abcdef")))
def test_a_site_ends_up_with_every_object_of_the_tree_whatever_it_had(
    given_files: dict[str, bytes], had: set[str]
) -> None:
    whole = made(given_files)
    have = {digest(given_files[name]) for name in had if name in given_files}
    got = dict(unpack(pack(whole, have), whole.tree.bytes + 2**22))
    assert got.keys() == {whole.tree.digest, *whole.objects} - have
    assert all(got[name] == whole.objects[name] for name in whole.objects if name not in have)


def test_the_tree_comes_first_then_objects_once_by_their_first_path() -> None:
    whole = made({"b": b"two", "a": b"one", "c": b"one"})
    assert [data for _, data in unpack(pack(whole, []), 10_000)] == [whole.tree.canonical(), b"one", b"two"]


def test_a_site_that_has_everything_gets_next_to_nothing() -> None:
    whole = made({"a": b"one"})
    assert len(pack(whole, {whole.tree.digest, *whole.objects})) <= 32


def test_the_same_content_is_the_same_pack() -> None:
    assert pack(made({"a": b"x" * 999, "b": b"y"}), []) == pack(made({"b": b"y", "a": b"x" * 999}), [])


@pytest.mark.parametrize("size", [0, 100, 2**20, 12 * 2**20])
def test_a_site_needs_no_more_memory_than_the_data_and_never_above_ten_megabytes(size: int) -> None:
    data = pack(made({"a": bytes(size)}), [])
    limit = min(max(2 * size, 2**17), 10 * 2**20) + 2**20
    lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limit).decompress(data)
