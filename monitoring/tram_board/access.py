"""Who may see what: an operator everything, a viewer one site and what is below it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tram.register.model import Province, Site

OPERATOR, VIEWER = "operator", "viewer"


@dataclass(frozen=True, slots=True)
class Person:
    """Who is logged in. `site` is the top of what a viewer sees; None: everything (operators). `also`: further tops."""

    name: str
    role: str
    site: str | None = None
    also: tuple[str, ...] = ()


def below(sites: Iterable[Site], top: str) -> frozenset[str]:
    """A site and everything that has it above, by code."""
    parents = {site.code: site.parent for site in sites}
    if top not in parents:
        return frozenset()

    def is_below(code: str | None) -> bool:
        # Parents lead to the hub, the register's reader has seen to that: this ends.
        while code is not None and code != top:
            code = parents.get(code)
        return code == top

    return frozenset(code for code in parents if is_below(code))


def visible(province: Province, person: Person) -> frozenset[str]:
    """The codes of the sites a person may see. A viewer of a site that is gone from the register sees nothing."""
    if person.role == OPERATOR:
        return frozenset(site.code for site in province.sites)
    tops = (person.site, *person.also) if person.site else ()
    return frozenset(code for top in tops for code in below(province.sites, top))
