"""Wrong arguments and files: exit 2, one message that says what, where and what to do; no host is touched."""

from __future__ import annotations

from typing import Any

import pytest

KNOWN = "the register has: trung-tam-hub1, so-noi-vu-srv1, huong-khe-srv1"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([], "which hosts?", f"give their names or --all; {KNOWN}"),
        (["trung-tam-hub1", "--all"], "which hosts?", f"give their names or --all; {KNOWN}"),
        (["trung-tam-hub9", "x"], "no host called trung-tam-hub9, x", KNOWN),
        (
            ["trung-tam-hub1", "--fingerprint", "MD5:00:11"],
            "--fingerprint MD5:00:11: is no SHA256 fingerprint",
            "it reads SHA256: and 43 letters (ssh-keygen -l)",
        ),
        (
            ["--all", "--fingerprint", "SHA256:" + "a" * 43],
            "--fingerprint is one host's, and 3 were named",
            "name one host at a time",
        ),
        (
            ["--all", "--ask-password", "--password-file", "x"],
            "--password-file and --ask-password are two ways for one thing",
            "keep one of them",
        ),
        (
            ["--all", "--password-file", "/nowhere/at-all"],
            "/nowhere/at-all: No such file or directory",
            "give a file with the password in its first line",
        ),
    ],
)
def test_wrong_arguments(simulate: Any, desk: Any, words: list[str], message: str, hint: str) -> None:
    host = simulate()
    desk.wire(host.port)
    seen = desk.bootstrap(*words)
    assert seen.code == 2
    assert seen.out == ""
    assert message in seen.err.replace("\n", " ")
    assert hint in seen.err.replace("\n", " ")
    assert host.transports == [], "no host was even called"


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("one\n", 0o640, "others may read this password (mode 0640)"),
        ("one\n", 0o604, "others may read this password (mode 0604)"),
        ("", 0o600, "holds 0 lines, not one password"),
        ("\n", 0o600, "holds 1 lines, not one password"),
        ("one\ntwo\n", 0o600, "holds 2 lines, not one password"),
    ],
)
def test_a_password_file_that_is_none(desk: Any, text: str, mode: int, message: str) -> None:
    desk.wire(1)
    seen = desk.bootstrap("--all", "--password-file", desk.file("first-password", text, mode))
    assert (seen.code, seen.out) == (2, "")
    assert f"first-password: {message}" in seen.err.replace("\n", " ")
    assert "one\n" not in seen.err


def test_a_lab_that_is_not_up(desk: Any) -> None:
    seen = desk.bootstrap("--all")
    assert seen.code == 2
    assert "lab: this lab is not up" in seen.err
    assert "hint:  start it: tram lab up" in seen.err


def test_a_centre_key_others_can_read(simulate: Any, desk: Any) -> None:
    host = simulate()
    desk.wire(host.port)
    key = desk.state.parents[1] / "secrets" / "ssh" / "id_ed25519"
    key.parent.mkdir(parents=True)
    key.write_text("not one")
    key.chmod(0o644)
    seen = desk.bootstrap("trung-tam-hub1")
    assert seen.code == 2
    assert "others may read the centre's private key (mode 0644)" in seen.err
    key.chmod(0o600)
    seen = desk.bootstrap("trung-tam-hub1")
    assert seen.code == 2
    assert "is not a private key that can be read without a passphrase" in seen.err
    assert key.read_text() == "not one", "a key is never replaced"
    assert host.transports == []


def test_a_place_for_secrets_that_is_none(desk: Any) -> None:
    desk.wire(1)
    (desk.state.parents[1] / "secrets").write_text("a file")
    seen = desk.bootstrap("--all")
    assert (seen.code, seen.out) == (2, "")
    assert "secrets: cannot hold the centre's key: File exists" in seen.err
