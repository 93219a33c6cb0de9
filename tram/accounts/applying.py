"""Tell the directory what has to change. Nothing is remembered here: the next plan sees what was done."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tram.accounts.directory import DirectoryFailed, Door, refused
from tram.accounts.plan import Change

_DONE = re.compile(r"^(adding new entry|modifying entry|modifying rdn of entry|deleting entry) ", re.MULTILINE)


class StoppedHalfway(DirectoryFailed):
    """The directory refused a change; those before it are done."""


def apply_changes(door: Door, changes: Sequence[Change]) -> int:
    """Make the changes, in their order, over one connection; how many records were written.

    Raises: StoppedHalfway with how far it came; DirectoryFailed; what the door raises when the hub is not reached.
    """
    records = [(change, record) for change in changes for record in change.records]
    if not records:
        return 0
    said = door.change("".join(record for _, record in records))
    if said.code == 0:
        return len(records)
    begun = len(_DONE.findall(said.stdout))  # ldapmodify names an entry before it changes it
    if not begun:
        raise refused(door, said)
    change = records[min(begun, len(records)) - 1][0]
    error = refused(door, said, f"{change.code} {change.name}")
    raise StoppedHalfway(
        f"{error.message} ({begun - 1} of {len(records)} written)",
        hint="correct this one and run it again: what is written stays and is not written twice",
    )
