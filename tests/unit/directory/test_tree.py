"""What the role adds to the directory, what it mends, and what it leaves alone."""

from __future__ import annotations

import base64

from ...role_module import load

tree = load("directory_tree", "directory/library/directory_tree.py")

BRANCH = "ou=huong-khe,ou=district,dc=tinh,dc=example"
NAME = "Huyện Hương Khê"


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_names_with_diacritics_are_read_as_they_were_written() -> None:
    ldif = f"dn: {BRANCH}\nobjectClass: organizationalUnit\nou: huong-khe\ndescription:: {coded(NAME)}\n\n# end\n"
    assert tree.parse(ldif) == {
        BRANCH: {"objectclass": {"organizationalUnit"}, "ou": {"huong-khe"}, "description": {NAME}}
    }


def test_a_branch_that_is_right_is_left_alone() -> None:
    there = {"objectclass": {"organizationalUnit", "top"}, "ou": {"huong-khe"}, "description": {NAME}, "l": {"by hand"}}
    wanted = {"objectClass": ["organizationalUnit"], "ou": ["huong-khe"], "description": [NAME]}
    assert tree.mending(BRANCH, wanted, there) == ""


def test_only_the_value_that_differs_is_replaced() -> None:
    there = {"ou": {"huong-khe"}, "description": {"Huyện cũ"}}
    said = tree.mending(BRANCH, {"ou": ["huong-khe"], "description": [NAME]}, there)
    assert said == (
        f"dn:: {coded(BRANCH)}\nchangetype: modify\nreplace: description\ndescription:: {coded(NAME)}\n-\n\n"
    )


def test_a_value_can_be_no_more_than_a_value() -> None:
    evil = "x\ndn: dc=tinh,dc=example\nchangetype: delete"
    assert "delete" not in tree.addition(BRANCH, {"description": [evil]})
