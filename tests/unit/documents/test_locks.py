"""A lock of a process that died is free; one of a living process, or of nobody knows whom, is not."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tram_mayan import holder

KEY = "_mayan_lock:page"


def dead() -> str:
    """The word of a process that has ended and was taken note of."""
    script = "from tram_mayan import holder; print(holder.mine())"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return ran.stdout.strip()


def test_who_lives_holds_and_who_died_does_not() -> None:
    mine = holder.mine()
    assert holder.mine() != mine
    assert not holder.is_dead(mine)
    assert holder.is_dead(dead())
    boot, number, _, rest = mine.split("/")
    assert holder.is_dead(f"{boot}/{number}/1/{rest}"), "the number is another process's by now"
    assert holder.is_dead(f"another-boot/{number}/1/{rest}")


def test_a_process_that_ended_and_was_not_taken_note_of_is_dead() -> None:
    script = "import sys; from tram_mayan import holder; print(holder.mine(), flush=True)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        word = child.stdout.read().strip()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert holder.is_dead(word)


@pytest.mark.parametrize("word", ["", "3f2a9c", "a/b/c/d", "a/1/2", "//", "a/1/2/3/4"])
def test_of_a_word_that_names_nobody_nothing_is_known(word: str) -> None:
    assert not holder.is_dead(word)


class LockError(Exception):
    """Somebody has it."""


class Away(Exception):
    """Redis does not answer."""


class NotOwned(Away):
    """Not this one's."""


class Store:
    """Redis, as far as a lock goes."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def lock(self, name: str, timeout: float) -> Any:
        del timeout

        def acquire(*, blocking: bool, token: str) -> bool:
            assert not blocking
            return self.kept.setdefault(name, token.encode()) == token.encode()

        def do_release(held: bytes) -> None:
            if self.kept.get(name) != held:
                raise NotOwned
            del self.kept[name]

        return SimpleNamespace(name=name, acquire=acquire, do_release=do_release)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty one, behind what Mayan would have there."""
    found = Store()

    class RedisLock:
        """Mayan's."""

        def __init__(self, name: str, timeout: float) -> None:
            self._init(name=name, timeout=timeout)  # type: ignore[attr-defined]

        def get_redis_connection(self) -> Store:
            return found

    lock_manager = "mayan.apps.lock_manager"
    stood_in: dict[str, dict[str, Any]] = {
        f"{lock_manager}.backends.literals": {"REDIS_LOCK_NAME_PREFIX": "_mayan_lock:"},
        f"{lock_manager}.backends.redis_lock": {"RedisLock": RedisLock},
        f"{lock_manager}.exceptions": {"LockError": LockError, "LockBackendError": Away},
        "redis.exceptions": {"LockNotOwnedError": NotOwned, "RedisError": Away},
    }
    for name in ("mayan", "mayan.apps", lock_manager, f"{lock_manager}.backends", "redis", *stood_in):
        module = ModuleType(name)
        vars(module).update(stood_in.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "tram_mayan.locks", raising=False)
    return found


def take(name: str = "page") -> Any:
    """As Mayan does."""
    from tram_mayan.locks import LockOfTheLiving  # noqa: PLC0415  # imports what `store` puts there

    return LockOfTheLiving._acquire_lock(name=name, timeout=600)


def test_a_lock_is_had_once(store: Store) -> None:
    take()
    with pytest.raises(LockError, match="page"):
        take()
    assert not holder.is_dead(store.kept[KEY].decode())
    take("another")


def test_a_dead_process_s_lock_is_taken_over_and_a_strange_one_is_not(store: Store) -> None:
    store.kept[KEY] = dead().encode()
    take()
    assert not holder.is_dead(store.kept[KEY].decode())
    store.kept[KEY] = b"3f2a9c"
    with pytest.raises(LockError):
        take()


def test_two_that_find_it_at_once_do_not_both_get_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = dead()
    store.kept[KEY] = old.encode()
    known = holder.is_dead

    def overtaken(word: str) -> bool:
        """The other one is between looking and taking."""
        if word == old:
            store.kept[KEY] = holder.mine().encode()
        return known(word)

    monkeypatch.setattr(holder, "is_dead", overtaken)
    with pytest.raises(LockError):
        take()
