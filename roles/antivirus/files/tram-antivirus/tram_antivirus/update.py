"""Bring the present release from the hub or a stick, have it in effect, and tell the hub."""

from __future__ import annotations

import os
import pwd
import re
import syslog
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tram_antivirus import install, official, state
from tram_antivirus import release as releases
from tram_antivirus.clamd import Clamd, Silent, Unscanned
from tram_antivirus.hub import Hub, Unreachable
from tram_antivirus.release import File, Refused, Release
from tram_antivirus.settings import Failed, Settings

CONFIRM_SECONDS = 40
"""How long to wait for the canary before hanging up; a large set takes longer, then the watch tells the hub later."""


def become(user: str) -> None:
    """Go on as the scanner's user when started by root: nothing below a directory of that user is root's business."""
    if os.geteuid() != 0:
        return
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    try:
        groups = [*os.getgroups(), _group("ssl-cert")]
    except KeyError:
        groups = os.getgroups()
    os.setgroups(groups)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _group(name: str) -> int:
    import grp  # noqa: PLC0415 - the watch has no need of it

    return grp.getgrnam(name).gr_gid


def fetch(settings: Settings) -> None:
    """Ask the hub, take what is new.

    Raises:
        Unreachable, Refused, Failed: said in the status and the journal before.
    """
    become(settings.user)
    with state.lock(settings.release / "lock", 30), _told(settings):
        hub = Hub(settings)
        try:
            _from_hub(settings, hub)
        finally:
            hub.close()


def _from_hub(settings: Settings, hub: Hub) -> None:
    install.finish(settings)
    current, kept = install.installed(settings), state.read(_facts(settings))
    if current and kept.get("active") != current.serial:
        # A scanner that is down costs the line nothing, unless there is something newer for it.
        try:
            activate(settings, current, changed=True)
        except Failed:
            if state.read(settings.heard).get("serial", 0) <= current.serial:
                raise
    serial = 0
    try:
        envelope = hub.release(kept.get("etag", "") if current else "")
        state.note(_facts(settings), asked=state.now())
        if envelope is None and current is not None:
            envelope = current.envelope
        if envelope is None:
            raise Unreachable("the hub says there is nothing new, and nothing is here")
        release = releases.check(envelope, settings.signers, settings.profile, current.serial if current else 0)
        serial = release.serial
        changed = install.take(settings, release, hub.file)
    except Failed as error:
        if not isinstance(error, Unreachable):
            # What was wrong with it is no reason to be silent; that the hub cannot be told is.
            _report(
                hub, getattr(error, "serial", serial), settings, "refused" if isinstance(error, Refused) else "failed"
            )
        raise
    if hub.etag:
        state.note(_facts(settings), etag=hub.etag)
    if changed:
        _say(settings, release, "the hub")
    activate(settings, release, changed=changed)
    if state.read(_facts(settings)).get("reported") != release.serial:
        hub.seen(release.serial, settings.profile, "active")
        state.note(_facts(settings), reported=release.serial)
    sent, received = hub.bytes_moved()
    if changed and sent:
        state.note(_facts(settings), bytes_sent=sent, bytes_received=received)


def _report(hub: Hub, serial: int, settings: Settings, outcome: str) -> None:
    try:
        hub.seen(serial, settings.profile, outcome)
    except Unreachable as error:
        state.journal(syslog.LOG_WARNING, event="not-told", error=str(error))


def take_in(settings: Settings, directory: Path) -> None:
    """Take a release from a stick, by the same rules.

    Raises:
        Refused, Failed: said in the status and the journal before.
    """
    try:
        with (directory / "release.json").open("rb") as file:
            envelope = file.read(releases.MAX_BYTES + 1)
        # Opened now: the stick may be root's, and from here on we are not.
        handles = {
            path.name: os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            for path in (directory / "files").iterdir()
            if re.fullmatch(r"[0-9a-f]{64}", path.name)
        }
    except OSError as error:
        raise Failed(f"{directory} holds no release: {error}") from error
    become(settings.user)

    def bring(file: File, to: Path) -> None:
        if file.sha256 not in handles:
            raise Refused(f"{file.name}: files/{file.sha256} is not there")
        with os.fdopen(os.dup(handles[file.sha256]), "rb") as source, to.open("wb") as part:
            source.seek(0)
            part.write(source.read(file.size + 1))

    with state.lock(settings.release / "lock", 30), _told(settings):
        install.finish(settings)
        current = install.installed(settings)
        release = releases.check(envelope, settings.signers, settings.profile, current.serial if current else 0)
        changed = install.take(settings, release, bring)
        if changed:
            _say(settings, release, str(directory))
        activate(settings, release, changed=changed)


def activate(settings: Settings, release: Release, *, changed: bool) -> None:
    """Have the scanner read the release, and find its canary.

    Raises:
        Failed: it was not found in time.
    """
    if settings.resident:
        clamd = Clamd(settings.socket, CONFIRM_SECONDS)
        until = time.monotonic() + CONFIRM_SECONDS
        asked = False
        while True:
            try:
                if clamd.stream(release.canary.encode()):
                    break
                if changed or not asked:
                    clamd.reload()
                    changed, asked = False, True
            except (Silent, Unscanned) as error:
                if time.monotonic() > until:
                    raise Failed(f"release {release.serial} is in place; {error}") from error
            if time.monotonic() > until:
                raise Failed(f"release {release.serial} is in place; the scanner has not read it yet")
            time.sleep(0.2)
    facts = state.read(_facts(settings))
    if release.sweep and facts.get("swept") != release.serial:
        state.replace(settings.release / "sweep", f"{release.serial}\n".encode())
        state.note(_facts(settings), swept=release.serial)
    state.note(_facts(settings), active=release.serial)
    official.want(settings, release)


def active(settings: Settings) -> int | None:
    """The serial whose canary the scanner finds now; None when it does not answer, or finds none."""
    release = install.installed(settings)
    if release is None:
        return None
    try:
        if settings.resident:
            found = bool(Clamd(settings.socket).stream(release.canary.encode()))
        else:
            found = install.search(settings.database, release.canary, settings.load_seconds)
    except Failed:
        return None
    return release.serial if found else None


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """Errors go to the status and the journal, each once."""
    before = state.read(_facts(settings)).get("error")
    try:
        yield
    except Failed as error:
        state.note(_facts(settings), error=str(error), error_at=state.now())
        if str(error) != before:
            kind = type(error).__name__.lower()
            severity = syslog.LOG_NOTICE if isinstance(error, Unreachable) else syslog.LOG_ERR
            state.journal(severity, event=kind, error=str(error), serial=getattr(error, "serial", None))
        raise
    except OSError as error:
        # Above all a full disk, on which this may have no place either.
        state.journal(syslog.LOG_ERR, event="failed", error=str(error))
        with suppress(OSError):
            state.note(_facts(settings), error=str(error), error_at=state.now())
        raise Failed(str(error)) from error
    if before is not None:
        state.note(_facts(settings), error=None, error_at=None)


def _say(settings: Settings, release: Release, source: str) -> None:
    state.note(_facts(settings), installed_at=state.now())
    state.journal(syslog.LOG_NOTICE, event="installed", serial=release.serial, made=release.made, source=source)


def _facts(settings: Settings) -> Path:
    return settings.release / "state.json"


def facts(settings: Settings) -> dict[str, Any]:
    """What was noted of the last tries."""
    return state.read(_facts(settings))
