"""Clients that stay with an endpoint.

Source: `internal/ingress/annotations/sessionaffinity`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import Affinity, Feature
from ...reading import Reading

_NAMES = ("session-cookie-name", "session-cookie-path", "session-cookie-expires", "session-cookie-max-age")
_COOKIE = "INGRESSCOOKIE"


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    kind = reading.text("affinity")
    if kind != "cookie":
        reading.tell("affinity", "invalid", f"there is no affinity {kind}: it did nothing", "write cookie")
        for name in _NAMES:
            reading.tell(name, "dropped-harmless", "without affinity it never did anything", "take it out")
        return
    # A browser goes by Max-Age where a cookie has both (RFC 6265 section 5.3).
    seconds = reading.number("session-cookie-max-age") or reading.number("session-cookie-expires")
    cookie, path = reading.text("session-cookie-name", _COOKIE), reading.text("session-cookie-path")
    if not values.is_token(cookie):
        reading.tell(
            "session-cookie-name", "invalid", f"it is no name of a cookie: {_COOKIE} holds", "correct the name"
        )
        cookie = _COOKIE
    if path and not (values.is_path(path) and ";" not in path):
        reading.tell("session-cookie-path", "invalid", "it is no path: that of the location holds", "correct the path")
        path = ""
    yield Affinity(
        causes=reading.causes("affinity", *_NAMES),
        cookie=cookie,
        path=path,
        seconds=seconds,
    )
