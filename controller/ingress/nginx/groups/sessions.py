"""Clients that stay with an endpoint.

Source: `internal/ingress/annotations/sessionaffinity`, `rootfs/etc/nginx/lua/balancer/sticky.lua`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...cookie_values import same_site
from ...features import Affinity, Feature
from ...reading import Reading

_NAMES = (
    "session-cookie-name",
    "session-cookie-path",
    "session-cookie-expires",
    "session-cookie-max-age",
    "session-cookie-domain",
    "session-cookie-samesite",
    "session-cookie-secure",
    "session-cookie-change-on-failure",
)
_OTHERS = ("affinity-mode", "session-cookie-conditional-samesite-none")
_COOKIE = "INGRESSCOOKIE"


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    kind = reading.text("affinity")
    if kind != "cookie":
        reading.tell("affinity", "invalid", f"there is no affinity {kind}: it did nothing", "write cookie")
        for name in (*_NAMES, *_OTHERS):
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
    domain = reading.text("session-cookie-domain").removeprefix(".").lower()
    if domain and not values.is_host(domain):
        reading.tell("session-cookie-domain", "invalid", "it is no domain: it is left out", "correct the name")
        domain = ""
    site = same_site(reading.text("session-cookie-samesite"))
    if site is None:
        reading.tell("session-cookie-samesite", "invalid", "Strict, Lax or None is expected", "correct the value")
    secure = reading.flag("session-cookie-secure") if reading.value("session-cookie-secure") is not None else None
    if site == "None" and secure is False:
        message = "browsers take a cookie with SameSite=None over TLS alone: it is Secure where the client came by TLS"
        reading.tell("session-cookie-secure", "converted-with-difference", message, "take it out")
        secure = None
    yield Affinity(
        causes=reading.causes("affinity", *_NAMES),
        cookie=cookie,
        path=path,
        seconds=seconds,
        domain=domain,
        same_site=site or "",
        secure=secure,
        returns=not reading.flag("session-cookie-change-on-failure", default=True),
    )
