"""Credentials that a backend does not get: an API key that it could use elsewhere, a password that it could keep."""

from __future__ import annotations

from .contract import Headers
from .match import decoded
from .names import SPACE, spelling
from .passage import Passage


def without_credentials(passage: Passage, headers: Headers, query: str | None) -> tuple[Headers, str | None]:
    """Fields and query of a request without the credentials that policies took."""
    if passage.removed_fields:
        removed = {spelling(name) for name in passage.removed_fields}
        headers = tuple(field for field in headers if spelling(field[0]) not in removed)
    for name, scheme in passage.removed_schemes:
        headers = tuple(field for field in headers if not _is_of_scheme(field, name, scheme))
    if passage.removed_cookies:
        headers = _without_cookies(headers, passage.removed_cookies)
    if passage.removed_pairs and query is not None:
        names = {name.encode() for name in passage.removed_pairs}
        kept = [pair for pair in query.split("&") if decoded(pair.encode().partition(b"=")[0]) not in names]
        query = "&".join(kept) or None
    return headers, query


def _is_of_scheme(field: tuple[str, str], name: str, scheme: str) -> bool:
    return spelling(field[0]) == spelling(name) and field[1].lstrip(SPACE).lower().startswith(scheme)


def _without_cookies(headers: Headers, names: set[str]) -> Headers:
    """All cookies that are left go in one field, the last (RFC 9113 section 8.2.3)."""
    cookies = [
        cookie.strip(SPACE) for name, value in headers if name.lower() == "cookie" for cookie in value.split(";")
    ]
    kept = [cookie for cookie in cookies if cookie and cookie.partition("=")[0].rstrip(SPACE) not in names]
    others = tuple(field for field in headers if field[0].lower() != "cookie")
    return (*others, ("cookie", "; ".join(kept))) if kept else others
