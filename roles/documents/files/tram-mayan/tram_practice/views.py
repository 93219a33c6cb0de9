"""What is asked over HTTP: practice and report by the centre, a flow's picture by whoever may see the document."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from mayan.apps.acls.models import AccessControlList
from mayan.apps.document_states.permissions import permission_workflow_template_view
from mayan.apps.documents.models.document_models import Document
from mayan.apps.documents.permissions import permission_document_view
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import flow, people, report
from .models import Practice


class Centre(BasePermission):
    """The administrator's account only."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether it is."""
        del view
        return bool(request.user and request.user.is_superuser)


class PracticeView(APIView):
    """get: The practice in force. put: Another one."""

    permission_classes = (Centre,)

    def get(self, request: Request) -> Response:
        """As it was last written."""
        del request
        return Response(people.practice())

    @transaction.atomic
    def put(self, request: Request) -> Response:
        """Replace it."""
        row = Practice.objects.select_for_update().first() or Practice()
        row.data = request.data
        row.save()
        return Response(row.data)


class ReportView(APIView):
    """get: Counters by agency and person; `year` narrows what was registered."""

    permission_classes = (Centre,)

    def get(self, request: Request) -> Response:
        """Counted now."""
        year = request.query_params.get("year", "")
        return Response(report.report(int(year) if year.isdigit() else None))


class FlowView(APIView):
    """get: A document's flow as a picture (SVG). Below the API, because Mayan wraps every other page in its own."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Request, document_id: int) -> HttpResponse:
        """The picture; 404 for who may not see the document."""
        seen = AccessControlList.objects.restrict_queryset(
            permission=permission_document_view, queryset=Document.valid.all(), user=request.user
        )
        document = get_object_or_404(seen, pk=document_id)
        AccessControlList.objects.check_access(
            obj=document, permission=permission_workflow_template_view, user=request.user
        )
        instance = document.workflows.first()
        if instance is None:
            return HttpResponse(status=404)
        late = any(one["overdue"] for one in report.open_work() if one["document"] == document.pk)
        svg = flow.draw(document.label, flow.states_of(instance), late)
        return HttpResponse(svg, content_type="image/svg+xml; charset=utf-8", headers={"Cache-Control": "no-store"})
