"""What is done every two minutes, in a worker of Mayan's: letters in, letters out, reminders."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connection
from mayan.celery import app

logger = logging.getLogger("tram_practice.tasks")
LOCK = 0x7472616D


def tick() -> dict[str, int]:
    """Do it, unless it is being done: PostgreSQL holds the lock and lets go of it when its holder dies."""
    from . import mail_in, mail_out  # noqa: PLC0415

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return {}
        try:
            todo = {"in": mail_in.take_all, "out": mail_out.send_all, "reminded": mail_out.remind_all}
            return {name: alone(work) for name, work in todo.items()}
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def alone(work: Callable[[], int]) -> int:
    """Letters that cannot be read do not keep others from leaving: what fails is said, and tried the next time."""
    try:
        return work()
    except Exception:  # whatever it is: the journal has it with its trace
        logger.exception("%s failed", work.__qualname__)
        return 0


@app.task(ignore_result=True)
def task_tick() -> None:
    """The same, for the clock."""
    tick()
