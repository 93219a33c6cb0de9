"""A picture of the province: hub, sites and their lines, as SVG, from the register alone."""

from __future__ import annotations

import math

from jinja2 import Environment, PackageLoader, StrictUndefined

from tram.core.units import format_rate, format_share, format_span
from tram.register import Province, Site

_templates = Environment(
    loader=PackageLoader("tram.proof"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _line(site: Site) -> dict[str, str]:
    if site.link is None:
        return {}
    return {
        "kind": site.link.link_class,
        "rates": f"↓ {format_rate(site.link.down_bps)} ↑ {format_rate(site.link.up_bps)}",
        "quality": f"RTT {format_span(site.link.rtt)} · {format_share(site.link.loss)}",
    }


def _places(province: Province) -> dict[str, tuple[int, int]]:
    """Where each site stands, in the picture's units; one without a place on the board goes on a ring."""
    places = {}
    for number, site in enumerate(province.sites):
        angle = 2 * math.pi * number / len(province.sites)
        ring = (50 + 40 * math.sin(angle), 50 - 35 * math.cos(angle)) if not site.is_hub else (50, 50)
        x, y = (site.board.x, site.board.y) if site.board else ring
        places[site.code] = (round(x * 9.6), round(y * 5.2))
    return places


def province_svg(province: Province, verdicts: dict[str, str] | None = None) -> str:
    """The province as an SVG document, 960 wide, as high as its sites need.

    `verdicts` colours a site by its code: ok, bad or unknown.
    """
    places = _places(province)
    sites = [
        {
            "code": site.code,
            "name": site.name,
            "x": places[site.code][0],
            "y": places[site.code][1],
            "hub": site.is_hub,
            "line": _line(site),
            "hosts": [
                {"name": host.name, "address": str(host.address), "what": " ".join(host.functions), "suite": host.suite}
                for host in site.hosts
            ],
            "state": (verdicts or {}).get(site.code, ""),
        }
        for site in province.sites
    ]
    hub = next(site for site in sites if site["hub"])
    return _templates.get_template("province.svg.j2").render(sites=sites, hub=hub, province=province)
