"""What is made of the very same files is made once; anything else is made anew."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tram.bundle import Content
from tram.bundle.remembered import cache_dir
from tram.core.errors import TramError

from .bench import Bench

pytestmark = pytest.mark.slow

PLAY = """
    - hosts: all
      gather_facts: false
      roles: [hello]
"""
TASKS = "roles/hello/tasks/main.yml"


@pytest.fixture
def hello(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A role that only says something, looked at when its files are no longer new."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60)
    return bench.write({"playbooks/play.yml": PLAY, TASKS: "- ansible.builtin.debug: {msg: xin chào}\n"})


@contextmanager
def nobody_to_ask() -> Iterator[None]:
    """Whoever asks Ansible now fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        yield


def built_anew(bench: Bench) -> bool:
    with nobody_to_ask():
        try:
            bench.build()
        except TramError:
            return True
    return False


def same(one: Content, other: Content) -> bool:
    return (one.tree, one.roles, one.returns) == (other.tree, other.roles, other.returns)


def test_the_same_files_give_the_same_bundle_without_asking_ansible_again(hello: Bench) -> None:
    first = hello.build()
    with nobody_to_ask():
        again = hello.build()
    assert same(first, again)
    assert dict(again.objects) == dict(first.objects)


@pytest.mark.parametrize(
    "changed",
    [TASKS, "inventories/lab/group_vars/all.yml", "playbooks/vars/new.yml", "inventories/plugins/other.py"],
)
def test_a_file_that_changed_or_is_new_makes_a_new_bundle(hello: Bench, changed: str) -> None:
    hello.build()
    hello.write({changed: "# another line\n"})
    assert built_anew(hello)


def test_a_secret_that_changed_makes_a_new_bundle(hello: Bench) -> None:
    hello.keep({"hello/word": "một"})
    hello.build()
    hello.keep({"hello/word": "hai"})
    assert built_anew(hello)


@pytest.mark.parametrize(
    "expression",
    [
        "lookup('pipe', 'date')",
        "lookup('env', 'HOME')",
        "lookup('file', '/etc/hostname')",
        "query('pi' ~ 'pe', 'date')",
        "now()",
    ],
)
@pytest.mark.parametrize("place", ["inventories/lab/group_vars/all.yml", "roles/hello/vars/main.yml"])
def test_what_may_be_different_each_time_is_evaluated_each_time(hello: Bench, place: str, expression: str) -> None:
    hello.write({place: f'hello_word: "{{{{ {expression} }}}}"\n'})
    hello.build()
    assert built_anew(hello)


def test_another_role_of_the_project_may_look_up_what_it_likes(hello: Bench) -> None:
    hello.write({"roles/other/vars/main.yml": "other_word: \"{{ lookup('pipe', 'date') }}\"\n"})
    hello.build()
    assert not built_anew(hello)


def test_files_written_this_moment_are_read_again(hello: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = max(path.stat().st_ctime for path in hello.folder.rglob("*"))
    monkeypatch.setattr(time, "time", lambda: newest + 1)
    hello.build()
    assert not (cache_dir() / "built").exists()


def test_nothing_is_sent_of_files_that_changed_since_the_tree_was_remembered(hello: Bench) -> None:
    hello.build()
    again = hello.build()
    hello.write({TASKS: "- ansible.builtin.debug: {msg: something else}\n"})
    with pytest.raises(TramError, match="changed while it was delivered"):
        dict(again.objects)
