"""A site file written the one way, so that the same site always gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tram.register.shape import BoardShape, ContactShape, HostShape, LinkShape, Shape, SiteShape

_ON_ONE_LINE = ("board", "functions")
_INSIDE: dict[str, type[Shape]] = {"board": BoardShape, "link": LinkShape, "contact": ContactShape, "hosts": HostShape}


def site_text(site: Mapping[str, Any]) -> str:
    """The YAML of a site, given as it stands in a file (a rate is text); what is None or empty is left out."""
    yaml = YAML(typ="rt", pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # a long name stays on its line
    yaml.allow_unicode = True
    out = StringIO()
    yaml.dump(_ordered(site, SiteShape), out)
    return out.getvalue()


def _ordered(data: Mapping[str, Any], shape: type[Shape]) -> CommentedMap:
    """The keys in the order of the shape; those it does not know at the end, for the check to refuse."""
    known = [field.alias or name for name, field in shape.model_fields.items()]
    ordered = CommentedMap()
    for key in sorted(data, key=lambda key: known.index(key) if key in known else len(known)):
        value = data[key]
        if isinstance(value, Mapping) and key in _INSIDE:
            value = _ordered(value, _INSIDE[key])
        elif isinstance(value, list):
            value = CommentedSeq(_ordered(item, _INSIDE[key]) if isinstance(item, Mapping) else item for item in value)
        if key in _ON_ONE_LINE and isinstance(value, CommentedMap | CommentedSeq):
            value.fa.set_flow_style()
        if value not in (None, []):
            ordered[key] = value
    return ordered
