"""`rewrite`: another path or host for the backend, and another one for clients in what the backend says of itself."""

from __future__ import annotations

from sluicegate import ir

from ...api import CookiePart, CookieRewrite, ResponseRewrite, RewriteFilter
from ..unsupported import Unsupported
from ..values import header_value_error, is_token
from .context import FilterContext
from .standard import path_value

SAME_SITE = ("Strict", "Lax", "None")


def rewrite(rewrite: RewriteFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A rewrite of the request, one of the response, or both."""
    made: list[ir.Filter] = []
    if rewrite.path_regex is not None or rewrite.host_from is not None:
        made.append(ir.Rewrite(host_from=_host_from(rewrite, field), substitution=_path(rewrite, field, context)))
    if rewrite.response is not None:
        made.append(_response(rewrite.response, f"{field}.response"))
    return tuple(made)


def _path(rewrite: RewriteFilter, field: str, context: FilterContext) -> ir.Substitution | None:
    if rewrite.path_regex is None:
        return None
    pattern, replacement = rewrite.path_regex.pattern, rewrite.path_regex.replacement
    place = f"{field}.pathRegex"
    error = context.checks.substitution(pattern, replacement)
    if error is not None:
        message = f"'{pattern}' cannot be replaced by '{replacement}': {error}"
        raise Unsupported(place, message, r"correct it (RE2 syntax, searched for in the path; \1 is the first group)")
    path_value(replacement.replace("\\", ""), f"{place}.replacement")
    return ir.Substitution(pattern=pattern, replacement=replacement)


def _host_from(rewrite: RewriteFilter, field: str) -> str | None:
    if rewrite.host_from is None:
        return None
    if not is_token(rewrite.host_from.header):
        message = f"{rewrite.host_from.header!r} is not a header name"
        raise Unsupported(f"{field}.hostFrom.header", message, "correct it")
    return rewrite.host_from.header


def _response(rewrite: ResponseRewrite, field: str) -> ir.ResponseRewrite:
    for index, location in enumerate(rewrite.location):
        place = f"{field}.location[{index}]"
        if not location.prefix:
            raise Unsupported(f"{place}.prefix", "every Location begins with nothing", "say what it begins with")
        _checked(location.replacement, f"{place}.replacement")
    cookies = tuple(_cookie(item, f"{field}.cookies[{index}]") for index, item in enumerate(rewrite.cookies))
    locations = tuple(ir.LocationRewrite(prefix=item.prefix, replacement=item.replacement) for item in rewrite.location)
    return ir.ResponseRewrite(location=locations, cookies=cookies)


def _cookie(cookie: CookieRewrite, field: str) -> ir.CookieRewrite:
    if cookie.same_site is not None and cookie.same_site not in SAME_SITE:
        raise Unsupported(f"{field}.sameSite", f"{cookie.same_site} is not known", f"use {', '.join(SAME_SITE)}")
    return ir.CookieRewrite(
        name=cookie.name,
        domain=_part(cookie.domain, f"{field}.domain"),
        path=_part(cookie.path, f"{field}.path"),
        secure=cookie.secure,
        http_only=cookie.http_only,
        same_site=cookie.same_site,
    )


def _part(part: CookiePart | None, field: str) -> ir.CookiePart | None:
    if part is None:
        return None
    return ir.CookiePart(before=part.from_, value=_checked(part.to, f"{field}.to", forbidden=";"))


def _checked(value: str, field: str, *, forbidden: str = "") -> str:
    error = header_value_error(value) if value else None
    if error is None and any(character in forbidden for character in value):
        error = "ends an attribute"
    if error is not None:
        raise Unsupported(field, f"{value!r} {error}", "use printable characters")
    return value
