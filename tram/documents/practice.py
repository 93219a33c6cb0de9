"""The practice: types, fields, flows and posts from the role's files, agencies and people from the site's file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from tram.core.errors import BadInput
from tram.register.document import Document, read_document
from tram.register.model import Province
from tram.register.problem import Invalid, Problem, did_you_mean
from tram.register.shape import Shape
from tram.register.verdict import judge

FOLDER = Path(__file__).resolve().parents[2] / "roles/documents/files/practice"
"""The practice every instance starts from."""

S = TypeVar("S", bound=Shape)
Names = list[str]


class PracticeInvalid(Invalid):
    """A practice with errors."""

    what_vi = "Nghiệp vụ văn thư"
    what_en = "document practice"


class FieldShape(Shape):
    """One thing that is written down of a document."""

    label: str
    kind: Literal["text", "date", "choice"] = "text"
    choices: Names = Field(default_factory=list)
    default: str = ""


class FieldsShape(Shape):
    """fields.yml"""

    fields: dict[str, FieldShape]


class GivenShape(Shape):
    """The fields that the system fills in when it gives a number."""

    number: str
    date: str


class TypeShape(Shape):
    """One type of document."""

    label: str
    direction: Literal["in", "out"]
    flow: str
    book: str
    given: GivenShape
    mark: str = ""
    fields: Names
    required: Names = Field(default_factory=list)
    by_mail: bool = False
    keep_years: Annotated[int, Field(ge=1, le=100)] | None = None
    bin_days: Annotated[int, Field(ge=1, le=3650)] = 90


class TypesShape(Shape):
    """types.yml"""

    types: dict[str, TypeShape]


class StepShape(Shape):
    """One step of a flow."""

    label: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    posts: Annotated[Names, Field(min_length=1)]
    number: bool = False
    ask: Names = Field(default_factory=list)
    needs: Names = Field(default_factory=list)


class FlowShape(Shape):
    """The way of a document."""

    label: str
    states: Annotated[Names, Field(min_length=2)]
    steps: list[StepShape]


class FlowsShape(Shape):
    """flows.yml"""

    remind_days: Annotated[int, Field(ge=0, le=30)] = 2
    flows: dict[str, FlowShape]


class PostShape(Shape):
    """What somebody does in an agency."""

    label: str
    creates: Names = Field(default_factory=list)


class PostsShape(Shape):
    """posts.yml"""

    everyone: Names
    posts: dict[str, PostShape]


class AgencyShape(Shape):
    """An agency that an instance serves."""

    symbol: str
    people: dict[str, Names] = Field(default_factory=dict)


class AgenciesShape(Shape):
    """practice/SITE.yml of a province."""

    agencies: Annotated[dict[str, AgencyShape], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Practice:
    """All of it, checked; `names` are the agencies' own, from the register."""

    fields: dict[str, FieldShape]
    types: dict[str, TypeShape]
    flows: dict[str, FlowShape]
    posts: dict[str, PostShape]
    everyone: Names
    agencies: dict[str, AgencyShape]
    names: dict[str, str]
    remind_days: int


def site_file(province: Province, site: str) -> Path:
    """Where a site's agencies and people are written down."""
    return province.folder / "practice" / f"{site}.yml"


def read_practice(province: Province, site: str, folder: Path = FOLDER) -> Practice:
    """Read and check everything.

    Raises: PracticeInvalid with every fault of every file; BadInput when the site has no file.
    """
    mine = site_file(province, site)
    if not mine.exists():
        raise BadInput(
            f"{mine} is not there: nobody said which agencies {site} keeps documents for",
            hint="write it: docs/contracts/documents.md has an example",
        )
    problems: list[Problem] = []
    fields = _read(folder / "fields.yml", FieldsShape, problems)
    types = _read(folder / "types.yml", TypesShape, problems)
    flows = _read(folder / "flows.yml", FlowsShape, problems)
    posts = _read(folder / "posts.yml", PostsShape, problems)
    agencies = _read(mine, AgenciesShape, problems)
    if fields and types and flows and posts and agencies:
        problems += [
            *_wrong_types(types[0], types[1].types, fields[1].fields, flows[1].flows),
            *_wrong_flows(flows[0], flows[1].flows, fields[1].fields, posts[1].posts),
            *_wrong_posts(posts[0], posts[1].posts, types[1].types),
            *_wrong_agencies(agencies[0], agencies[1].agencies, posts[1].posts, province),
        ]
    if problems or not (fields and types and flows and posts and agencies):
        raise PracticeInvalid(problems)
    names = {one.code: one.name for one in province.sites}
    return Practice(
        fields=fields[1].fields,
        types=types[1].types,
        flows=flows[1].flows,
        posts=posts[1].posts,
        everyone=posts[1].everyone,
        agencies=agencies[1].agencies,
        names={code: names[code] for code in agencies[1].agencies},
        remind_days=flows[1].remind_days,
    )


def _read(path: Path, shape: type[S], problems: list[Problem]) -> tuple[Document, S] | None:
    document, found = read_document(path, path.name if path.parent == FOLDER else f"{path.parent.name}/{path.name}")
    problems += found
    if found:
        return None
    value, wrong = judge(document, shape)
    problems += wrong
    return None if value is None else (document, value)


def _unknown(
    document: Document, loc: tuple[str | int, ...], words: Names, known: Names, what: str
) -> Iterator[Problem]:
    for word in words:
        if word not in known:
            yield document.problem(loc, f"{what} “{word}” is not defined", did_you_mean(word, known))


def _wrong_types(
    document: Document, types: dict[str, TypeShape], fields: dict[str, FieldShape], flows: dict[str, FlowShape]
) -> Iterator[Problem]:
    for name, one in types.items():
        at = ("types", name)
        yield from _unknown(document, (*at, "flow"), [one.flow], [*flows], "the flow")
        yield from _unknown(document, (*at, "fields"), one.fields, [*fields], "the field")
        own = [*one.required, one.given.number, one.given.date]
        yield from _unknown(document, (*at, "fields"), own, one.fields, "among this type's fields")
        if re.search(r"[{}]", re.sub(r"\{(number|symbol|year)\}", "", one.mark)):
            yield document.problem((*at, "mark"), f"“{one.mark}” cannot be filled in", "use {number} {symbol} {year}")


def _wrong_flows(
    document: Document, flows: dict[str, FlowShape], fields: dict[str, FieldShape], posts: dict[str, PostShape]
) -> Iterator[Problem]:
    for name, flow in flows.items():
        for place, step in enumerate(flow.steps):
            at = ("flows", name, "steps", place)
            yield from _unknown(document, at, [step.from_, step.to], flow.states, "the state")
            yield from _unknown(document, at, step.posts, [*posts], "the post")
            yield from _unknown(document, at, step.ask, [*fields, "noi_nhan"], "the field")
            yield from _unknown(document, at, step.needs, step.ask, "among what is asked")
        for state in flow.states[1:]:
            if state not in {step.to for step in flow.steps}:
                yield document.problem(("flows", name), f"no step leads to “{state}”", "add a step, or drop the state")


def _wrong_posts(document: Document, posts: dict[str, PostShape], types: dict[str, TypeShape]) -> Iterator[Problem]:
    for name, post in posts.items():
        yield from _unknown(document, ("posts", name, "creates"), post.creates, [*types], "the type")


def _wrong_agencies(
    document: Document, agencies: dict[str, AgencyShape], posts: dict[str, PostShape], province: Province
) -> Iterator[Problem]:
    symbols: dict[str, str] = {}
    for code, agency in agencies.items():
        at = ("agencies", code)
        yield from _unknown(document, at, [code], [site.code for site in province.sites], "in the register, the agency")
        for post in agency.people:
            yield from _unknown(document, (*at, "people", post), [post], [*posts], "the post")
        if not re.fullmatch(r"[\w./-]+( [\w./-]+)*", agency.symbol):
            text = f"“{agency.symbol}” cannot stand in a number"
            yield document.problem((*at, "symbol"), text, "letters, digits, dots, dashes, slashes")
        if agency.symbol in symbols:
            yield document.problem(
                (*at, "symbol"), f"“{agency.symbol}” is {symbols[agency.symbol]}'s already", "each has its own"
            )
        symbols[agency.symbol] = code
