"""Requests that another site makes a browser send."""

from __future__ import annotations

import re

from sluicegate import ir

from .names import field_values
from .passage import Denial, Facts

CSRF = Denial("csrf", 403)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_ORIGIN = re.compile(r"(https?)://([a-z0-9.:\[\]*_-]+)", re.ASCII)


def csrf(policy: ir.AccessCsrf, facts: Facts) -> Denial | None:
    """Fetch Metadata first, then `Origin`; what comes several times has to be right each time."""
    # A page may read all that a WebSocket tells, whatever site it is of, and write to it.
    if facts.method in _SAFE and not field_values(facts.headers, "sec-websocket-version"):
        return None
    sites, origins = field_values(facts.headers, "sec-fetch-site"), field_values(facts.headers, "origin")
    if sites:
        own = all(site in {"same-origin", "none"} for site in sites)
        trusted = bool(origins) and all(_is_trusted(policy, origin) for origin in origins)
        return None if own or trusted else CSRF
    return None if all(_is_trusted(policy, item) or _is_host(facts, item) for item in origins) else CSRF


def _is_trusted(policy: ir.AccessCsrf, origin: str) -> bool:
    found = _origin(origin)
    if found is None:
        return False
    for written in policy.trusted_origins:
        trusted = _origin(written)
        if trusted is None or trusted[0] != found[0]:
            continue
        if trusted[1].startswith("*."):
            if found[1].endswith(trusted[1][1:]) and len(found[1]) > len(trusted[1]) - 1:
                return True
        elif trusted == found:
            return True
    return False


def _is_host(facts: Facts, origin: str) -> bool:
    found = _origin(origin)
    if found is None:
        return False
    scheme, host = found
    return scheme in {facts.scheme, "https"} and _usual(scheme, facts.authority.lower()) == host


def _origin(text: str) -> tuple[str, str] | None:
    found = _ORIGIN.fullmatch(text.lower())
    return None if found is None else (found[1], _usual(found[1], found[2]))


def _usual(scheme: str, host: str) -> str:
    return host.removesuffix(":443" if scheme == "https" else ":80")
