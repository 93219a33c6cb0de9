"""Where they are: /tram/flow/N/, /api/v4/tram/practice/, /api/v4/tram/report/."""

from __future__ import annotations

from django.urls import re_path

from .views import PracticeView, ReportView, flow_picture

urlpatterns = [re_path(r"^flow/(?P<document_id>\d+)/$", flow_picture, name="flow")]

api_urls = [
    re_path(r"^tram/practice/$", PracticeView.as_view(), name="tram-practice"),
    re_path(r"^tram/report/$", ReportView.as_view(), name="tram-report"),
]
