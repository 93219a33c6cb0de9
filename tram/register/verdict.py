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
    key, kind, given, context = shown(loc), detail["type"], detail["input"], detail.get("ctx", {})
    hint = _description(shape, loc)
    cause = context.get("error")
    if kind == "missing":
        message = f'"{key}" is missing'
    elif kind == "extra_forbidden":
        message, hint = f'unknown key "{key}"', did_you_mean(str(loc[-1]), [*_fields(shape, loc[:-1])])
    elif isinstance(cause, BadInput):
        colon = ":" if cause.message.startswith('"') else ""
        message, hint = f'"{key}"{colon} {cause.message}', cause.hint
    elif kind == "literal_error":
        known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        message, hint = f'"{key}": "{given}" is not known', did_you_mean(str(given), known)
    elif kind == "greater_than_equal":
        message = f'"{key}" must be at least {context["ge"]}, not {given}'
    elif kind == "less_than_equal":
        message = f'"{key}" must be at most {context["le"]}, not {given}'
    elif kind == "too_short":
        message = f'"{key}" is empty'
    elif kind in _WANTED:
        message = f'"{key}" must be {_WANTED[kind]}, not {_kind(given)}'
    else:
        message = f'"{key}": {detail["msg"]}'
    return document.problem(loc, message, hint)


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


def shown(loc: Loc) -> str:
    """The place in words; people count from 1: hosts[1].name is the first host's."""
    words = ""
    for part in loc:
        words += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if words else part
    return words


def _kind(value: Any) -> str:
    """What was given, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "`key: value` lines"
    if isinstance(value, list):
        return "a list"
    return f'the text "{value}"' if isinstance(value, str) else str(value)
