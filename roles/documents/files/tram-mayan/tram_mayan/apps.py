"""The application Django loads: it stands at the one place where a document's file comes to be."""

from __future__ import annotations

from django.apps import AppConfig


class TramMayanApp(AppConfig):
    """Whatever becomes a file of a document is scanned before, wherever it came from: a person, a letter, a folder."""

    name = "tram_mayan"
    label = "tram_mayan"
    verbose_name = "Trạm"

    def ready(self) -> None:
        """Stand in the way."""
        from mayan.apps.documents.models.document_file_models import DocumentFile  # noqa: PLC0415

        from . import again, once, up  # noqa: F401, PLC0415
        from .scan import before_it_is_kept  # noqa: PLC0415

        DocumentFile.register_pre_create_hook(func=before_it_is_kept)
        DocumentFile.register_pre_create_hook(func=once.before_it_is_kept)
