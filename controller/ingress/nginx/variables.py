"""Texts with variables of nginx, as CEL says them.

Source: the variables of nginx' modules, and those that the template of ingress-nginx sets.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..expressions import quoted

#: Path and query, as the request has them.
REQUEST_URI = "request.path + (request.query == '' ? '' : '?' + request.query)"
#: The same behind scheme and host.
REQUEST_URL = f"request.scheme + '://' + request.host + {REQUEST_URI}"

_VARIABLES = {
    "args": "request.query",
    "best_http_host": "request.host",
    "document_uri": "request.path",
    "host": "request.host",
    "http_host": "request.host",
    "is_args": "(request.query == '' ? '' : '?')",
    "pass_access_scheme": "request.scheme",
    "query_string": "request.query",
    "remote_addr": "client.address",
    "remote_user": "identity.user",
    "request_method": "request.method",
    "request_uri": f"({REQUEST_URI})",
    "scheme": "request.scheme",
    "the_real_ip": "client.address",
    "uri": "request.path",
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class Said(NamedTuple):
    """A text that nginx fills in.

    Attributes:
        text: as it is, or a CEL expression that comes to it.
        computed: whether it is an expression.
    """

    text: str
    computed: bool


def said(text: str) -> Said | None:
    """What a text comes to for a request; None: it has a variable that nothing here is like."""
    parts: list[str] = []
    end = 0
    for found in _VARIABLE.finditer(text):
        part = variable(found[1] or found[2])
        if part is None:
            return None
        parts += [quoted(text[end : found.start()])] if found.start() > end else []
        parts.append(part)
        end = found.end()
    rest = text[end:]
    if "$" in rest:
        return None
    if not parts:
        return Said(rest, computed=False)
    parts += [quoted(rest)] if rest else []
    return Said(" + ".join(parts), computed=True)


def variable(name: str) -> str | None:
    """A variable as an expression that is a text; None: there is nothing like it."""
    if name in _VARIABLES:
        return _VARIABLES[name]
    field = name.removeprefix("http_")
    if field == name:
        return None
    there = quoted(field.replace("_", "-"))
    return f"({there} in request.headers ? request.headers[{there}][0] : '')"
