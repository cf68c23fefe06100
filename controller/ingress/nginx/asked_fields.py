"""What a service that is asked is told: what nginx always says, and what annotations and settings add."""

from __future__ import annotations

from .. import values
from ..features import Field
from ..reading import Reading
from ..settings import Value
from .directives import Draft, parse, take
from .field_maps import fields_of_map
from .variables import REQUEST_URI, REQUEST_URL, said

Fields = tuple[Field, ...]

_ALWAYS: Fields = (
    ("X-Original-URL", REQUEST_URL),
    ("X-Original-Method", "request.method"),
    ("X-Auth-Request-Redirect", REQUEST_URI),
)


def asked_fields(
    reading: Reading, redirect: Value | None, *, own: bool = True
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Fields with a value, and fields with an expression.

    Args:
        reading: of the Ingress.
        redirect: what `X-Auth-Request-Redirect` is to say; None: path and query of the request.
        own: the Ingress itself names the service, so its other annotations count.
    """
    plain: dict[str, Field] = {}
    computed: dict[str, Field] = {name.lower(): (name, text) for name, text in _ALWAYS}

    def add(name: str, value: str) -> bool:
        filled = said(value)
        if filled is None or not (filled.computed or values.is_field_value(value)):
            return False
        folded = name.lower()
        plain.pop(folded, None)
        computed.pop(folded, None)
        (computed if filled.computed else plain)[folded] = (name, filled.text)
        return True

    if redirect is not None and not add("X-Auth-Request-Redirect", redirect.text):
        message = "it has a variable of nginx that nothing here is like: path and query are told"
        reading.ledger.tell(redirect.cause, "no-equivalent", message, "use $request_uri, $scheme, $host, $http_NAME")
    given = reading.value("auth-proxy-set-headers") if own else None
    for name, value in fields_of_map(reading, given) if given is not None else ():
        if not add(name, value):
            message = f"{name} has a variable of nginx that nothing here is like: the service is not told it"
            reading.tell("auth-proxy-set-headers", "no-equivalent", message, "use $host, $scheme, $http_NAME")
    if own:
        _of_snippet(reading, plain, computed)
    return tuple(plain.values()), tuple(computed.values())


def _of_snippet(reading: Reading, plain: dict[str, Field], computed: dict[str, Field]) -> None:
    """`proxy_set_header` of `auth-snippet`, where snippets are honoured; all else is told."""
    found = reading.value("auth-snippet")
    if found is None:
        return
    settings = reading.settings
    critical = settings.value("annotations-risk-level").text == "Critical"
    if not (critical and settings.flag("allow-snippet-annotations")):
        message = "configuration of nginx is not converted: it is off there, or costs the whole Ingress"
        reading.tell("auth-snippet", "no-equivalent", message, "AccessPolicy `external.http.setHeaders[]`")
        return
    draft = Draft(found.cause, of_server=False, expressible=reading.is_expressible)
    directives = parse(found.text)
    left = [item.name for item in directives or () if item.name != "proxy_set_header" or not take(item, draft)]
    if directives is None or left:
        message = f"{', '.join(dict.fromkeys(left)) or 'all of it'}: not converted"
        reading.tell("auth-snippet", "no-equivalent", message, "have the service do without it")
    else:
        reading.tell("auth-snippet", "converted-with-difference", "AccessPolicy `external.http.setHeaders[]`")
    for name in (*draft.requests, *draft.requests_computed):
        plain.pop(name, None)
        computed.pop(name, None)
    plain |= draft.requests
    computed |= draft.requests_computed
