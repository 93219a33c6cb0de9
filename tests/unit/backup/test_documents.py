"""A document is found in a backup by what people know of it, and its newest file is named."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tram.act import backup
from tram.core.errors import BadInput

from ...role_module import load

DUMP = """-- release 4.9.2-abcd
COPY public.documents_document (id, uuid, label, "in_trash") FROM stdin;
1\tu-1\tQuyết định 15/QĐ-SNV\tf
2\tu-2\tTờ trình\\tcó tab\tf
\\.

COPY public.auth_user (id, password) FROM stdin;
1\tQuyết định
\\.

COPY public.documents_documentfile (id, "timestamp", file, filename, document_id) FROM stdin;
1\t2026-11-20 01:00:00+00\tf-old\tqd.pdf\t1
2\t2026-11-21 01:00:00+00\tf-new\tqd.pdf\t1
3\t2026-11-19 01:00:00+00\tf-2\ttt.pdf\t2
4\t2026-11-19 01:00:00+00\tf-3\tlost.pdf\t9
\\.

COPY public.metadata_documentmetadata (id, value, document_id) FROM stdin;
1\tVề việc nâng lương\t1
2\t\\N\t2
\\.
"""


@pytest.fixture
def documents() -> ModuleType:
    load("tram_backup_reading", "backup_hub/files/tram_backup_reading.py")
    return load("tram_backup_documents", "backup_hub/files/tram_backup_documents.py")


@pytest.mark.parametrize("words", ["15/qđ-snv", "NÂNG LƯƠNG", "Quyết"])
def test_name_number_and_subject_find_it_newest_first(documents: ModuleType, words: str) -> None:
    found = documents.matching(DUMP.splitlines(keepends=True), words)
    assert [one["path"] for one in found] == [f"{documents.FILES}/f-new", f"{documents.FILES}/f-old"]
    assert found[0]["label"] == "Quyết định 15/QĐ-SNV"
    assert found[0]["told"] == ["Về việc nâng lương"]


def test_text_is_as_it_was_before_the_dump(documents: ModuleType) -> None:
    assert [one["label"] for one in documents.matching(DUMP.splitlines(keepends=True), "tab")] == ["Tờ trình\tcó tab"]
    assert documents.matching(DUMP.splitlines(keepends=True), "lost") == []


def test_only_one_document_is_brought_back(documents: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = SimpleNamespace()

    def answer(_session: object, asked: list[str], _secret: str) -> dict[str, Any]:
        return {"archive": "a-1", "found": documents.matching(DUMP.splitlines(keepends=True), asked[-1])}

    monkeypatch.setattr(backup, "ask_hub", answer)
    found = backup.document_path(session, "h", "15/QĐ", "latest", "s")
    assert found == ("a-1", f"{documents.FILES}/f-new")
    with pytest.raises(BadInput, match="of several documents in a-1"):
        backup.document_path(session, "h", "t", "latest", "s")
    with pytest.raises(BadInput, match="x y: no document in a-1"):
        backup.document_path(session, "h", "x y", "latest", "s")
