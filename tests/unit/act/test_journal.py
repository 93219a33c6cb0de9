"""Journals come whole or not at all, from the host that is pinned, for the eyes of one."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.act.bootstrap import Entry, bootstrap_host
from tram.act.connect import FirstContact
from tram.act.journal import collect_journals
from tram.act.key import CentreKey
from tram.act.outcome import IdentityUnknown, LoginRefused, Outcome
from tram.act.target import Target

HOUR = timedelta(hours=1)


def test_each_hosts_journal_is_a_file_of_its_own(
    simulate: Callable[..., Any], aim: Callable[..., Target], centre_key: CentreKey, tmp_path: Path
) -> None:
    good, bare, strange = simulate(), simulate(), simulate()
    all_of_them = [aim(host.port, name) for name, host in {"a-srv1": good, "b-srv1": bare, "c-srv1": strange}.items()]
    new = FirstContact(accept_new=True)
    bootstrap_host(all_of_them[0], Entry(password=good.password, agent=False, first=new), centre_key)
    bootstrap_host(all_of_them[1], Entry(password="wrong", agent=False, first=new), centre_key)
    folder = tmp_path / "logs"
    results = collect_journals(all_of_them, centre_key, HOUR, folder)
    assert [result.outcome for result in results] == [Outcome.DONE, Outcome.FAILED, Outcome.FAILED]
    assert isinstance(results[1].problem, LoginRefused)
    assert isinstance(results[2].problem, IdentityUnknown)
    assert [path.name for path in folder.iterdir()] == ["a-srv1.journal.gz"], "no half file is left either"
    assert (folder / "a-srv1.journal.gz").read_text() == "packed"
    assert stat.S_IMODE((folder / "a-srv1.journal.gz").stat().st_mode) == 0o600
    assert "--since=-3600s" in good.commands[-1]
