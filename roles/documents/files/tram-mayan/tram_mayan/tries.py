"""How often a task is tried. Celery lets what is said of all tasks ("*") go before what is said of one by its name, so
each is told by an object of ours. Source: celery.app.annotations.resolve_all, Task.annotate."""

from __future__ import annotations

from typing import Any

ALL = {"max_retries": 2880, "default_retry_delay": 30}
"""While the database is away everything waits: a day of tries, not Mayan's nine minutes."""
FILE = {"max_retries": None, "default_retry_delay": 60}
"""While the scanner is away what was uploaded waits, however long, and is tried every minute (tram_mayan.scan)."""
SEARCH = {"max_retries": 40}
"""Mayan's own: it tries again also for what was deleted meanwhile, some forty tasks for each document."""


class Tries:
    """What Celery asks for each task."""

    def annotate(self, task: Any) -> dict[str, Any]:
        """Of one task."""
        if task.name == "mayan.apps.documents.tasks.document_file_tasks.task_document_file_create":
            return FILE
        return SEARCH if task.name.startswith("mayan.apps.dynamic_search.tasks.") else ALL

    def annotate_any(self) -> None:
        """Of all of them: nothing."""
