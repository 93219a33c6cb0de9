"""What an instance of Mayan has, in the practice's terms: two questions, each a whole tree."""

from __future__ import annotations

from typing import Any

from tram.core.errors import TramError
from tram.documents.things import Door, Has, Key, Request, ref
from tram.documents.wanted import MODELS


class MayanRefused(TramError):
    """Mayan refused a request."""


def _acls(kind: str) -> dict[str, Any]:
    top = f"objects/{MODELS[kind]}"
    below = {"permissions": {"path": f"{top}/{{object_id}}/acls/{{id}}/permissions/"}}
    return {"acls": {"path": f"{top}/{{id}}/acls/", "each": below}}


def _walk(path: str, each: dict[str, Any] | None = None) -> Request:
    return {"method": "WALK", "path": path, "each": each or {}}


_STEPS = {
    "path": "workflow_templates/{id}/transitions/",
    "each": {
        "fields": {"path": "workflow_templates/{workflow_template_id}/transitions/{id}/fields/"},
        **_acls("step"),
    },
}
_TREES = {
    "fields": _walk("metadata_types/", _acls("field")),
    "types": _walk("document_types/", {"fields": {"path": "document_types/{id}/metadata_types/"}, **_acls("type")}),
    "flows": _walk(
        "workflow_templates/",
        {
            "types": {"path": "workflow_templates/{id}/document_types/"},
            "states": {"path": "workflow_templates/{id}/states/"},
            "steps": _STEPS,
            **_acls("flow"),
        },
    ),
    "roles": _walk("roles/", {"groups": {"path": "roles/{id}/groups/"}}),
    "groups": _walk("groups/", {"users": {"path": "groups/{id}/users/"}}),
    "users": _walk("users/"),
    "cabinets": _walk("cabinets/", _acls("cabinet")),
    "sources": _walk("sources/", _acls("source")),
    "practice": {"method": "GET", "path": "tram/practice/"},
    "report": {"method": "GET", "path": "tram/report/"},
}


def answered(door: Door, requests: list[Request], answers: list[dict[str, Any]], done: str = "") -> None:
    """Raises: MayanRefused with the first request that was refused, and what Mayan said."""
    last = answers[-1]
    if 200 <= int(last["status"]) < 300 and len(answers) == len(requests):
        return
    asked = requests[len(answers) - 1]
    raise MayanRefused(
        f"{door.name}: {asked['method']} {asked['path']}: {last['status']} {str(last['body'])[:300]}{done}",
        hint="what was done before it stays; correct this and run it again"
        if done
        else "does the host have this version of the role? playbooks/documents.yml",
    )


class _Reading:
    """Things and links as they are found."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.things: dict[tuple[str, Key], dict[str, Any]] = {}
        self.links: dict[tuple[str, Key], Request | None] = {}

    def thing(self, kind: str, key: Key, item: dict[str, Any]) -> None:
        self.ids[ref(kind, *key)] = item["id"]
        self.things[kind, key] = item
        for acl in item.get("acls", []):
            path = f"objects/{MODELS[kind]}/{item['id']}/acls/{acl['id']}/permissions/remove/"
            role = acl["role"]["label"]
            self.ids[ref("rights", kind, *key, role)] = acl["id"]
            for may in acl["permissions"]:
                gone = {"method": "POST", "path": path, "body": {"permission": may["pk"]}}
                self.links["right", (kind, " / ".join(key), role, may["pk"])] = gone

    def flow(self, item: dict[str, Any]) -> None:
        name = item["internal_name"].replace("_", "-")
        self.thing("flow", (name,), item)
        for state in item["states"]:
            self.thing("state", (name, state["label"]), state)
        for step in item["steps"]:
            ends = {"origin": step["origin_state"]["label"], "destination": step["destination_state"]["label"]}
            self.thing("step", (name, step["label"]), {**step, **ends})
            for asked in step["fields"]:
                self.thing("question", (name, step["label"], asked["name"]), asked)
        for kind in item["types"]:
            self.links["flow's type", (name, kind["label"])] = None  # taking it away would forget where documents are

    def type(self, item: dict[str, Any]) -> None:
        label = item["label"]
        self.thing("type", (label,), item)
        for field in item["fields"]:
            gone = {"method": "DELETE", "path": f"document_types/{item['id']}/metadata_types/{field['id']}/"}
            word = "required" if field["required"] else "optional"
            self.links["type's field", (label, field["metadata_type"]["name"], word)] = gone

    def members(self, kind: str, path: str, label: str, names: dict[str, int]) -> None:
        """`path` takes one away; the body's only word is the last of the kind's members."""
        word = "group" if kind == "role's group" else "user"
        for name, number in names.items():
            self.links[kind, (label, name)] = {"method": "POST", "path": path, "body": {word: number}}


def read(door: Door) -> Has:
    """Ask for all of it in one go.

    Raises: MayanRefused; what the door raises when the host or Mayan is not reached.
    """
    requests = [*_TREES.values()]
    answers = door.ask(requests)
    answered(door, requests, answers)
    trees = {name: answer["body"] for name, answer in zip(_TREES, answers, strict=True)}
    found = _Reading()
    for item in trees["fields"]:
        found.thing("field", (item["name"],), item)
    for item in trees["types"]:
        found.type(item)
    for item in trees["flows"]:
        found.flow(item)
    for item in trees["roles"]:
        found.thing("role", (item["label"],), item)
        names = {one["name"]: one["id"] for one in item["groups"]}
        found.members("role's group", f"roles/{item['id']}/groups/remove/", item["label"], names)
    for item in trees["groups"]:
        found.thing("group", (item["name"],), item)
        names = {one["username"]: one["id"] for one in item["users"]}
        found.members("group's person", f"groups/{item['id']}/users/remove/", item["name"], names)
    for item in trees["users"]:
        found.thing("user", (item["username"],), item)
    for item in trees["cabinets"]:
        found.thing("cabinet", tuple(part.strip() for part in item["full_path"].split(" / ")), item)
    for item in trees["sources"]:
        found.thing("source", (item["backend_path"].rpartition(".")[2],), item)
    return Has(found.ids, found.things, found.links, trees["practice"], trees["report"]["open"])
