"""Texts with variables of nginx, as CEL says them.

Source: the variables of nginx' modules, and those that the template of ingress-nginx sets.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...api.ingress import Ingress
from ..expressions import CLIENT, PORT, SCHEME, quoted

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
    "pass_access_scheme": SCHEME,
    "query_string": "request.query",
    "pass_port": f"({PORT})",
    "remote_addr": CLIENT,
    "remote_user": "identity.user",
    "request_method": "request.method",
    "request_uri": f"({REQUEST_URI})",
    "scheme": SCHEME,
    "the_real_ip": CLIENT,
    "uri": "request.path",
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
#: What the template sets for each location: the same for all of an Ingress that has one backend.
_OF_INGRESSES = re.compile(
    r"\$(?:\{(namespace|ingress_name|service_(?:name|port))\}|(namespace|ingress_name|service_(?:name|port))\b)"
)


class Said(NamedTuple):
    """A text that nginx fills in.

    Attributes:
        text: as it is, or a CEL expression that comes to it.
        computed: whether it is an expression.
    """

    text: str
    computed: bool


def of_ingress(text: str, item: Ingress) -> str:
    """A text with what the template says of the Ingress and its Service; several Services have no common name."""
    known = {"namespace": item.namespace, "ingress_name": item.name}
    paths = [path.backend for rule in item.spec.rules for path in (rule.http.paths if rule.http is not None else ())]
    services = {service for path in paths if (service := path.of_service()) is not None}
    if item.default_backend is not None:
        services.add(item.default_backend)
    if len(services) == 1:
        service = services.pop()
        known |= {"service_name": service.name, "service_port": service.port.name or str(service.port.number)}
    return _OF_INGRESSES.sub(lambda found: known.get(found[1] or found[2], found[0]), text)


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
