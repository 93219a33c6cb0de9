"""Letters in, letters out, reminders: now instead of within two minutes."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """`tram-mayan manage tram_tick`"""

    help = __doc__ or ""

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Say how many."""
        from tram_practice.tasks import tick  # noqa: PLC0415

        self.stdout.write(json.dumps(tick()))
