"""A service that says who may.

Source: `internal/ingress/annotations/authreq`, `authreqglobal`; the location of the question in `nginx.tmpl`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.words import listed

from ... import values
from ...features import Closed, ExternalAuth, Feature, OpenPaths
from ...losses import Cause
from ...reading import Reading
from ..asked_fields import asked_fields

_NAMES = (
    "auth-method",
    "auth-proxy-set-headers",
    "auth-request-redirect",
    "auth-snippet",
    "auth-response-headers",
    "auth-signin",
    "auth-signin-redirect-param",
    "auth-always-set-cookie",
    "auth-cache-key",
    "auth-cache-duration",
    "auth-keepalive",
    "auth-keepalive-requests",
    "auth-keepalive-timeout",
    "auth-keepalive-share-vars",
)
#: Settings besides the URL.
_OF_ALL = (
    "global-auth-method",
    "global-auth-request-redirect",
    "global-auth-response-headers",
    "global-auth-signin",
    "global-auth-signin-redirect-param",
    "global-auth-always-set-cookie",
)
#: Fields of a connection, of framing, and the host.
_MANAGED = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Statuses whose time in `auth-cache-duration` counts: those that let a request on.
_ALLOWED = ("200", "202")
#: Seconds that an answer is remembered at most (AccessPolicy).
_MAX_CACHE = 300
#: Seconds that a connection to a service is kept where what is written is no number.
_KEEPALIVE = 60
#: How nginx asks where nobody says otherwise: a question is a request of its own.
_METHOD = "GET"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    yield from _asked(reading)
    if reading.value("auth-url") or reading.value("auth-type") or reading.settings.is_written("global-auth-url"):
        written = reading.settings.value("no-auth-locations")
        paths = tuple(item for item in values.words(written.text) if values.is_path(item))
        yield OpenPaths(causes=(written.cause,), paths=paths)


def _asked(reading: Reading) -> Iterator[Feature]:
    url, settings = reading.value("auth-url"), reading.settings
    if url is not None:
        fields, computed = asked_fields(reading, reading.value("auth-request-redirect"))
        requests, idle = _connections(reading)
        method = reading.text("auth-method", _METHOD).upper()
        if method not in _METHODS:
            message = f"no service is asked by {method}: its paths answer 500"
            reading.tell("auth-method", "invalid", message, f"write one of {listed(sorted(_METHODS))}")
            yield Closed(causes=reading.causes("auth-method"), reason="a method that nothing is asked by")
        yield ExternalAuth(
            causes=reading.causes("auth-url", *_NAMES),
            url=url.text,
            method=method,
            fields=fields,
            computed=computed,
            response_headers=_fields(reading),
            sign_in=reading.text("auth-signin"),
            parameter=reading.text("auth-signin-redirect-param", "rd"),
            cookies="Always" if reading.flag("auth-always-set-cookie") else "WithSuccess",
            cache_seconds=_cache(reading),
            connection_requests=requests,
            connection_idle=idle,
        )
        return
    for name in _NAMES:
        reading.tell(name, "dropped-harmless", "without auth-url it never did anything", "take it out")
    if settings.is_written("global-auth-url") and reading.flag("enable-global-auth", default=True):
        yield _of_all(reading)


def _of_all(reading: Reading) -> ExternalAuth:
    """What the settings have asked for every Ingress."""
    settings = reading.settings
    asked = settings.value("global-auth-url")
    causes: list[Cause] = [asked.cause]
    causes += [settings.value(key).cause for key in _OF_ALL if settings.is_written(key)]
    redirect = settings.value("global-auth-request-redirect")
    fields, computed = asked_fields(reading, redirect if redirect.text else None, own=False)
    return ExternalAuth(
        causes=tuple(causes),
        url=asked.text,
        method=settings.value("global-auth-method").text,
        fields=fields,
        computed=computed,
        response_headers=_taken(values.words(settings.value("global-auth-response-headers").text)),
        sign_in=settings.value("global-auth-signin").text,
        parameter=settings.value("global-auth-signin-redirect-param").text,
        cookies="Always" if settings.flag("global-auth-always-set-cookie") else "WithSuccess",
    )


def _connections(reading: Reading) -> tuple[int, int]:
    """Requests that a connection carries, and seconds that it is kept without any; 0: as the gateway does."""
    if not reading.number("auth-keepalive"):
        for name in ("auth-keepalive-requests", "auth-keepalive-timeout"):
            reading.tell(name, "dropped-harmless", "without auth-keepalive it never did anything", "take it out")
        return 0, 0
    written = reading.value("auth-keepalive-timeout") is not None
    idle = reading.bare_seconds("auth-keepalive-timeout", _KEEPALIVE) if written else 0
    return reading.number("auth-keepalive-requests"), idle


def _fields(reading: Reading) -> tuple[str, ...]:
    """Fields of answers that the backend gets: those that a message can have, and that are nobody else's."""
    written = reading.words("auth-response-headers")
    found = _taken(written)
    if found != written:
        message = f"the gateway takes none of these over: {', '.join(sorted(set(written) - set(found)))}"
        reading.tell("auth-response-headers", "invalid", message, "take them out")
    return found


def _taken(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(item for item in names if values.is_token(item) and item.lower() not in _MANAGED)


def _cache(reading: Reading) -> int:
    """Seconds that what a service allows is remembered: without a key nothing is."""
    if reading.value("auth-cache-key") is None:
        reading.tell("auth-cache-duration", "dropped-harmless", "without auth-cache-key it never did anything")
        return 0
    for entry in reading.text("auth-cache-duration", "200 202 401 5m").split(","):
        *statuses, time = entry.split() or [""]
        found = values.seconds(time)
        if found and (not statuses or set(_ALLOWED) & set(statuses)):
            return min(found, _MAX_CACHE)
    return 0
