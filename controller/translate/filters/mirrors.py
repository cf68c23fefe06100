"""`mirror` of an HTTPFilter: copies that have another host, or no body."""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ...api.extension import MirrorFilter
from ..unsupported import Unsupported
from ..values import authority_error
from . import standard
from .context import FilterContext


def mirror(part: MirrorFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `RequestMirror`, and what its copies have in place of what their requests have."""
    hostname = part.hostname.lower()
    error = authority_error(hostname)
    if error is not None:
        raise Unsupported(f"{field}.hostname", f"{part.hostname!r} {error}", "use a name such as copies.example.com")
    if part.body not in {"Copy", "None"}:
        raise Unsupported(f"{field}.body", f"{part.body} is not known", "use Copy or None")
    made = (item for item in standard.mirror(part, field, context) if isinstance(item, ir.Mirror))
    return tuple(msgspec.structs.replace(item, hostname=hostname, without_body=part.body == "None") for item in made)
