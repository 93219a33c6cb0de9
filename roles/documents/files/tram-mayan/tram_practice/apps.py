"""The application Django loads: it gives numbers and keeps deadlines when a document takes a step of its flow."""

from __future__ import annotations

from mayan.apps.app_manager.apps import MayanAppConfig


class TramPracticeApp(MayanAppConfig):
    """What Mayan's workflows do not do by themselves."""

    app_namespace = "tram_practice"
    app_url = "tram"
    has_rest_api = True
    has_app_translations = False
    name = "tram_practice"
    label = "tram_practice"
    verbose_name = "Trạm: nghiệp vụ văn thư"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to steps, offer the picture beside a document."""
        super().ready()
        from django.db.models.signals import post_save  # noqa: PLC0415
        from mayan.apps.common.menus import menu_list_facet  # noqa: PLC0415
        from mayan.apps.document_states.models.workflow_instance_models import WorkflowInstanceLogEntry  # noqa: PLC0415
        from mayan.apps.document_states.permissions import permission_workflow_template_view  # noqa: PLC0415
        from mayan.apps.documents.models.document_models import Document  # noqa: PLC0415
        from mayan.apps.navigation.links import Link  # noqa: PLC0415

        from . import dates, people, steps  # noqa: F401, PLC0415  # dates: found by its class

        post_save.connect(steps.on_step, sender=WorkflowInstanceLogEntry, dispatch_uid="tram_practice_step")
        Document.add_to_class("tram_people", property(people.of_document))
        picture = Link(
            args="resolved_object.pk",
            permission=permission_workflow_template_view,
            tags="new_window",
            text="Sơ đồ xử lý",
            view="rest_api:tram-flow",
        )
        menu_list_facet.bind_links(links=(picture,), sources=(Document,))
