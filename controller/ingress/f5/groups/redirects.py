"""Redirects to https and from `/`, and HSTS, which is off where nobody asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from ...features import AppRoot, Feature, HttpsRedirect, StrictTransport
from ...reading import Reading

#: Statuses that the controller takes.
_STATUSES = frozenset({301, 302, 307, 308})
_HSTS = ("hsts-max-age", "hsts-include-subdomains")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    yield from _to_https(reading)
    yield from _strict(reading)
    root = reading.value("nginx.org/app-root")
    if root is not None and root.text.startswith("/"):
        yield AppRoot(causes=(root.cause,), path=root.text)
    elif root is not None:
        message = "a path that begins with / is expected: it did nothing"
        reading.tell("nginx.org/app-root", "invalid", message, "correct it")


def _to_https(reading: Reading) -> Iterator[Feature]:
    settings = reading.settings
    status = reading.number("nginx.org/http-redirect-code", settings.number("http-redirect-code"))
    if status not in _STATUSES:
        message = f"{status} is none of 301, 302, 307 and 308: 301 holds, as before"
        reading.tell("nginx.org/http-redirect-code", "invalid", message, "correct the value")
        status = 301
    more = reading.causes("nginx.org/http-redirect-code")
    if reading.flag("nginx.org/redirect-to-https", default=settings.flag("redirect-to-https")):
        cause = reading.setting_or("nginx.org/redirect-to-https", "redirect-to-https").cause
        yield HttpsRedirect(causes=(cause, *more), status=status, forced=True, trusts=True)
    elif reading.flag("nginx.org/ssl-redirect", default=settings.flag("ssl-redirect")):
        cause = reading.setting_or("nginx.org/ssl-redirect", "ssl-redirect").cause
        yield HttpsRedirect(causes=(cause, *more), status=status)


def _strict(reading: Reading) -> Iterator[Feature]:
    settings = reading.settings
    if not reading.flag("nginx.org/hsts", default=settings.flag("hsts")):
        for name in _HSTS:
            reading.tell(f"nginx.org/{name}", "dropped-harmless", "without hsts it never did anything", "take it out")
        return
    value = f"max-age={reading.number('nginx.org/hsts-max-age', settings.number('hsts-max-age'))}"
    whole = reading.flag("nginx.org/hsts-include-subdomains", default=settings.flag("hsts-include-subdomains"))
    value += "; includeSubDomains" if whole else ""
    causes = (
        reading.setting_or("nginx.org/hsts", "hsts").cause,
        *reading.causes(*(f"nginx.org/{name}" for name in _HSTS)),
    )
    yield StrictTransport(causes=causes, value=value)
