"""PostgreSQL without room: who uploads is told, nothing that was taken is lost, and it goes on by itself."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest

from tram.lab.lab import Lab

from ..desk import Desk, page_with
from .test_documents import HOST, first, inventory, lab, sh, wheels  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.long]

KIND = "Thử hết chỗ"
SPARE_MB = 48
DATA = "set -e; d=$(echo /var/lib/postgresql/*/main); "
# A host's disk is that of the machine it is on: only a disk of its own is filled, and never by more than this.
FILL = f"findmnt --types tmpfs $d; head -c {SPARE_MB * 4}M /dev/zero >$d/filler || df -m $d"
STOP = "systemctl stop nginx mayan-web 'mayan-worker-*' postgresql 'postgresql@*'; "
START = "systemctl start postgresql mayan-web nginx mayan-worker-fast mayan-worker-slow; "
NO_ROOM = "máy chủ đang thiếu chỗ"


@pytest.fixture(scope="module")
def little(lab: Lab, first: object) -> Iterator[None]:  # noqa: F811
    """The database on a disk of its own with little to spare (in memory); back in its old place afterwards."""
    size = f"size=$(( $(du -sm $d | cut -f1) + {SPARE_MB} ))m,mode=0700,uid=$(id -u postgres),gid=$(id -g postgres)"
    there = (
        f"cp -a $d /var/tmp/pg; mount -t tmpfs -o {size} tmpfs $d; findmnt --types tmpfs $d; cp -a /var/tmp/pg/. $d/; "
    )
    back = "rm -rf /var/tmp/pg; rm -f $d/filler; cp -a $d /var/tmp/pg; umount $d; rm -rf $d; mv /var/tmp/pg $d"
    try:
        sh(lab, f"{DATA}{STOP}{there}{START}")
        yield
    finally:
        sh(lab, f"{DATA}{STOP}if mountpoint -q $d; then {back}; fi; rm -rf /var/tmp/pg; {START}")


def upload(desk: Desk, kind: int, name: str) -> tuple[int, str]:
    """Once; 0 for a connection that broke off."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return desk.send(kind, name, page_with(name.partition(".")[0].upper()))
    return 0, ""


def test_without_room_a_clerk_is_told_nothing_is_lost_and_it_goes_on_by_itself(lab: Lab, little: None) -> None:  # noqa: F811
    desk = Desk(lab, HOST)
    desk.wait("it answers", lambda: desk.log_in("quan-tri")[0] == 200)
    kind, mark = desk.kind(KIND), time.time_ns() % 10**6
    names = (f"HC{mark}X{number}.pdf" for number in count())
    answers: Counter[int] = Counter()
    taken: list[str] = []

    def send(name: str) -> tuple[int, str]:
        status, said = upload(desk, kind, name)
        answers[status] += 1
        if status == 201:
            taken.append(name)
        return status, said

    assert [send(next(names))[0] for _ in range(3)] == [201, 201, 201]
    sh(lab, f"{DATA}{FILL}")
    began, refused = time.monotonic(), ""
    while not refused and time.monotonic() - began < 300:
        status, said = send(next(names))
        refused = said if status != 201 else ""
        time.sleep(2)
    assert NO_ROOM in refused.lower(), refused
    # Its journal (WAL) wants another 16 MB: the database ends, and comes back only over an old one.
    switch = "runuser -u postgres -- psql -qc 'CREATE TABLE IF NOT EXISTS x (a int); SELECT pg_switch_wal()' mayan"
    sh(lab, f"for _ in 1 2 3 4 5 6 7 8 9; do {switch} >/dev/null 2>&1 || break; done; sleep 5")
    down = sh(lab, "runuser -u postgres -- psql -Atc 'CREATE TABLE y (a int)' mayan 2>&1; :")
    print(f"without room PostgreSQL says: {down.splitlines()[-1] if down else 'nothing'}")
    for _ in range(5):
        status, said = send(next(names))
        assert (status, NO_ROOM in said.lower()) in ((503, True), (201, False)), (status, said[:500])
        time.sleep(2)
    status, page = Desk(lab, HOST).browse("GET", "/authentication/login/")
    assert (status, NO_ROOM in page.lower()) in ((503, True), (200, False)), page[:500]
    time.sleep(30)  # long enough for systemd to give a service up
    sh(lab, f"{DATA}rm -f $d/filler")
    began = time.monotonic()
    desk.wait("an upload is taken again", lambda: send(next(names))[0] == 201, 300)
    again = time.monotonic() - began

    def ids() -> dict[str, int]:
        said = desk.api("GET", f"document_types/{kind}/documents/?page_size=100")["results"]
        return {one["label"]: one["id"] for one in said if one["label"].startswith(f"HC{mark}X")}

    def unread() -> list[str]:
        there = ids()
        return [name for name in taken if desk.pages(there[name]) != 1 or desk.files(there[name]) != 1]

    desk.wait("each has its page", lambda: not unread(), 600)
    there, refused_ones = desk.labels(kind), {name: one for name, one in ids().items() if name not in taken}
    print(
        f"no room: answers {dict(answers)}; taken again {again:.0f} s after there was room, each of {len(taken)} read "
        f"after {time.monotonic() - began:.0f} s; "
        f"{len(refused_ones)} empty entries of refused uploads, which Mayan takes away within a day"
    )
    assert set(answers) == {201, 503}
    assert [name for name in taken if there[name] != 1] == []
    assert [name for name, many in there.items() if many > 1] == []
    assert [name for name, one in refused_ones.items() if desk.files(one) != 0] == []
