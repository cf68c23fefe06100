"""Annotations of Ingresses: where they are served, and how paths match."""

from __future__ import annotations

from collections.abc import Iterator

from ..features import Closed, ExactPaths, Feature, HttpsRedirect, NoAccessLog
from ..reading import Reading

_POINTS, _TLS, _MATCHER = "router.entrypoints", "router.tls", "router.pathmatcher"
_OPTIONS, _LOG = "router.tls.options", "router.observability.accesslogs"
#: Entry points as charts name them, by their port.
_PLAIN, _SECURE = "web", "websecure"


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    points = reading.words(_POINTS)
    others = sorted({*points} - {_PLAIN, _SECURE})
    if others:
        message = f"{', '.join(others)}: not served there; where there is no other, its paths answer 500"
        reading.tell(_POINTS, "no-equivalent", message, "add listeners to the Gateway")
    if others and not {*points} & {_PLAIN, _SECURE}:
        # It may be one that is not to be reached from outside.
        yield Closed(causes=reading.causes(_POINTS), reason="another entry point")
    elif points == (_SECURE,):
        message = "requests of plain HTTP are sent to https; Traefik answers them 404 where the entry point does not"
        reading.tell(_POINTS, "converted-with-difference", message)
    if (_SECURE in points and _PLAIN not in points) or reading.flag(_TLS):
        # Nothing is to be served in plain text: 308, as a redirection of the entry point has it for other methods.
        yield HttpsRedirect(causes=reading.causes(_POINTS, _TLS), status=308, forced=True)
    elif points == (_PLAIN,) and reading.ingress.spec.tls:
        message = "the host is served on port 443 too, as it has a certificate"
        reading.tell(_POINTS, "converted-with-difference", message, "take `tls` out where that is not meant")
    matcher = reading.value(_MATCHER)
    if matcher is not None and matcher.text == "Path":
        yield ExactPaths(causes=(matcher.cause,), types=("ImplementationSpecific", ""))
    elif matcher is not None and matcher.text != "PathPrefix":
        message = f"paths by {matcher.text}: its paths answer 500"
        reading.tell(_MATCHER, "no-equivalent", message, "write an HTTPRoute with `RegularExpression`")
        yield Closed(causes=(matcher.cause,), reason="a matcher that cannot be said")
    options = reading.value(_OPTIONS)
    if options is not None:
        yield Closed(causes=(options.cause,), reason="TLSOptions are not read")
    if not reading.flag(_LOG, default=True):
        yield NoAccessLog(causes=reading.causes(_LOG))
