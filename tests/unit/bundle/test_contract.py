"""docs/contracts/bundle.md shows true bytes. TRAM_WRITE_DOCS=1 writes them anew."""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tram.bundle import File, pack
from tram.bundle.content import content
from tram.core.canonical import digest
from tram.core.order import Order
from tram.core.tree import Tree

from .bench import FAR, REPO, Bench, text_of
from .test_order import ORDER

PAGE = REPO / "docs/contracts/bundle.md"
CONTENT = content(
    {
        "playbook.yml": File(f"- hosts: {FAR}\n  roles: [greeting]\n".encode()),
        "roles/greeting/tasks/main.yml": File("- ansible.builtin.debug: {msg: Xin chào}\n".encode()),
        "secrets/greeting/word": File(b"bi mat\n", 0o600),
    },
    roles=("greeting",),
    returns=(),
    missing=(),
)
EXAMPLE = replace(ORDER, tree=CONTENT.tree.digest, bytes=CONTENT.tree.bytes, playbook="playbooks/greeting.yml")


def example(name: str) -> str:
    """An example of the page."""
    found = re.search(rf"<!-- example: {name} -->\n```\w*\n(.*?)```\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"{PAGE.name} has no example {name}"
    return found[1].strip()


@pytest.fixture(scope="module", autouse=True)
def page() -> None:
    """Write the examples when asked to."""
    if not os.environ.get("TRAM_WRITE_DOCS"):
        return
    packed = pack(CONTENT, [])
    examples = {
        "order": ("json", EXAMPLE.canonical().decode()),
        "allowed_signers": ("", 'centre@lab namespaces="tram-order" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…'),
        "tree": ("json", CONTENT.tree.canonical().decode()),
        "tree-digest": ("", CONTENT.tree.digest),
        "pack": ("", "\n".join(re.findall(".{1,128}", packed.hex()))),
        "records": ("", "\n".join(records(lzma.decompress(packed)))),
    }
    text = PAGE.read_text()
    for name, (kind, body) in examples.items():
        block = f"<!-- example: {name} -->\n```{kind}\n{body}\n```\n<!-- end -->"
        text = re.sub(rf"<!-- example: {name} -->\n.*?<!-- end -->", lambda _, b=block: b, text, flags=re.DOTALL)
    PAGE.write_text(text)


def records(plain: bytes) -> list[str]:
    """The length in hexadecimal and the sketch, then a line of text for each content."""
    end = 4 + int.from_bytes(plain[:4])
    found = [f"{plain[:4].hex()} {plain[4:end].decode()}"]
    for _, slot in sorted(json.loads(plain[4:end])["files"].items()):
        if "digest" not in slot:
            found.append(json.dumps(plain[end : end + slot["size"]].decode(), ensure_ascii=False))
            end += slot["size"]
    return found


def test_the_order_shown_is_one() -> None:
    data = example("order").encode()
    assert Order.parse(data) == EXAMPLE
    assert EXAMPLE.canonical() == data


def test_the_tree_shown_is_one_with_the_digest_shown() -> None:
    data = example("tree").encode()
    assert Tree.parse(data) == CONTENT.tree
    assert digest(data) == example("tree-digest") == EXAMPLE.tree


def test_the_pack_shown_has_the_records_shown_and_they_are_what_is_packed() -> None:
    shown = bytes.fromhex(example("pack").replace("\n", ""))
    assert records(lzma.decompress(shown)) == example("records").splitlines()
    # Another release of xz may find other bytes for the same records.
    assert lzma.decompress(pack(CONTENT, [])) == lzma.decompress(shown)


def test_sha256sum_agrees_with_the_names(tmp_path: Path) -> None:
    for name, data in CONTENT.objects.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.startswith(name)


def test_the_meta_file_shown_is_read(bench: Bench) -> None:
    shown = re.search(
        r"^```yaml\nfirst:.*?^(make:.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )  # `first` has a test of its own
    assert shown is not None
    bench.write(
        {
            "playbooks/play.yml": "- {hosts: mail, roles: [dns]}\n",
            "roles/dns/tasks/main.yml": "[]\n",
            "roles/dns/tasks/verify.yml": "[]\n",
            "roles/dns/defaults/main.yml": 'dns_transfer_key_file: "{{ tram_secrets_dir }}/dns/transfer.key"\n',
            "roles/dns/templates/transfer.key.j2": "{{ lookup('ansible.builtin.password', dns_transfer_key_file) }}\n",
            "roles/dns/meta/tram.yml": shown[1],
        }
    )
    built = bench.build()
    assert built.returns == (f"pki/csr/{FAR}.csr",)
    assert len(text_of(built, "secrets/dns/transfer.key").strip()) == 32
