"""What is done every two minutes, in a worker of Mayan's: letters in, letters out, reminders."""

from __future__ import annotations

from django.db import connection
from mayan.celery import app

LOCK = 0x7472616D


def tick() -> dict[str, int]:
    """Do it, unless it is being done: PostgreSQL holds the lock and lets go of it when its holder dies."""
    from . import mail_in, mail_out  # noqa: PLC0415

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return {}
        try:
            return {"in": mail_in.take_all(), "out": mail_out.send_all(), "reminded": mail_out.remind_all()}
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


@app.task(ignore_result=True)
def task_tick() -> None:
    """The same, for the clock."""
    tick()
