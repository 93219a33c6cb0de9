"""People of the province's directory: a bind says who gets in, groups say what he may see.

docs/contracts/directory.md, "How a service lets people in". Local accounts (`people`) do not pass here: they are the
way in when the directory is down. An address has an @, a local name has none: none can be taken for the other.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import BoundedSemaphore, Lock
from urllib.parse import urlsplit

from ldap3 import BASE, NONE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from tram.core.errors import TramError
from tram_board.access import OPERATOR, VIEWER, Person
from tram_board.settings import DirectorySettings

OPERATORS = "board-operators"
VIEWERS = "-board"
"""The groups: OPERATORS see everything, <code of a site>VIEWERS that site and what is below it."""
ASK_AGAIN = 120.0
"""Seconds for which who is in stays in without the directory being asked again: so soon a leaver is out."""
_SUCCESS, _NO_ENTRY, _WRONG, _RESTRICTED = 0, 32, 49, 50
_PATIENCE = 5
# An answer to a wrong name or password takes at least so long: who has no account is not told by the clock.
_LEAST = 0.4
_ADDRESS = re.compile(r"[^\s@()*\\\x00]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}")
_log = logging.getLogger("tram_board")


class Silent(TramError):
    """The directory did not answer, or not what was asked: nothing is known of anybody."""


class FirstPassword(TramError):
    """The right password, but still the one of the slip."""


class NotAllowed(TramError):
    """The right password of somebody whom no group lets see the board."""


@dataclass(frozen=True, slots=True)
class Official:
    """A person of the directory with what he may see. `version` changes with his password."""

    person: Person
    version: str


@dataclass(slots=True)
class _Remembered:
    official: Official | None
    asked: float


class Directory:
    """The province's directory. Any number of threads may ask; four at most ask at once."""

    def __init__(
        self, settings: DirectorySettings, sites: frozenset[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`sites`: the codes of the register."""
        self._settings, self._sites, self._clock = settings, sites, clock
        self._remembered: dict[str, _Remembered] = {}
        self._lock, self._few = Lock(), BoundedSemaphore(4)

    def enter(self, name: str, password: str) -> Official | None:
        """Who has this address and password; None for a wrong one, a locked or a disabled account: told alike.

        Raises: Silent; FirstPassword; NotAllowed.
        """
        began = time.monotonic()
        official = self._bound(name, password) if _ADDRESS.fullmatch(name) and password else None
        if official is None:
            time.sleep(max(0.0, _LEAST - (time.monotonic() - began)))
            return None
        with self._lock:
            self._remembered[name] = _Remembered(official, self._clock())
        return official

    def known(self, name: str, version: str) -> Person | None:
        """Whose session it is: None when he left, changed his password, or no group names him any more.

        Asked again every few minutes. While the directory is silent who is in stays in; who it was asked of never
        (the board was started meanwhile) is not.
        """
        with self._lock:
            one = self._remembered.setdefault(name, _Remembered(None, float("-inf")))
            due = self._clock() - one.asked >= ASK_AGAIN
            if due:
                # One request asks, the others go on by what was known.
                before, one.asked = one.asked, self._clock()
        if due:
            try:
                with self._as(self._settings.account, self._own_password()) as service:
                    one.official = self._found(service, name)
            except (Silent, NotAllowed) as error:
                _log.error("%s: %s", name, error.message)
                if isinstance(error, NotAllowed):
                    one.official = None
                elif one.official is None:
                    one.asked = before
        official = one.official
        return official.person if official and official.version == version else None

    def _bound(self, name: str, password: str) -> Official | None:
        with self._as(self._settings.account, self._own_password()) as service:
            entry = self._entry(service, name)
            if entry is None:
                return None
            dn = str(entry["dn"])
            try:
                with self._as(dn, password) as own:
                    own.search(dn, "(objectClass=*)", BASE, attributes=["mail"])
                    restricted = own.result["result"] == _RESTRICTED
            except _Refused:
                return None
            if restricted:
                raise FirstPassword(f"{name} has not changed the password of the slip")
            return self._official(service, entry, name)

    def _found(self, service: Connection, name: str) -> Official | None:
        entry = self._entry(service, name)
        return self._official(service, entry, name) if entry else None

    def _entry(self, service: Connection, name: str) -> Mapping[str, object] | None:
        wanted = f"(&(objectClass=tramPerson)(mail={escape_filter_chars(name)}))"
        found = self._search(service, self._settings.base, wanted, ["tramState", "pwdChangedTime"])
        if len(found) != 1 or _values(found[0], "tramState")[:1] not in (["active"], ["leaving"]):
            return None
        return found[0]

    def _official(self, service: Connection, entry: Mapping[str, object], name: str) -> Official:
        wanted = f"(&(objectClass=groupOfNames)(member={escape_filter_chars(str(entry['dn']))}))"
        found = self._search(service, f"ou=groups,{self._settings.base}", wanted, ["cn"])
        groups = {value for group in found for value in _values(group, "cn")}
        sites = sorted(code for code in self._sites if f"{code}{VIEWERS}" in groups)
        version = sha256("\n".join(_values(entry, "pwdChangedTime")).encode()).hexdigest()[:16]
        if OPERATORS in groups:
            return Official(Person(name, OPERATOR), version)
        if not sites:
            raise NotAllowed(f"{name} is in no group that sees the board")
        return Official(Person(name, VIEWER, sites[0], tuple(sites[1:])), version)

    def _search(self, service: Connection, base: str, wanted: str, attributes: list[str]) -> list[Mapping[str, object]]:
        service.search(base, wanted, SUBTREE, attributes=attributes)
        if service.result["result"] not in (_SUCCESS, _NO_ENTRY):
            raise Silent(f"{self._settings.url}: {service.result['description']}")
        return [one for one in service.response or [] if one.get("type") == "searchResEntry"]

    @contextmanager
    def _as(self, dn: str, password: str) -> Iterator[Connection]:
        """A connection of this name's. Raises: _Refused for a wrong password of a person; Silent."""
        made = self._settings
        try:
            connection = Connection(
                _server(made), dn, password, receive_timeout=_PATIENCE, auto_referrals=False, check_names=False
            )
            with self._few:
                connection.bind()
            try:
                code = connection.result["result"]
                if code in (_WRONG, _NO_ENTRY) and dn != made.account:
                    raise _Refused
                # Our own account refused: a copy that is not whole yet, or a password that was changed.
                if code != _SUCCESS:
                    raise Silent(f"{made.url}: {dn}: {connection.result['description']}")
                yield connection
            finally:
                connection.unbind()
        except (LDAPException, OSError, ssl.SSLError, KeyError, TypeError) as error:
            raise Silent(f"{made.url}: {error or type(error).__name__}") from error

    def _own_password(self) -> str:
        try:
            return self._settings.password_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise Silent(f"{self._settings.password_file}: {error}") from error


class _Refused(Exception):
    """A name and password that do not fit."""


def _server(made: DirectorySettings) -> Server:
    if made.url.startswith("ldapi://"):
        return Server(made.url, get_info=NONE, connect_timeout=_PATIENCE)
    url = urlsplit(made.url)
    tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(made.ca), valid_names=[str(url.hostname)])
    host, port = made.address or str(url.hostname), url.port or 636
    return Server(host, port, use_ssl=True, tls=tls, get_info=NONE, connect_timeout=_PATIENCE)


def _values(entry: Mapping[str, object], name: str) -> list[str]:
    raw = entry["raw_attributes"]
    assert isinstance(raw, Mapping)
    return [value.decode("utf-8", "replace") for value in raw.get(name, [])]
