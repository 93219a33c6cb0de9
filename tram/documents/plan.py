"""Compare what there should be with what there is: what changes, and the requests that make it so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tram.core.errors import BadInput
from tram.documents.practice import Practice
from tram.documents.reading import answered
from tram.documents.things import Door, Has, Key, Link, Request, Thing
from tram.documents.wanted import in_force, links, post_label, rights_list, things, type_label


class OpenWork(BadInput):
    """Somebody would leave an agency with work in hand."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `details` is what was and what will be; nothing secret is in it."""

    action: str
    kind: str
    name: str
    details: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All differences, how many things are as they should be, and what is there that the practice knows nothing of
    (kind and name)."""

    changes: tuple[Change, ...]
    same: int
    unknown: tuple[tuple[str, str], ...] = ()

    def count(self) -> Counter[str]:
        """How many of each action."""
        return Counter(change.action for change in self.changes)


def make_plan(practice: Practice, has: Has, *, leave_open: bool = False) -> Plan:
    """What has to change.

    Raises: OpenWork when a person would be taken out of an agency while documents are in his hands.
    """
    changes: list[Change] = []
    same = 0
    names = {*has.ids}
    for thing in things(practice):
        change = _thing(thing, has)
        names.add(thing.ref)
        if change is None:
            same += 1
        else:
            changes.append(change)
    wanted = [*links(practice)]
    changes += _gone(practice, has, {(link.kind, link.key) for link in wanted}, leave_open=leave_open)
    lists: set[str] = set()
    for link in wanted:
        if (link.kind, link.key) in has.links:
            same += 1
            continue
        requests = [_filled(link.add, has)]
        if link.kind == "right" and (needs := rights_list(link)).ref not in has.ids and needs.ref not in lists:
            lists.add(needs.ref)
            requests.insert(0, _made(needs, has))
        changes.append(Change("create", link.kind, " / ".join(link.key), {}, tuple(requests)))
    now = in_force(practice)
    if has.practice == now:
        same += 1
    else:
        put = {"method": "PUT", "path": "tram/practice/", "body": now}
        changes.append(Change("change" if has.practice else "create", "practice", "in force", {}, (put,)))
    return Plan(tuple(changes), same, tuple(_surplus(practice, has)))


def _thing(thing: Thing, has: Has) -> Change | None:
    there = has.things.get((thing.kind, thing.key))
    name = " / ".join(thing.key)
    if there is None:
        return Change("create", thing.kind, name, {}, (_made(thing, has),))
    differs = {
        key: (there.get(key), will) for key, will in thing.fields.items() if (there.get(key) or "") != (will or "")
    }
    if not differs:
        return None
    body = {key: will for key, will in thing.fields.items() if key not in ("origin", "destination")}
    if thing.kind == "step":
        body = thing.once
    elif thing.kind == "state":
        body = {**thing.once, **body}
    change = {"method": "PATCH", "path": f"{thing.at}{there['id']}/", "body": body}
    return Change("change", thing.kind, name, differs, (_filled(change, has),))


def _made(thing: Thing, has: Has) -> Request:
    said = {key: value for key, value in thing.fields.items() if key not in ("origin", "destination")}
    made = {"method": "POST", "path": thing.at, "body": {**thing.once, **said}}
    return {**_filled(made, has), "as": thing.ref[1:-1]}


def _filled(request: Request, has: Has) -> Request:
    """Names of what is there already are replaced by their ids; the others are by the host, when they are made."""

    def one(match: re.Match[str]) -> str:
        return str(has.ids.get(match[0], match[0]))

    body = {
        key: has.ids.get(value, value) if isinstance(value, str) else value
        for key, value in (request.get("body") or {}).items()
    }
    return {**request, "path": re.sub(r"<[^<>]+>", one, request["path"]), "body": body}


def _gone(practice: Practice, has: Has, wanted: set[tuple[str, Key]], *, leave_open: bool) -> Iterable[Change]:
    """Rights, members and fields of what is ours that should not be there."""
    groups = {post_label(practice, code, post): code for code in practice.agencies for post in practice.posts}
    roles = {*groups, *(post.label for post in practice.posts.values())}
    types = {type_label(practice, code, name) for code in practice.agencies for name in practice.types}
    staying = {(groups[key[0]], key[1]) for kind, key in wanted if kind == "group's person"}
    for (kind, key), remove in has.links.items():
        ours = {
            "type's field": key[0] in types,
            "right": kind == "right" and ((key[0] == "type" and key[1] in types) or key[2] in roles),
            "role's group": key[0] in roles,
            "group's person": key[0] in groups,
        }.get(kind, False)
        if not ours or (kind, key) in wanted or remove is None:
            continue
        if kind == "group's person" and not leave_open and (groups[key[0]], key[1]) not in staying:
            _refuse_open_work(has, groups[key[0]], key[1])
        yield Change("remove", kind, " / ".join(key), {}, (remove,))


def _refuse_open_work(has: Has, agency: str, person: str) -> None:
    mine = [one for one in has.open_work if one["agency"] == agency and one["person"] == person]
    if mine:
        shown = ", ".join(str(one["document"]) for one in mine[:5])
        raise OpenWork(
            f"{person} leaves {agency} with {len(mine)} open documents in his hands ({shown}); nothing was changed",
            hint="let the head assign them to somebody else first, or --leave-open: then the heads are reminded",
        )


def _surplus(practice: Practice, has: Has) -> Iterable[tuple[str, str]]:
    """Types with an agency's mark that the practice does not know: left alone, because documents may hang on them."""
    known = {thing.ref for thing in things(practice)}
    marks = tuple(f"{one.symbol} · " for one in practice.agencies.values())
    for kind, key in has.things:
        if kind in ("type", "role", "group") and key[0].startswith(marks) and f"<{kind}: {key[0]}>" not in known:
            yield kind, key[0]


def apply_changes(door: Door, plan: Plan) -> int:
    """Make the changes in one batch; how many requests were answered.

    Raises: MayanRefused with how far it came.
    """
    requests = [request for change in plan.changes for request in change.requests]
    if not requests:
        return 0
    answers = door.ask(requests)
    answered(door, requests, answers, f" ({len(answers) - 1} of {len(requests)} requests done)")
    return len(requests)


__all__ = ["Change", "Link", "OpenWork", "Plan", "apply_changes", "make_plan"]
