"""CORS (ARCHITECTURE.md, "CORS"; `HTTPCORSFilter`, GEP-1767; the Fetch standard, section 3.2)."""

from __future__ import annotations

import re

from sluicegate import ir

from .contract import Headers
from .match import WHITESPACE, Head

_PREFIX = "access-control-"
_VARY: Headers = (("vary", "Origin"),)


def is_preflight(head: Head, headers: Headers) -> bool:
    """A CORS request before the one that it asks for."""
    return (
        head.method == "OPTIONS"
        and first_field(headers, "origin") is not None
        and first_field(headers, "access-control-request-method") is not None
    )


def preflight(cors: ir.Cors, headers: Headers) -> Headers:
    """The fields of the answer to a preflight; names without a value are left out."""
    allowed = _allowed_origin(cors, headers)
    if allowed is None:
        return _VARY
    methods = _listed(cors, cors.allow_methods, first_field(headers, "access-control-request-method"))
    names = _listed(cors, cors.allow_headers, first_field(headers, "access-control-request-headers"))
    return _present(
        ("access-control-allow-origin", allowed),
        ("access-control-allow-methods", methods),
        ("access-control-allow-headers", names),
        ("access-control-expose-headers", _listed(cors, cors.expose_headers, None)),
        ("access-control-max-age", str(cors.max_age)),
        *_credentials_and_vary(cors),
    )


def with_cors(cors: ir.Cors, headers: Headers, response: Headers) -> Headers:
    """The fields of a backend's response with ours.

    Ours stand in place of its own: of an origin that is not allowed a backend might think otherwise, and browsers would
    believe it. `vary` is there whoever asks: caches must not give the answer for one origin, or for none, to another.
    """
    allowed = _allowed_origin(cors, headers)
    kept = tuple(field for field in response if not field[0].lower().startswith(_PREFIX))
    if allowed is None:
        return kept if _varies_by_origin(kept) else (*kept, *_VARY)
    ours = _present(
        ("access-control-allow-origin", allowed),
        ("access-control-expose-headers", _listed(cors, cors.expose_headers, None)),
        *_credentials_and_vary(cors),
    )
    return (*kept, *(field for field in ours if field not in _VARY or not _varies_by_origin(kept)))


def allows(pattern: str, origin: str) -> bool:
    """Whether an entry of `allowOrigins` names an origin; `*` in it stands for one or more characters of a host."""
    before, star, after = pattern.lower().partition("*")
    if not star:
        return before == origin.lower()
    expression = re.escape(before) + "[A-Za-z0-9.-]+" + re.escape(after)
    return re.fullmatch(expression, origin.lower()) is not None


def first_field(headers: Headers, name: str) -> str | None:
    """The first value of a field, trimmed; None where it is missing or no UTF-8."""
    for field, value in headers:
        if field.lower() == name:
            return None if _has_surrogates(value) else value.strip(WHITESPACE.decode())
    return None


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _is_open(cors: ir.Cors) -> bool:
    """Every response has the same `*`, whoever asks."""
    return "*" in cors.allow_origins and not cors.allow_credentials


def _allowed_origin(cors: ir.Cors, headers: Headers) -> str | None:
    """The value of `access-control-allow-origin`."""
    if _is_open(cors):
        return "*"
    origin = first_field(headers, "origin")
    if not origin or not any(pattern == "*" or allows(pattern, origin) for pattern in cors.allow_origins):
        return None
    return origin


def _varies_by_origin(response: Headers) -> bool:
    """The response says so already (RFC 9110 section 12.5.5)."""
    lists = (value.split(",") for name, value in response if name.lower() == "vary")
    return any(name.strip(WHITESPACE.decode()).lower() in {"*", "origin"} for names in lists for name in names)


def _listed(cors: ir.Cors, names: tuple[str, ...], requested: str | None) -> str:
    """A list of names. With credentials `*` would be taken for a name, so what was requested stands in for it."""
    if "*" not in names:
        return ", ".join(names)
    return (requested or "") if cors.allow_credentials else "*"


def _credentials_and_vary(cors: ir.Cors) -> Headers:
    return (
        ("access-control-allow-credentials", "true" if cors.allow_credentials else ""),
        ("vary", "" if _is_open(cors) else "Origin"),
    )


def _present(*fields: tuple[str, str]) -> Headers:
    return tuple(field for field in fields if field[1])
