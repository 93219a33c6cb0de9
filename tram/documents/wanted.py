"""The practice in Mayan's terms: what there should be, in the order it can be made."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from tram.documents.practice import FieldShape, Practice
from tram.documents.things import Link, Thing, ref

CREATE = "documents.document_create"
SEE_FLOW = "document_states.workflow_view"
TAKE_STEP = "document_states.workflow_transition"
FIELD_RIGHTS = ("metadata.metadata_document_add", "metadata.metadata_document_edit", "metadata.metadata_document_view")
CABINET = "cabinets.cabinet_view"
DATE = "tram_practice.dates.VietnameseDate"
BY_HAND = "SourceBackendWebForm"
"""Where people upload: Mayan makes one at its setup and calls it Default."""
PEOPLE = "{{ workflow_instance.document.tram_people }}{{ workflow_instance.workflow_instance.document.tram_people }}"
"""Who may be chosen. Mayan 4.12 renders it with the flow for its form, and with the log entry to check REST."""
SENT_TO = FieldShape(label="Nơi nhận (địa chỉ thư, cách nhau bằng dấu phẩy)")


def type_label(practice: Practice, agency: str, name: str) -> str:
    """What an agency's own type is called."""
    return f"{practice.agencies[agency].symbol} · {practice.types[name].label}"


def post_label(practice: Practice, agency: str, post: str) -> str:
    """What an agency's group and role are called."""
    return f"{practice.agencies[agency].symbol} · {practice.posts[post].label}"


def things(practice: Practice) -> Iterator[Thing]:
    """Everything with a name."""
    for name, one in practice.fields.items():
        fields = {
            "label": one.label,
            "parser": DATE if one.kind == "date" else "",
            "lookup": ",".join(one.choices),
            "default": one.default,
        }
        yield Thing("field", (name,), "metadata_types/", fields, {"name": name})
    for agency in practice.agencies:
        for name, kind in practice.types.items():
            kept = {
                "trash_time_period": kind.keep_years * 365 if kind.keep_years else None,
                "trash_time_unit": "days" if kind.keep_years else None,
                "delete_time_period": kind.bin_days,
                "delete_time_unit": "days",
            }
            label = type_label(practice, agency, name)
            yield Thing("type", (label,), "document_types/", kept, {"label": label})
    yield from _flows(practice)
    for post in practice.posts.values():
        yield Thing("role", (post.label,), "roles/", {}, {"label": post.label})
    for agency, one_agency in practice.agencies.items():
        yield Thing("cabinet", (one_agency.symbol,), "cabinets/", {}, {"label": one_agency.symbol, "parent": None})
        for kind in practice.types.values():
            inside = {"label": kind.label, "parent": ref("cabinet", one_agency.symbol)}
            yield Thing("cabinet", (one_agency.symbol, kind.label), "cabinets/", {}, inside)
        for post_name in practice.posts:
            label = post_label(practice, agency, post_name)
            yield Thing("group", (label,), "groups/", {}, {"name": label})
            yield Thing("role", (label,), "roles/", {}, {"label": label})
    for user in sorted({user for one in practice.agencies.values() for names in one.people.values() for user in names}):
        # Who he is, the directory knows; a password of Mayan's own that nobody knows lets nobody in.
        yield Thing("user", (user,), "users/", {}, {"username": user, "password": secrets.token_urlsafe(48)})


def _flows(practice: Practice) -> Iterator[Thing]:
    for name, flow in practice.flows.items():
        top = ref("flow", name)
        once = {"internal_name": name.replace("-", "_")}
        yield Thing("flow", (name,), "workflow_templates/", {"label": flow.label, "auto_launch": True}, once)
        last = len(flow.states) - 1
        for place, state in enumerate(flow.states):
            fields: dict[str, Any] = {
                "initial": place == 0,
                "final": place == last,
                "completion": round(100 * place / last),
            }
            yield Thing("state", (name, state), f"workflow_templates/{top}/states/", fields, {"label": state})
        for step in flow.steps:
            ends = {
                "origin_state_id": ref("state", name, step.from_),
                "destination_state_id": ref("state", name, step.to),
            }
            where = f"workflow_templates/{top}/transitions/"
            shown = {"origin": step.from_, "destination": step.to}
            yield Thing("step", (name, step.label), where, shown, {"label": step.label, **ends})
            for asked in step.ask:
                shape = practice.fields.get(asked, SENT_TO)
                filled: dict[str, Any] = {
                    "label": shape.label,
                    "field_type": 1,
                    "required": asked in step.needs,
                    "lookup": PEOPLE if asked == "nguoi_xu_ly" else "",
                    "help_text": "Ví dụ 25/12/2026" if shape.kind == "date" else "",
                }
                below = f"{where}{ref('step', name, step.label)}/fields/"
                yield Thing("question", (name, step.label, asked), below, filled, {"name": asked})


def links(practice: Practice) -> Iterator[Link]:
    """Everything that is there or not."""
    for agency, one in practice.agencies.items():
        for name, kind in practice.types.items():
            label = type_label(practice, agency, name)
            at = f"document_types/{ref('type', label)}/metadata_types/"
            for field in kind.fields:
                body = {"metadata_type_id": ref("field", field), "required": field in kind.required}
                word = "required" if field in kind.required else "optional"
                yield Link("type's field", (label, field, word), _post(at, body))
            flow = f"workflow_templates/{ref('flow', kind.flow)}/document_types/add/"
            yield Link("flow's type", (kind.flow, label), _post(flow, {"document_type_id": ref("type", label)}))
        for post in practice.posts:
            label = post_label(practice, agency, post)
            for role in (label, practice.posts[post].label):
                body = {"group": ref("group", label)}
                yield Link("role's group", (role, label), _post(f"roles/{ref('role', role)}/groups/add/", body))
            for user in one.people.get(post, []):
                body = {"user": ref("user", user)}
                yield Link("group's person", (label, user), _post(f"groups/{ref('group', label)}/users/add/", body))
    yield from rights(practice)


def rights(practice: Practice) -> Iterator[Link]:
    """Who may do what with which: an agency's roles with its own types and cabinet, a post's with steps and fields."""
    for agency, one in practice.agencies.items():
        for post, shape in practice.posts.items():
            role = post_label(practice, agency, post)
            for name in practice.types:
                label = type_label(practice, agency, name)
                for may in [*practice.everyone, *([CREATE] if name in shape.creates else [])]:
                    yield right("type", (label,), role, may)
            yield right("cabinet", (one.symbol,), role, CABINET)
    for post, shape in practice.posts.items():
        for name, flow in practice.flows.items():
            yield right("flow", (name,), shape.label, SEE_FLOW)
            for step in flow.steps:
                if post in step.posts:
                    yield right("step", (name, step.label), shape.label, TAKE_STEP)
        for field in practice.fields:
            for may in FIELD_RIGHTS:
                yield right("field", (field,), shape.label, may)
        if shape.creates:
            yield right("source", (BY_HAND,), shape.label, CREATE)
        yield right("source", (BY_HAND,), shape.label, "documents.document_file_new")


MODELS = {
    "type": "documents/documenttype",
    "cabinet": "cabinets/cabinet",
    "flow": "document_states/workflow",
    "step": "document_states/workflowtransition",
    "field": "metadata/metadatatype",
    "source": "sources/source",
}
"""Mayan's name of what rights are given on."""


def right(kind: str, key: tuple[str, ...], role: str, may: str) -> Link:
    """A permission of a role on something; the list of rights it hangs in is made first where it is missing."""
    top = f"objects/{MODELS[kind]}/{ref(kind, *key)}/acls/"
    add = _post(f"{top}{ref('rights', kind, *key, role)}/permissions/add/", {"permission": may})
    return Link("right", (kind, " / ".join(key), role, may), add)


def rights_list(link: Link) -> Thing:
    """The list a right hangs in."""
    kind, key, role, _ = link.key
    at = str(link.add["path"]).partition("/acls/")[0] + "/acls/"
    return Thing("rights", (kind, key, role), at, {}, {"role_id": ref("role", role)})


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"method": "POST", "path": path, "body": body}


def in_force(practice: Practice) -> dict[str, Any]:
    """What Mayan's side (tram_practice) goes by: which type is whose, which step gives a number."""
    types = {}
    for agency, one in practice.agencies.items():
        for name, kind in practice.types.items():
            types[type_label(practice, agency, name)] = {
                "agency": agency,
                "direction": kind.direction,
                "flow": kind.flow,
                "book": kind.book,
                "number_field": kind.given.number,
                "date_field": kind.given.date,
                "mark": kind.mark.replace("{symbol}", one.symbol),
                "cabinet": [one.symbol, kind.label],
                "by_mail": kind.by_mail,
            }
    return {
        "types": types,
        "flows": {
            name: {step.label: {"number": step.number} for step in flow.steps} for name, flow in practice.flows.items()
        },
        "agencies": {
            code: {
                "name": practice.names[code],
                "groups": {post: post_label(practice, code, post) for post in practice.posts},
            }
            for code in practice.agencies
        },
        "remind_days": practice.remind_days,
    }
