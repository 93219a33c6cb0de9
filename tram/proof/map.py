"""A picture of the province: hub, sites and their lines, as SVG, from the register alone."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from tram.core.units import format_rate, format_share, format_span
from tram.register import Province, Site

_templates = Environment(
    loader=PackageLoader("tram.proof"), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def _line(site: Site) -> dict[str, str]:
    if site.link is None:
        return {}
    return {
        "kind": site.link.link_class,
        "rates": f"↓ {format_rate(site.link.down_bps)} ↑ {format_rate(site.link.up_bps)}",
        "quality": f"RTT {format_span(site.link.rtt)} · {format_share(site.link.loss)}",
    }


def province_svg(province: Province, verdicts: dict[str, str] | None = None) -> str:
    """The province as an SVG document, 960 × 520. `verdicts` colours a site by its code: ok, bad or unknown."""
    sites = [
        {
            "code": site.code,
            "name": site.name,
            "x": round(site.board.x * 9.6),
            "y": round(site.board.y * 5.2),
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
