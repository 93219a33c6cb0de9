"""The ledger: what was given to whom, how far it is, how it ended; each event once. docs/contracts/ledger.md."""

from tram.core.events import Event
from tram.ledger.clock import Clock, utc_now
from tram.ledger.database import LedgerFailed
from tram.ledger.journal import UnknownRun
from tram.ledger.ledger import Ledger, OtherProvince, default_url, new_run_id, open_ledger
from tram.ledger.migrations import LedgerTooNew
from tram.ledger.owner import is_gone, new_owner
from tram.ledger.rows import ApprovalRow, Carried, HostRow, Lease, PlaceRow, RolloutRow, RunRow, Shown, WaveRow
from tram.ledger.states import Ended, Job, Outcome, State

__all__ = [
    "ApprovalRow",
    "Carried",
    "Clock",
    "Ended",
    "Event",
    "HostRow",
    "Job",
    "Lease",
    "Ledger",
    "LedgerFailed",
    "LedgerTooNew",
    "OtherProvince",
    "Outcome",
    "PlaceRow",
    "RolloutRow",
    "RunRow",
    "Shown",
    "State",
    "UnknownRun",
    "WaveRow",
    "default_url",
    "is_gone",
    "new_owner",
    "new_run_id",
    "open_ledger",
    "utc_now",
]
