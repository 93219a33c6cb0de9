"""What the directory says: people and agencies, as they are read in one search. Names: docs/contracts/directory.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from tram.accounts.ldif import entries
from tram.core.errors import TramError

ATTRIBUTES = (
    *("uid", "cn", "sn", "givenName", "mail", "employeeNumber", "tramAgency", "title", "member"),
    *("tramState", "tramDisabledSince", "tramForwardTo", "tramActivated", "pwdChangedTime", "pwdReset"),
)
ISSUED = "(&(objectClass=tramPerson)(userPassword=*))"
"""Asked apart, without the attribute: whether there is a password is all that leaves the directory. pwdChangedTime does
not tell it, because an entry that was added with its password has none."""

FILTER = "(|(objectClass=tramPerson)(objectClass=organizationalUnit)(objectClass=groupOfNames))"


class DirectoryFailed(TramError):
    """The directory did not answer, or refused what it was asked."""


@dataclass(frozen=True, slots=True)
class Said:
    """How one of the directory's programs ended."""

    code: int
    stdout: str
    stderr: str


class Door(Protocol):
    """The way to the hub's directory: the one connection of a run."""

    @property
    def name(self) -> str:
        """The host, for people."""

    def search(self, base: str, filter_: str, attributes: tuple[str, ...]) -> Said:
        """Run ldapsearch there."""

    def change(self, text: str) -> Said:
        """Run ldapmodify there; it reads the records from its standard input."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One person in the directory. Two agencies, because a move that was cut off has changed the place and not yet the
    attribute."""

    dn: str
    uid: str
    name: str
    family: str
    given: str
    mail: str
    code: str
    agency: str
    place: str
    title: str
    state: str
    disabled_since: datetime | None
    forward_to: str
    activated: datetime | None
    issued: bool
    password_changed: datetime | None
    must_change: bool

    @property
    def own_password(self) -> datetime | None:
        """When the person first set a password of his own, as far as it is known."""
        return self.activated or (None if self.must_change else self.password_changed)


@dataclass(frozen=True, slots=True)
class State:
    """All people, the names (DN) of agencies by code, and the members of groups, as the directory had them."""

    base: str
    people: tuple[Entry, ...]
    agencies: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]


def base_of(domain: str) -> str:
    """The top of a province's tree: tinh.example is dc=tinh,dc=example. Source: RFC 2247."""
    return ",".join(f"dc={label}" for label in domain.split("."))


def read_state(door: Door, domain: str) -> State:
    """Ask for everybody, then for who has a password.

    Raises: DirectoryFailed; what the door raises when the hub is not reached.
    """
    base = base_of(domain)
    said, with_password = door.search(base, FILTER, ATTRIBUTES), door.search(base, ISSUED, ("1.1",))
    for answer in (said, with_password):
        if answer.code != 0:
            raise refused(door, answer)
    issued = {one["dn"][0] for one in entries(with_password.stdout)}
    people: list[Entry] = []
    agencies: dict[str, str] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for one in entries(said.stdout):
        dn = one["dn"][0]
        if "uid" in one and "tramstate" in one:
            people.append(_entry(dn, {name: values[0] for name, values in one.items()}, issued=dn in issued))
        elif "member" in one:
            groups[_first(dn)] = tuple(one["member"])
        elif _is_branch(dn.removesuffix(f",{base}")):
            agencies[_first(dn)] = dn
    return State(base, tuple(sorted(people, key=lambda entry: entry.code)), agencies, groups)


def refused(door: Door, said: Said, doing: str = "") -> DirectoryFailed:
    """Why a program of the directory's failed, and what to do about it."""
    words = [line.strip() for line in said.stderr.splitlines() if line.strip()]
    reason = "; ".join(word for word in words[-2:]) or f"exit {said.code}"
    at = f"{door.name}: {doing}: " if doing else f"{door.name}: "
    if said.code == 127 or "command not found" in said.stderr:
        return DirectoryFailed(f"{door.name}: is no directory server", hint="run playbooks/directory.yml for the hub")
    if "Can't contact LDAP server" in said.stderr:
        return DirectoryFailed(
            f"{at}the directory does not answer",
            hint="see `systemctl status slapd` there; then run this again: it goes on from what is there",
        )
    if "No such object" in said.stderr:
        return DirectoryFailed(f"{at}{reason}", hint="run playbooks/directory.yml: the frame of the tree is not there")
    return DirectoryFailed(f"{at}{reason}", hint="nothing after this was changed; correct it and run this again")


def time_of(text: str | None) -> datetime | None:
    """A generalized time of the directory's; None for none. Source: RFC 4517, 3.3.13."""
    if not text:
        return None
    return datetime.strptime(text.split(".")[0].rstrip("Z"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def time_text(moment: datetime) -> str:
    """The other way round."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def _is_branch(place: str) -> bool:
    """ou=<agency>,ou=<tier>; below ou=services stand the sites' programs."""
    parts = place.lower().split(",")
    return (
        len(parts) == 2 and parts[0].startswith("ou=") and parts[1] not in ("ou=services", "ou=policies", "ou=groups")
    )


def _first(dn: str) -> str:
    return dn.split(",", 1)[0].partition("=")[2]


def _entry(dn: str, said: Mapping[str, str], *, issued: bool) -> Entry:
    return Entry(
        dn=dn,
        uid=said["uid"].lower(),
        name=said.get("cn", ""),
        family=said.get("sn", ""),
        given=said.get("givenname", ""),
        mail=said.get("mail", "").lower(),
        code=said.get("employeenumber", "").upper(),
        agency=said.get("tramagency", ""),
        place=_first(dn.split(",", 1)[1]),
        title=said.get("title", ""),
        state=said["tramstate"],
        disabled_since=time_of(said.get("tramdisabledsince")),
        forward_to=said.get("tramforwardto", ""),
        activated=time_of(said.get("tramactivated")),
        issued=issued,
        password_changed=time_of(said.get("pwdchangedtime")),
        must_change=said.get("pwdreset", "").upper() == "TRUE",
    )
