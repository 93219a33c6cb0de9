"""A pack is what a site lacks and nothing else, in few bytes and bounded memory."""

from __future__ import annotations

import json
import lzma
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.bundle import Content, File, pack
from tram.bundle.content import content
from tram.core.canonical import digest


def made(files: dict[str, bytes]) -> Content:
    """A content of plain files."""
    return content({path: File(data) for path, data in files.items()}, roles=(), returns=(), missing=())


def unpack(data: bytes, most: int) -> tuple[dict[str, dict[str, Any]], list[bytes]]:
    """Read a pack as the contract says: 4 bytes length, the sketch, contents in the order of paths; at most `most`."""
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=32 * 2**20)
    plain = reader.decompress(data, most)
    assert reader.eof, "more than was announced"
    end = 4 + int.from_bytes(plain[:4])
    slots, contents = json.loads(plain[4:end])["files"], []
    for _, slot in sorted(slots.items()):
        if "digest" not in slot:
            contents.append(plain[end : end + slot["size"]])
            end += slot["size"]
    assert end == len(plain)
    return slots, contents


files = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=50), max_size=6)


@given(files, st.sets(st.sampled_from("abcdef")))
def test_a_site_ends_up_with_every_object_of_the_tree_whatever_it_had(
    given_files: dict[str, bytes], had: set[str]
) -> None:
    whole = made(given_files)
    have = {digest(given_files[name]) for name in had if name in given_files}
    slots, contents = unpack(pack(whole, have), whole.tree.bytes + 2**22)
    assert {digest(content) for content in contents} == whole.objects.keys() - have
    came = iter(contents)
    tree = {path: slot.get("digest") or digest(next(came)) for path, slot in sorted(slots.items())}
    assert tree == {path: entry.digest for path, entry in whole.tree.files.items()}


def test_a_content_comes_once_at_its_first_path_and_is_named_at_the_others() -> None:
    slots, contents = unpack(pack(made({"b": b"two", "a": b"one", "c": b"one"}), []), 10_000)
    assert contents == [b"one", b"two"]
    assert {path for path, slot in slots.items() if "digest" in slot} == {"c"}


def test_no_digest_travels_of_what_comes_with_it() -> None:
    """A digest is 32 bytes that nothing makes smaller."""
    many = {f"roles/r/tasks/{number}.yml": f"- debug: {{msg: {number}}}\n".encode() for number in range(100)}
    assert len(pack(made(many), [])) < 100 * 16


def test_the_same_content_is_the_same_pack() -> None:
    assert pack(made({"a": b"x" * 999, "b": b"y"}), []) == pack(made({"b": b"y", "a": b"x" * 999}), [])


@pytest.mark.parametrize("size", [0, 100, 2**20, 12 * 2**20])
def test_a_site_needs_no_more_memory_than_the_data_and_never_above_ten_megabytes(size: int) -> None:
    data = pack(made({"a": bytes(size)}), [])
    limit = min(max(2 * size, 2**17), 10 * 2**20) + 2**20
    lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limit).decompress(data)
