"""Documents of a site over the operator's connection: Mayan's REST API is asked on the host itself, whole batches at a
time, and its token never leaves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tram.act.outcome import StepFailed
from tram.act.session import Session

BATCH = timedelta(minutes=15)
"""A batch says nothing until its end; a first apply for thirty agencies takes minutes."""


@dataclass(frozen=True, slots=True)
class HostDocuments:
    """A `Door` of tram.documents."""

    session: Session

    @property
    def name(self) -> str:
        """The host."""
        return self.session.target.name

    def ask(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do requests in their order, up to the first that is refused; what each ended with.

        Raises: StepFailed when Mayan does not answer; NotReached.
        """
        answer = self.session.run("sudo -n tram-mayan rest", stdin=json.dumps([*requests]), within=BATCH)
        if answer.code != 0:
            raise StepFailed(
                f"{self.name}: {answer.last_words}",
                hint="is Mayan up there? systemctl status mayan-web; if tram-mayan is missing: playbooks/documents.yml",
            )
        found: list[dict[str, Any]] = json.loads(answer.stdout)
        return found
