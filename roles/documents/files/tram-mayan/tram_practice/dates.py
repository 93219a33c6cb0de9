"""Dates as offices write them."""

from __future__ import annotations

from datetime import date, datetime

from django.core.exceptions import ValidationError
from mayan.apps.metadata.classes import MetadataParser

WRONG = "“{said}” không phải là ngày: hãy viết như 25/12/2026. · Not a date; write it like 25/12/2026."


def read(said: str) -> date:
    """A date written as day/month/year or as ISO 8601.

    Raises ValidationError with what was written.
    """
    for form in ("%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y", "%d.%m.%Y"):
        try:
            return datetime.strptime(said.strip(), form).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    raise ValidationError(WRONG.format(said=said))


class VietnameseDate(MetadataParser):
    """What is typed into a date's field becomes ISO 8601, so that it sorts."""

    label = "Ngày tháng (25/12/2026)"

    def execute(self, input_data: str) -> str:
        """As ISO 8601."""
        return read(input_data).isoformat()
