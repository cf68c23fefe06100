"""`sessionPersistence` of rules and of XBackendTrafficPolicies (GEP-1619)."""

from __future__ import annotations

from sluicegate import ir

from ..api.route import SessionPersistence
from .unsupported import Unsupported
from .values import is_token, parse_duration

#: Letters of what tells the names of cookies apart that a manifest gives none.
_DIGITS = 8


def translate_session(said: SessionPersistence | None, owner: str, field: str) -> ir.Session | None:
    """Translate it.

    Args:
        said: as written.
        owner: id of what has it: a cookie without a name is named after it.
        field: where it is written.

    Raises:
        Unsupported: it cannot be honoured.
    """
    if said is None:
        return None
    timeout = 0
    if said.absolute_timeout is not None:
        found = parse_duration(said.absolute_timeout)
        if found is None:
            message = f"{said.absolute_timeout!r} is not a duration"
            raise Unsupported(f"{field}.absoluteTimeout", message, "use a value such as 30m or 12h")
        timeout = found
    if said.type == "Header":
        name = said.header.name if said.header is not None else ""
        if not is_token(name):
            raise Unsupported(f"{field}.header.name", f"{name!r} is not the name of a header", "give one")
        return ir.Session(carrier=ir.SessionHeader(name=name.lower()), absolute_timeout_ms=timeout)
    if said.type != "Cookie":
        raise Unsupported(f"{field}.type", f"sessions of type {said.type} are not known", "use Cookie or Header")
    return ir.Session(carrier=_cookie(said, owner, field, timeout), absolute_timeout_ms=timeout)


def _cookie(said: SessionPersistence, owner: str, field: str, timeout: int) -> ir.SessionCookie:
    cookie = said.cookie
    name = (cookie.name if cookie is not None else "") or f"sluicegate-{_digest(owner)}"
    path = (cookie.path if cookie is not None else "") or "/"
    permanent = cookie is not None and cookie.lifetime_type == "Permanent"
    if not is_token(name):
        raise Unsupported(f"{field}.cookie.name", f"{name!r} is not the name of a cookie", "give one")
    if not path.startswith("/") or any(not "!" <= character <= "~" or character == ";" for character in path):
        message = f"path {path!r} cannot be that of a cookie"
        raise Unsupported(f"{field}.cookie.path", message, "give a path such as /")
    if permanent and not timeout:
        message = "a permanent cookie needs absoluteTimeout"
        raise Unsupported(f"{field}.absoluteTimeout", message, "give it, or use lifetimeType Session")
    return ir.SessionCookie(name=name, path=path, permanent=permanent)


def _digest(owner: str) -> str:
    from hashlib import sha256  # it loads OpenSSL, which `serve` does without

    return sha256(owner.encode()).hexdigest()[:_DIGITS]
