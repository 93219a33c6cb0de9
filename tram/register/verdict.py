"""Pydantic's findings in an operator's words, at the line where the value stands."""

from __future__ import annotations

import types
import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tram.core.errors import BadInput
from tram.register.document import Document
from tram.register.problem import Loc, Problem, did_you_mean
from tram.register.shape import Shape

S = TypeVar("S", bound=Shape)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": 'text such as "0.5 %"',
    "time_delta_type": 'text such as "60 ms"',
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "`key: value` lines",
    "model_type": "`key: value` lines",
    "is_instance_of": "text",
    "ip_v4_address": "text",
    "ip_v4_network": "text",
}


def judge(document: Document, shape: type[S]) -> tuple[S | None, list[Problem]]:
    """Validate one file's data; gives the typed value, or None and every problem."""
    try:
        return shape.model_validate(document.data), []
    except ValidationError as error:
        return None, [_problem(document, shape, detail) for detail in error.errors(include_url=False)]


def _problem(document: Document, shape: type[Shape], detail: ErrorDetails) -> Problem:
    loc: Loc = tuple(part for part in detail["loc"] if part != "[key]")
    key, kind = _shown(loc), detail["type"]
    if kind == "missing":
        field = _fields(shape, loc[:-1])[str(loc[-1])]
        return document.problem(loc, f'"{key}" is missing', field.description or "")
    if kind == "extra_forbidden":
        return document.problem(loc, f'unknown key "{key}"', did_you_mean(str(loc[-1]), [*_fields(shape, loc[:-1])]))
    given, context = detail["input"], detail.get("ctx", {})
    if kind in ("value_error",) and isinstance(cause := context.get("error"), BadInput):
        return document.problem(loc, f'"{key}": {cause.message}', cause.hint)
    if kind == "literal_error":
        known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return document.problem(loc, f'"{key}": {_quoted(given)} is not known', did_you_mean(str(given), known))
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if kind == "greater_than_equal" else f"at most {context['le']}"
        return document.problem(loc, f'"{key}" must be {bound}, not {given}', _description(shape, loc))
    if kind == "too_short":
        return document.problem(loc, f'"{key}" is empty', _description(shape, loc))
    if kind in _WANTED:
        return document.problem(
            loc, f'"{key}" must be {_wanted(shape, loc, kind)}, not {_kind(given)}', _description(shape, loc)
        )
    return document.problem(loc, f'"{key}": {detail["msg"]}', _description(shape, loc))


def _wanted(shape: type[Shape], loc: Loc, kind: str) -> str:
    """What the field wants in the file, which for a rate (an int inside) is text."""
    description = _description(shape, loc)
    return "text" if kind == "int_type" and "bit/s" in description else _WANTED[kind]


def _fields(shape: type[Shape], loc: Loc) -> dict[str, Any]:
    """The known keys, with their pydantic fields, of the mapping at `loc`."""
    for part in loc:
        if isinstance(part, str) and part in _by_key(shape):
            inner = _shape_in(_by_key(shape)[part].annotation)
            if inner is None:
                return {}
            shape = inner
    return _by_key(shape)


def _by_key(shape: type[Shape]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in shape.model_fields.items()}


def _shape_in(annotation: Any) -> type[Shape] | None:
    """The model inside `X | None`, `list[X]` or `dict[str, X]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) and issubclass(annotation, Shape) else None
    return next((found for part in typing.get_args(annotation) if (found := _shape_in(part))), None)


def _description(shape: type[Shape], loc: Loc) -> str:
    keys = [index for index, part in enumerate(loc) if isinstance(part, str)]
    for index in reversed(keys):
        field = _fields(shape, loc[:index]).get(str(loc[index]))
        if field is not None:
            return field.description or ""
    return ""


def _shown(loc: Loc) -> str:
    """hosts[0].name counts from 1 for people: hosts 1 name."""
    shown = ""
    for part in loc:
        shown += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "`key: value` lines"
    if isinstance(value, list):
        return "a list"
    return (
        f"the text {_quoted(value)}"
        if isinstance(value, str)
        else f"{'true' if value is True else 'false' if value is False else value}"
    )


def _quoted(value: Any) -> str:
    return f'"{value}"'
