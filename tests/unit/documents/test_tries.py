"""How often a task is tried is said of each by its name: Celery would let a word on all go before it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tram_mayan.tries import Tries


@pytest.mark.parametrize(
    ("name", "tries"),
    [
        ("mayan.apps.documents.tasks.document_file_tasks.task_document_file_create", None),
        ("mayan.apps.dynamic_search.tasks.task_index_instance", 40),
        ("mayan.apps.ocr.tasks.task_document_version_page_ocr_process", 2880),
    ],
)
def test_each_task_has_its_own_number_of_tries(name: str, tries: int | None) -> None:
    found = Tries()
    assert found.annotate(SimpleNamespace(name=name))["max_retries"] == tries
    assert found.annotate_any() is None
