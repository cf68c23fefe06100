"""A service that says who may.

Source: `internal/ingress/annotations/authreq`, `authreqglobal`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import ExternalAuth, Feature
from ...losses import Cause
from ...reading import Reading

_NAMES = (
    "auth-response-headers",
    "auth-signin",
    "auth-signin-redirect-param",
    "auth-always-set-cookie",
    "auth-cache-key",
    "auth-cache-duration",
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


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    url, settings = reading.value("auth-url"), reading.settings
    if url is not None:
        yield ExternalAuth(
            causes=reading.causes("auth-url", *_NAMES),
            url=url.text,
            response_headers=_fields(reading),
            sign_in=reading.text("auth-signin"),
            parameter=reading.text("auth-signin-redirect-param", "rd"),
            set_cookie=True,
            cache_seconds=_cache(reading),
        )
        return
    for name in _NAMES:
        reading.tell(name, "dropped-harmless", "without auth-url it never did anything", "take it out")
    if settings.is_written("global-auth-url") and reading.flag("enable-global-auth", default=True):
        asked = settings.value("global-auth-url")
        causes: list[Cause] = [asked.cause]
        for key in ("global-auth-signin", "global-auth-response-headers"):
            causes += [settings.value(key).cause] if settings.is_written(key) else []
        yield ExternalAuth(
            causes=tuple(causes),
            url=asked.text,
            response_headers=values.words(settings.value("global-auth-response-headers").text),
            sign_in=settings.value("global-auth-signin").text,
            set_cookie=True,
        )


def _fields(reading: Reading) -> tuple[str, ...]:
    """Fields of answers that the backend gets: those that a message can have, and that are nobody else's."""
    written = reading.words("auth-response-headers")
    found = tuple(item for item in written if values.is_token(item) and item.lower() not in _MANAGED)
    if found != written:
        message = f"the gateway takes none of these over: {', '.join(sorted(set(written) - set(found)))}"
        reading.tell("auth-response-headers", "invalid", message, "take them out")
    return found


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
