"""What of a request belongs to session persistence and is not forwarded (GEP-1619)."""

from __future__ import annotations

from sluicegate import ir

from .contract import Headers
from .names import spelling
from .passage import Passage

#: What the native router trims: ASCII whitespace.
_SPACE = " \t\n\f\r"


def take_session(session: ir.Session | None, headers: Headers, passage: Passage) -> None:
    """Add the cookie or the field that keeps the session to what the backend does not get, where the client sent it."""
    if session is None:
        return
    name = session.carrier.name
    if isinstance(session.carrier, ir.SessionHeader):
        if any(spelling(field) == spelling(name) for field, _ in headers):
            passage.removed_fields.add(name)
        return
    cookies = (cookie for field, value in headers if field.lower() == "cookie" for cookie in value.split(";"))
    if any(cookie.partition("=")[0].strip(_SPACE) == name for cookie in cookies):
        passage.removed_cookies.add(name)
