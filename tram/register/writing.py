"""A site file written the one way, so that the same site always gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tram.register.shape import HostShape, SiteShape

_ON_ONE_LINE = ("board", "functions")


def site_text(site: Mapping[str, Any]) -> str:
    """The YAML of a site given as plain data (as it stands in a file, so rates are text); absent values are left out."""
    yaml = YAML(typ="rt", pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # a long name stays on its line
    yaml.allow_unicode = True
    out = StringIO()
    yaml.dump(_ordered(site, SiteShape), out)
    return out.getvalue()


def _ordered(data: Mapping[str, Any], shape: type[SiteShape] | type[HostShape]) -> CommentedMap:
    """The keys in the order of the documentation; what the shape does not know keeps its place at the end."""
    known = [field.alias or name for name, field in shape.model_fields.items()]
    ordered = CommentedMap()
    for key in sorted(data, key=lambda key: known.index(key) if key in known else len(known)):
        value = data[key]
        if value is None:
            continue
        if key == "hosts":
            value = [_ordered(host, HostShape) for host in value]
        elif key in _ON_ONE_LINE:
            value = CommentedMap(value) if isinstance(value, Mapping) else CommentedSeq(value)
            value.fa.set_flow_style()
        ordered[key] = value
    return ordered
