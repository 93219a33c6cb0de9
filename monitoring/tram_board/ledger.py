"""What the ledger knows of rollouts and last runs, where the board can read one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tram.core.errors import TramError

if TYPE_CHECKING:
    from tram.ledger import Ledger

# A rollout that ended is shown until the next one begins.
_SHOWN = 5
_OVER = {"done", "aborted"}


class Runs:
    """The province's ledger, or the reason why there is none here."""

    def __init__(self, url: str | None) -> None:
        """`url` as in $TRAM_LEDGER; a file that is not there is not made."""
        self._ledger: Ledger | None = None
        self.problem = ""
        file = url.removeprefix("sqlite:///") if url and url.startswith("sqlite:///") else None
        if not url or (file and not Path(file).exists()):
            self.problem = "no ledger here"
            return
        # A board without a ledger needs no database's library.
        from tram.ledger import Ledger  # noqa: PLC0415

        try:
            self._ledger = Ledger(url)
        except TramError as error:
            self.problem = error.message

    def rollouts(self, codes: Collection[str]) -> list[dict[str, Any]]:
        """Rollouts under way and the last that ended, wave by wave; only hosts of these sites are counted."""
        if self._ledger is None:
            return []
        self.problem = ""
        try:
            return [self._rollout(row.run, codes) for row in self._ledger.rollouts.newest()[:_SHOWN]]
        except TramError as error:
            self.problem = error.message
            return []

    def _rollout(self, run: str, codes: Collection[str]) -> dict[str, Any]:
        assert self._ledger is not None
        book = self._ledger.rollouts
        row = book.get(run)
        hosts = {host.host: host for host in self._ledger.show(run).hosts if host.site in codes}
        places = [place for place in book.places(run) if place.host in hosts]
        waves = []
        for wave in book.waves(run):
            mine = [hosts[place.host] for place in places if place.wave == wave.number]
            if mine:
                waves.append(
                    {
                        "number": wave.number,
                        "name": wave.name,
                        "state": wave.state,
                        "hosts": len(mine),
                        "counts": dict(Counter(str(host.state) for host in mine)),
                        "left": [host.host for host in mine if str(host.state) != "done"],
                    }
                )
        return {"run": run, "stack": row.stack, "state": row.state, "over": row.state in _OVER, "waves": waves}

    def last(self, site: str) -> list[dict[str, Any]]:
        """The newest run of each host of a site."""
        if self._ledger is None:
            return []
        self.problem = ""
        try:
            rows = [row for row in self._ledger.lasts().values() if row.site == site]
        except TramError as error:
            self.problem = error.message
            return []
        return [
            {
                "host": row.host,
                "run": row.run,
                "state": str(row.state),
                "reason": row.reason,
                "ended": _moment(row.ended),
                "heard": _moment(row.last_heard),
            }
            for row in sorted(rows, key=lambda row: row.host)
        ]


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
