"""Where they are: /api/v4/tram/flow/N/, /api/v4/tram/practice/, /api/v4/tram/report/."""

from __future__ import annotations

from django.urls import re_path

from .views import FlowView, PracticeView, ReportView

api_urls = [
    re_path(r"^tram/flow/(?P<document_id>\d+)/$", FlowView.as_view(), name="tram-flow"),
    re_path(r"^tram/practice/$", PracticeView.as_view(), name="tram-practice"),
    re_path(r"^tram/report/$", ReportView.as_view(), name="tram-report"),
]
