"""Tasks that ended because the database was away are done again: a document is not left without its text for that."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import task_failure
from django.db import InterfaceError, OperationalError

logger = logging.getLogger("tram_mayan.again")

SECONDS = 30
"""From one try to the next; for as long as it takes."""


@task_failure.connect(dispatch_uid="tram_mayan.again")
def do_again(sender: Any, exception: Exception, args: Any, kwargs: Any, **_more: Any) -> None:
    """Put the task back into its queue. Most of Mayan's try again by themselves, but not at their first question."""
    if isinstance(exception, OperationalError | InterfaceError):
        logger.error("%s is done again: %s", sender.name, exception)
        # 1 says that it was begun before (tram_mayan.once). Counted on, a database that was away for a day would have
        # used up the tries (max_retries in settings.py) that a task of Mayan's has when a page is locked.
        sender.apply_async(args=args, kwargs=kwargs, countdown=SECONDS, retries=1)
