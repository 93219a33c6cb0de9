"""The page a demo ends with: picture, table of sites × services × proof, and where to log in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tram.proof.map import province_svg
from tram.proof.results import Proof, verdict
from tram.register import Province

_templates = Environment(
    loader=PackageLoader("tram.proof"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
STATES = {True: "ok", False: "bad", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Webmail:
    """Where a person can log in and look; the password itself is never shown, only where it is kept."""

    url: str
    user: str
    password_file: str
    tunnel: str


def render(
    province: Province,
    proofs: Sequence[Proof],
    *,
    when: datetime,
    took: timedelta,
    changed: int,
    webmail: Webmail | None,
) -> str:
    """The page as HTML, with nothing outside itself. A site without any proof shows as unknown, never as good."""
    rows = [
        {
            "site": site.name,
            "service": service,
            "proofs": [{"text": p.proof, "state": STATES[p.ok]} for p in _of(proofs, site.code, service)],
        }
        for site in province.sites
        for service in dict.fromkeys(p.service for p in proofs if p.site == site.code)
    ]
    verdicts = {
        site.code: STATES[verdict([proof for proof in proofs if proof.site == site.code])] for site in province.sites
    }
    return _templates.get_template("page.html.j2").render(
        province=province,
        rows=rows,
        when=when,
        minutes=round(took.total_seconds() / 60, 1),
        changed=changed,
        picture=Markup(province_svg(province, verdicts)),  # noqa: S704 (made by our own autoescaping template)
        webmail=webmail,
    )


def _of(proofs: Sequence[Proof], site: str, service: str) -> list[Proof]:
    return [proof for proof in proofs if proof.site == site and proof.service == service]
