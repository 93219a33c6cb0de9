"""Locks that end with who held them: one of a killed worker would keep its page waiting for ten minutes."""

from __future__ import annotations

import logging
from typing import Any

from mayan.apps.lock_manager.backends.literals import REDIS_LOCK_NAME_PREFIX
from mayan.apps.lock_manager.backends.redis_lock import RedisLock
from mayan.apps.lock_manager.exceptions import LockBackendError, LockError
from redis.exceptions import LockNotOwnedError, RedisError

from . import holder

logger = logging.getLogger("tram_mayan.locks")


class LockOfTheLiving(RedisLock):
    """Mayan's lock in Redis, which says whose it is; a dead process's is taken over by whoever wants it next."""

    @classmethod
    def _acquire_lock(cls, name: str, timeout: float) -> LockOfTheLiving:
        return cls(name=name, timeout=timeout)

    def _init(self, name: str, timeout: float) -> None:
        """Take it. Raises LockError when somebody has it, LockBackendError when nobody knows."""
        self.name = name
        store = self.get_redis_connection()
        lock = store.lock(name=f"{REDIS_LOCK_NAME_PREFIX}{name}", timeout=timeout)
        try:
            taken = lock.acquire(blocking=False, token=holder.mine())
            if not taken and let_go(store, lock):
                taken = lock.acquire(blocking=False, token=holder.mine())
        except RedisError as error:
            raise LockBackendError(f"Error acquiring lock `{name}`; {error}") from error
        if not taken:
            raise LockError(f"Unable to acquire lock `{name}`")
        self._redis_lock_instance = lock


def let_go(store: Any, lock: Any) -> bool:
    """Take a lock away from a process that died; whether it is free now. Redis compares and deletes in one go."""
    held = store.get(lock.name)
    if held is None:
        return True
    if not holder.is_dead(held.decode("utf-8", "replace")):
        return False
    try:
        lock.do_release(held)
    except LockNotOwnedError:
        # Somebody else was quicker.
        return False
    logger.error("%s was held by a process that died", lock.name)
    return True
