"""Which queue the clock puts it into: mailing, so that it waits behind no text recognition of its own making."""

from __future__ import annotations

from datetime import timedelta

from mayan.apps.mailer.queues import queue_mailing

queue_mailing.add_task_type(
    dotted_path="tram_practice.tasks.task_tick", label="Thư đến, thư đi, nhắc việc", schedule=timedelta(minutes=2)
)
