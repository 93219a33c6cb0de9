"""From what rosters say and what the directory says to what has to change; changes nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from tram.accounts import ldif
from tram.accounts.directory import Entry, State, time_text
from tram.accounts.names import free, local_part
from tram.accounts.roster import Member, Roster, RosterInvalid
from tram.core.errors import BadInput
from tram.register.columns import normal
from tram.register.model import Province
from tram.register.problem import Problem

Kind = Literal["join", "return", "move", "update", "leaving", "leave", "delete", "activated"]

FEW = 2
"""So many people may leave an agency in one run whatever its size: one of three is a third and no mistake."""


class TooManyLeave(BadInput):
    """More people of an agency would be shut out than is likely."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`most_leavers` is the share (0 to 1) of an agency's people that may leave in one run; `delete_after` is how long
    the disabled are kept, None for ever."""

    most_leavers: float = 0.2
    delete_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What changes for one person: `details` has, by attribute, what was and what will be; `records` is the LDIF."""

    kind: Kind
    code: str
    name: str
    agency: str
    mail: str
    details: Mapping[str, tuple[str, str]]
    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes in their order; `same` is how many people of these agencies stay as they are."""

    changes: tuple[Change, ...]
    same: int
    warnings: tuple[str, ...]

    def count(self) -> dict[str, int]:
        """How many changes there are of each kind."""
        return dict(Counter(change.kind for change in self.changes))


@dataclass(slots=True)
class _Work:
    province: Province
    roster: Roster
    state: State
    policy: Policy
    now: datetime
    codes: dict[str, Entry]
    taken: set[str]
    addresses: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def make_plan(province: Province, roster: Roster, state: State, policy: Policy, now: datetime) -> Plan:
    """What has to change so that the directory says of the rosters' agencies what the rosters say.

    Raises: RosterInvalid for what only the directory shows to be wrong; TooManyLeave; BadInput for an agency that the
    directory lacks.
    """
    lacking = sorted(code for code in roster.agencies if code not in state.agencies)
    if lacking:
        hint = "run playbooks/directory.yml: it makes a branch for each site"
        raise BadInput(f"the directory has no branch for {', '.join(lacking)}", hint=hint)
    codes = {entry.code: entry for entry in state.people if entry.code}
    work = _Work(province, roster, state, policy, now, codes, {entry.uid for entry in state.people})
    today = now.astimezone().date()
    gone = {code for code, member in roster.members.items() if member.leaves and member.leaves <= today}
    staying = [member for code, member in sorted(roster.members.items()) if code not in gone]
    for member in staying:
        _address(work, member)
    for site in province.sites:
        if site.code in roster.agencies and not site.mail_host:
            work.warnings.append(f"{site.name}: no mail server yet; addresses @{site.domain} get no mail")
    for member in staying:
        _wanted(work, member)
    leavers = [
        entry
        for entry in state.people
        if entry.code in gone or (entry.code and entry.agency in roster.agencies and entry.code not in roster.members)
    ]
    for entry in leavers:
        _leaver(work, entry)
    if work.problems:
        raise RosterInvalid(work.problems)
    _guard(work)
    touched = {change.code for change in work.changes}
    known = {e.code for e in state.people if e.agency in roster.agencies or e.code in roster.members}
    return Plan(tuple(work.changes), len(known - touched), tuple(work.warnings))


def agency_dn(state: State, agency: str) -> str:
    """The branch of an agency."""
    return state.agencies[agency]


def mail_domain(province: Province, agency: str) -> str:
    """The domain of an agency's addresses: its site's."""
    return next(site.domain for site in province.sites if site.code == agency)


def _address(work: _Work, member: Member) -> None:
    """Who has an address keeps its local part; who has none gets one, in the order of employee codes."""
    entry = work.codes.get(member.code)
    local = entry.uid if entry else free(local_part(member.name.full), work.taken)
    work.taken.add(local)
    if entry and entry.agency == member.agency and entry.mail:
        work.addresses[member.code] = entry.mail
    else:
        work.addresses[member.code] = f"{local}@{mail_domain(work.province, member.agency)}"


def _wanted(work: _Work, member: Member) -> None:
    entry, mail = work.codes.get(member.code), work.addresses[member.code]
    local = mail.partition("@")[0]
    wanted = {
        "cn": member.name.full,
        "sn": member.name.family,
        "givenName": member.name.given,
        "mail": mail,
        "tramAgency": member.agency,
        "title": member.title,
        "tramState": "leaving" if member.leaves else "active",
        "tramDisabledSince": "",
        "tramForwardTo": "",
    }
    _forward(work, member)  # named too early or not: it has to be somebody
    if entry is None:
        dn = f"uid={local},{agency_dn(work.state, member.agency)}"
        values = {name: [value] for name, value in wanted.items() if value}
        classes = {"objectClass": ["inetOrgPerson", "tramPerson"], "uid": [local], "employeeNumber": [member.code]}
        _change(work, "join", member, {"mail": ("", mail)}, [ldif.add(dn, classes | values)])
        return
    if entry.agency != member.agency and normal(entry.name) != normal(member.name.full):
        message = f'"{member.code}" is {entry.name} of {entry.agency} in the directory, not {member.name.full}'
        hint = "correct the code; after a change of name and agency at once, import the name first"
        work.problems.append(member.cells["code"].problem(message, hint))
        return
    _differs(work, member, entry, wanted)


def _differs(work: _Work, member: Member, entry: Entry, wanted: dict[str, str]) -> None:
    """Change what is not as it should be, of one who is there already."""
    if entry.state != "disabled":
        wanted["tramForwardTo"] = entry.forward_to  # set by hand, e.g. for a long illness: not ours to end
    if entry.own_password and not entry.activated:
        wanted["tramActivated"] = time_text(entry.own_password)
    had = _had(entry)
    details = {name: (had[name], value) for name, value in wanted.items() if had[name] != value}
    above = agency_dn(work.state, member.agency)
    moved = entry.place != member.agency
    if not details and not moved:
        return
    rdn, dn, records = f"uid={entry.uid}", entry.dn, []
    if moved:
        records.append(ldif.move(dn, rdn, above))
        dn = f"{rdn},{above}"
    if details:
        records.append(ldif.modify(dn, {name: value or None for name, (_, value) in details.items()}))
    kind: Kind = "update"
    if entry.state == "disabled":
        kind = "return"
    elif moved or "tramAgency" in details:
        kind = "move"
        if "mail" in details:
            work.warnings.append(
                f"{member.name.full}: {entry.mail} -> {wanted['mail']}; mail kept so far stays at the old site until "
                "it is taken along: docs/runbooks/person-moved.md"
            )
    elif "tramState" in details and member.leaves:
        kind = "leaving"
    elif set(details) == {"tramActivated"}:
        kind = "activated"
    _change(work, kind, member, details, records)


def _had(entry: Entry) -> dict[str, str]:
    return {
        "cn": entry.name,
        "sn": entry.family,
        "givenName": entry.given,
        "mail": entry.mail,
        "tramAgency": entry.agency,
        "title": entry.title,
        "tramState": entry.state,
        "tramDisabledSince": time_text(entry.disabled_since) if entry.disabled_since else "",
        "tramForwardTo": entry.forward_to,
        "tramActivated": time_text(entry.activated) if entry.activated else "",
    }


def _change(
    work: _Work, kind: Kind, who: Member, details: Mapping[str, tuple[str, str]], records: Iterable[str]
) -> None:
    mail = work.addresses[who.code]
    work.changes.append(Change(kind, who.code, who.name.full, who.agency, mail, details, tuple(records)))


def _leaver(work: _Work, entry: Entry) -> None:
    """Shut out, keep the mail, hand it over; and after the time that was set for it, delete."""
    member = work.roster.members.get(entry.code)
    forward = _forward(work, member) if member else ""
    if entry.state == "disabled":
        after, since = work.policy.delete_after, entry.disabled_since
        if after is not None and since is not None and since + after <= work.now:
            was = {"tramDisabledSince": (time_text(since), "")}
            _leave(work, "delete", entry, was, ldif.delete(entry.dn))
        elif forward and forward != entry.forward_to:
            details = {"tramForwardTo": (entry.forward_to, forward)}
            _leave(work, "update", entry, details, ldif.modify(entry.dn, {"tramForwardTo": forward}))
        return
    wanted = {"tramState": "disabled", "tramDisabledSince": time_text(work.now)}
    wanted |= {"tramForwardTo": forward} if forward else {}
    had = _had(entry)
    details = {name: (had[name], value) for name, value in wanted.items()}
    _leave(work, "leave", entry, details, ldif.modify(entry.dn, dict(wanted)))


def _leave(work: _Work, kind: Kind, entry: Entry, details: Mapping[str, tuple[str, str]], record: str) -> None:
    work.changes.append(Change(kind, entry.code, entry.name, entry.agency, entry.mail, details, (record,)))


def _forward(work: _Work, member: Member) -> str:
    """The address of who takes over; reports one who cannot."""
    code = member.hands_over
    if not code:
        return ""
    other = work.codes.get(code)
    if code in work.addresses and code != member.code:
        return work.addresses[code]
    if code == member.code:
        message = "hands over to himself"
    elif code in work.roster.members or (other and other.state == "disabled"):
        message = f'hands over to "{code}", who has left'
    elif other:
        return other.mail
    else:
        message = f'hands over to "{code}", whom neither a roster nor the directory knows'
    work.problems.append(member.cells["hands_over"].problem(message, "write the code of one who stays"))
    return ""


def _guard(work: _Work) -> None:
    """Half a roster looks like half of the people having left."""
    present = Counter(entry.agency for entry in work.state.people if entry.state != "disabled")
    leave = Counter(change.agency for change in work.changes if change.kind == "leave")
    most = work.policy.most_leavers
    many = [code for code in sorted(leave) if leave[code] > FEW and leave[code] / present[code] > most]
    if many:
        said = ", ".join(f"{leave[code]} of {present[code]} of {code}" for code in many)
        raise TooManyLeave(
            f"{said} would be disabled: more than {most:.0%}",
            hint="is the roster complete? if they did leave: --most-leavers PERCENT",
        )


def utc_now() -> datetime:
    """Now, as the directory counts."""
    return datetime.now(UTC).replace(microsecond=0)
