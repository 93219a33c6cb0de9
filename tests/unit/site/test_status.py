"""`tram-site status`: what a person at the console is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from .host import NOW, Site, pack_of, script


def status(site: Site) -> list[str]:
    code, output = site.child("status")
    assert code == 0
    return output.decode().splitlines()


def told_the_time(site: Site, **frame: str) -> None:
    """An order that is refused, from a centre that says what time it is."""
    files = {"playbook.yml": script()}
    order = site.order(files, host="so-noi-vu-srv1")
    assert site.exchange(site.frame(order, pack_of(files), **frame))[1]["t"] == "refused"


def test_a_host_that_was_never_spoken_to_says_so(site: Site) -> None:
    first, time, reports = status(site)
    assert first.startswith("lab/huong-khe/huong-khe-srv1: serial 0, runtimes 0123456789abcdef, ")
    assert time.endswith("; no centre has told this host the time yet")
    assert reports == "reports that wait for the centre: 0 (at most 100)"


def test_each_run_is_told_with_how_it_stands(site: Site) -> None:
    done = site.send({"playbook.yml": script()})
    site.drain()
    failed = site.send({"playbook.yml": script({"fail": "no room " * 100})})
    site.drain()
    waiting = site.send({"playbook.yml": script()})
    lines = status(site)
    assert "reports that wait for the centre: 3 (at most 100)" in lines
    assert f"  {done.run}  playbooks/mail.yml  done" in lines
    assert f"  {waiting.run}  playbooks/mail.yml  accepted" in lines
    (told,) = [line for line in lines if failed.run in line]
    assert "  failed: step 1: no room no room" in told
    assert len(told) < 400


def test_the_last_refusal_is_told_in_words(site: Site) -> None:
    told_the_time(site)
    last = status(site)[-1]
    assert last.startswith("last refusal, ")
    assert ": host: " in last
    assert "so-noi-vu-srv1" in last
    assert "{" not in last


def test_a_clock_that_is_years_off_is_said_to_be(site: Site) -> None:
    site.send({"playbook.yml": script()})
    found = json.loads((site.root / "clock.json").read_text())
    assert found["at"] == f"{NOW + timedelta(seconds=10):%Y-%m-%dT%H:%M:%SZ}"
    wrong = "its clock is wrong: it says "
    near = abs(datetime.now(UTC) - NOW) < timedelta(minutes=1)
    assert near or status(site)[1].startswith(wrong)
    (site.root / "clock.json").write_text(json.dumps({**found, "at": "2031-01-01T00:00:00Z"}))
    assert status(site)[1].startswith(wrong)
    assert "by the centre's word it is 2031-01-01T00:0" in status(site)[1]
