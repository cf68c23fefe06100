"""The Middleware `headers`: fields of requests and answers, CORS, HSTS.

Source: `pkg/middlewares/headers` of Traefik 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ..features import Cors, Feature, RequestHeaders, ResponseHeaders, StrictTransport, UpstreamHost
from ..losses import Cause

#: Keys that are a field of answers each, where they say something.
_FIELDS = {
    "customFrameOptionsValue": "X-Frame-Options",
    "contentSecurityPolicy": "Content-Security-Policy",
    "contentSecurityPolicyReportOnly": "Content-Security-Policy-Report-Only",
    "referrerPolicy": "Referrer-Policy",
    "permissionsPolicy": "Permissions-Policy",
    "customBrowserXSSValue": "X-XSS-Protection",
}
#: Keys that are a field with one value, where they are true.
_FLAGS = {
    "frameDeny": ("X-Frame-Options", "DENY"),
    "contentTypeNosniff": ("X-Content-Type-Options", "nosniff"),
    "browserXssFilter": ("X-XSS-Protection", "1; mode=block"),
}
#: Keys that Traefik 3 knows of and does not look at.
_GONE = frozenset({"sslRedirect", "sslTemporaryRedirect", "sslHost", "sslForceHost", "featurePolicy"})
_LISTS = ("OriginList", "Methods", "Headers")
#: Keys that are read besides.
_OTHERS = frozenset(
    {
        *_FIELDS,
        *_FLAGS,
        *(f"accessControlAllow{name}" for name in _LISTS),
        "accessControlAllowCredentials",
        "accessControlExposeHeaders",
        "accessControlMaxAge",
        "addVaryHeader",
        "customRequestHeaders",
        "customResponseHeaders",
        "stsSeconds",
        "stsIncludeSubdomains",
        "stsPreload",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Seconds that an answer to a preflight holds where none are written (the Gateway API).
_MAX_AGE = 5


def read_headers(spec: dict[str, Any], causes: tuple[Cause, ...], tell: Callable[..., None]) -> Iterator[Feature]:
    """Make features of the keys.

    Args:
        spec: of the Middleware.
        causes: where it is written.
        tell: takes a fate, a message and a remedy.
    """
    gone = sorted({*spec} & _GONE)
    if gone:
        tell("invalid", f"{', '.join(gone)}: Traefik 3 does not look at it", "write a Middleware `redirectScheme`")
    unread = sorted({*spec} - _OTHERS - _GONE)
    if unread:
        tell("no-equivalent", f"{', '.join(unread)}: not read", "write filters of the Gateway API")
    requests, answers = _map(spec, "customRequestHeaders"), _map(spec, "customResponseHeaders")
    host = next((value for name, value in requests.items() if name.lower() == "host"), "")
    if host:
        yield UpstreamHost(causes=causes, host=host)
    others = {name: value for name, value in requests.items() if name.lower() != "host"}
    removed = tuple(name for name, value in others.items() if not value)
    fields = tuple((name, value) for name, value in others.items() if value)
    if fields or removed:
        yield RequestHeaders(causes=causes, fields=fields, removed=removed)
    found = {name: value for name, value in answers.items() if value}
    found |= {field: value for key, (field, value) in _FLAGS.items() if spec.get(key) is True}
    found |= {field: str(spec[key]) for key, field in _FIELDS.items() if spec.get(key)}
    hidden = tuple(name for name, value in answers.items() if not value)
    if found or hidden:
        yield ResponseHeaders(causes=causes, fields=tuple(found.items()), hidden=hidden)
    seconds = spec.get("stsSeconds")
    if isinstance(seconds, int) and seconds > 0:
        value = f"max-age={seconds}"
        value += "; includeSubDomains" if spec.get("stsIncludeSubdomains") is True else ""
        value += "; preload" if spec.get("stsPreload") is True else ""
        yield StrictTransport(causes=causes, value=value)
    origins = _list(spec, "accessControlAllowOriginList")
    if origins:
        age = spec.get("accessControlMaxAge")
        yield Cors(
            causes=causes,
            origins=("*",) if "*" in origins else origins,
            methods=_list(spec, "accessControlAllowMethods"),
            headers=_list(spec, "accessControlAllowHeaders"),
            exposed=_list(spec, "accessControlExposeHeaders"),
            credentials=spec.get("accessControlAllowCredentials") is True,
            max_age=age if isinstance(age, int) and age > 0 else _MAX_AGE,
        )


def _map(spec: dict[str, Any], key: str) -> dict[str, str]:
    found = spec.get(key)
    items = found.items() if isinstance(found, dict) else ()
    return {str(name): str(value or "") for name, value in items if _TOKEN.fullmatch(str(name))}


def _list(spec: dict[str, Any], key: str) -> tuple[str, ...]:
    found = spec.get(key)
    return tuple(dict.fromkeys(map(str, found))) if isinstance(found, list) else ()
