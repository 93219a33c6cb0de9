"""Each bad project in this directory is refused with exactly the message it is owed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.core.canonical import BadDocument, dumps
from tram.core.errors import TramError
from tram.core.order import Order
from tram.core.tree import Tree

from ...unit.bundle.bench import FAR, set_up
from ...unit.bundle.test_order import ORDER

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in HERE.glob("*.yml") if not path.stem.startswith("documents-"))
DEFAULT_PLAY = "- hosts: mail\n  roles: [post]\n"


@pytest.mark.parametrize("case", CASES)
def test_a_bad_project_is_refused_with_the_message_it_is_owed(case: str, tmp_path: Path) -> None:
    given = yaml.safe_load((HERE / f"{case}.yml").read_text(encoding="utf-8"))
    bench = set_up(tmp_path / "project")
    for name, text in {"playbooks/play.yml": DEFAULT_PLAY, **given["files"]}.items():
        put(bench.folder / name, text)
    for name, text in given.get("keep", {}).items():
        put(bench.secrets / name, text)
    with pytest.raises(TramError) as refused:
        bench.build(FAR)
    said = refused.value.message.replace(str(bench.secrets), "{secrets}").replace(str(bench.folder), "{project}")
    assert said == given["owes"].strip()
    assert refused.value.exit_code == 2
    assert refused.value.hint == given.get("hint", refused.value.hint)


def put(path: Path, text: str) -> None:
    """A file of a case; "-> target" is a link, "17 MiB of nothing" is that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith("-> "):
        path.symlink_to(text.removeprefix("-> "))
    elif text == "17 MiB of nothing":
        path.write_bytes(bytes(17 * 2**20))
    else:
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("given", yaml.safe_load((HERE / "documents-order.yml").read_text()), ids=lambda g: g["owes"])
def test_a_bad_order_is_refused_with_the_message_it_is_owed(given: dict[str, Any]) -> None:
    good = json.loads(ORDER.canonical())
    bad = {key: value for key, value in (good | given.get("change", {})).items() if key not in given.get("without", [])}
    data = given["bytes"].encode() if "bytes" in given else bytes(given["length"]) if "length" in given else dumps(bad)
    with pytest.raises(BadDocument) as refused:
        Order.parse(data)
    assert (refused.value.message, refused.value.reason) == (given["owes"], given["reason"])


@pytest.mark.parametrize("given", yaml.safe_load((HERE / "documents-tree.yml").read_text()), ids=lambda g: g["owes"])
def test_a_bad_tree_is_refused_with_the_message_it_is_owed(given: dict[str, Any]) -> None:
    files = given.get("files", {})
    if "part" in given:
        files = {"a" * given["part"]: ["a", 1, 0o644]}
    if "parts" in given:
        files = {"/".join(["a"] * given["parts"]): ["a", 1, 0o644]}
    if "many" in given:
        files = {str(number): ["a", 1, 0o644] for number in range(given["many"])}
    if "heavy" in given:
        files = {str(number): ["a", 2**24, 0o644] for number in range(given["heavy"])}
    entries = {
        p: {"digest": d * 64 if isinstance(d, str) else d, "size": s, "mode": m} for p, (d, s, m) in files.items()
    }
    tree = dumps({"format": 1, "files": entries})
    data = given["bytes"].encode() if "bytes" in given else bytes(given["length"]) if "length" in given else tree
    with pytest.raises(BadDocument) as refused:
        Tree.parse(data)
    assert refused.value.message.endswith(given["owes"])
    assert refused.value.reason == given["reason"]
