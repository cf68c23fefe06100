"""Redirects: to https, to one URL, from `/`, between a host and its `www.`.

Source: `redirect.go`, `rewrite.go`, `fromtowwwredirect` of `internal/ingress/annotations`, `lua_ingress.lua`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import AppRoot, Feature, HttpsRedirect, Redirect, RelativeRedirects, StrictTransport, WwwRedirect
from ...reading import Reading

#: Statuses that a `RequestRedirect` may have.
_STATUSES = frozenset({301, 302, 303, 307, 308})


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    yield from _to_https(reading)
    yield from _to_url(reading)
    root = reading.value("app-root")
    if root is not None and values.is_path(root.text):
        yield AppRoot(causes=(root.cause,), path=root.text)
    elif root is not None:
        reading.tell("app-root", "invalid", "a path that begins with / is expected: it did nothing", "correct it")
    if reading.flag("relative-redirects") or reading.settings.flag("relative-redirects"):
        yield RelativeRedirects(causes=(reading.setting_or("relative-redirects", "relative-redirects").cause,))
    if reading.flag("from-to-www-redirect"):
        status = _status(reading.settings.number("http-redirect-code"), 308)
        yield WwwRedirect(causes=reading.causes("from-to-www-redirect"), status=status)


def _to_https(reading: Reading) -> Iterator[Feature]:
    settings = reading.settings
    status = _status(settings.number("http-redirect-code"), 308)
    written = values.words(settings.value("no-tls-redirect-locations").text)
    exempt = tuple(item for item in written if values.is_path(item))
    trusts = settings.flag("use-forwarded-headers")
    forced = reading.flag("force-ssl-redirect", default=settings.flag("force-ssl-redirect"))
    if forced:
        cause = reading.setting_or("force-ssl-redirect", "force-ssl-redirect").cause
        yield HttpsRedirect(causes=(cause,), status=status, forced=True, trusts=trusts, exempt=exempt)
    elif reading.flag("ssl-redirect", default=settings.flag("ssl-redirect")):
        cause = reading.setting_or("ssl-redirect", "ssl-redirect").cause
        yield HttpsRedirect(causes=(cause,), status=status, trusts=trusts, exempt=exempt)
    if reading.value("preserve-trailing-slash") and not reading.flag("preserve-trailing-slash"):
        message = "a redirect to https keeps a / at the end of the path"
        reading.tell("preserve-trailing-slash", "converted-with-difference", message)
    if settings.flag("hsts"):
        value = f"max-age={settings.number('hsts-max-age')}"
        value += "; includeSubDomains" if settings.flag("hsts-include-subdomains") else ""
        value += "; preload" if settings.flag("hsts-preload") else ""
        yield StrictTransport(causes=(settings.value("hsts").cause,), value=value)


def _to_url(reading: Reading) -> Iterator[Feature]:
    """A temporal redirect goes before a permanent one."""
    for name, default in (("temporal-redirect", 302), ("permanent-redirect", 301)):
        found = reading.value(name)
        if found is None:
            continue
        code = reading.number(f"{name}-code", default)
        status = _status(code, 0)
        if not status and reading.value(f"{name}-code") is not None:
            message = f"{code} is no status of a redirect that the Gateway API has: {default} holds"
            reading.tell(f"{name}-code", "converted-with-difference", message, "use 301, 302, 303, 307 or 308")
        if name == "temporal-redirect":
            reading.tell("permanent-redirect", "dropped-harmless", "the temporal redirect goes before it")
        if found.text.endswith("$request_uri"):
            message = "`RequestRedirect` that keeps path and query; 1.12 and later leave an Ingress with a variable out"
            remedy = "nothing, where it runs with --enable-annotation-validation=false"
            reading.tell(name, "converted-with-difference", message, remedy)
        yield Redirect(causes=reading.causes(name, f"{name}-code"), url=found.text, status=status or default)
        return


def _status(code: int, default: int) -> int:
    return code if code in _STATUSES else default
