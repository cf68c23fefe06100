"""What a backend says of where it is, in `Location`, `Refresh` and `Set-Cookie`, as its clients see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sluicegate import ir

from .contract import Headers

_SPACE = " \t\n\r\x0c"
#: From what an attribute says to what it says then; None: it stays.
_Change = Callable[[ir.CookiePart, str], "str | None"]


def rewritten(headers: Headers, rewrites: Iterable[ir.ResponseRewrite]) -> Headers:
    """The fields of a response, one rewrite after the other."""
    for rewrite in rewrites:
        headers = tuple((name, _rewritten(rewrite, name.lower(), value)) for name, value in headers)
    return headers


def _rewritten(rewrite: ir.ResponseRewrite, name: str, value: str) -> str:
    if name == "location":
        found = _location(rewrite.location, value)
    elif name == "refresh":
        found = _refresh(rewrite.location, value)
    elif name == "set-cookie":
        found = _cookie(rewrite.cookies, value)
    else:
        found = None
    # Blanks at its ends are no part of a value, and malformed over HTTP/2.
    return value if found is None else found.strip(" \t")


def _location(every: Iterable[ir.LocationRewrite], value: str) -> str | None:
    fitting = next((each for each in every if value.startswith(each.prefix)), None)
    return None if fitting is None else fitting.replacement + value[len(fitting.prefix) :]


def _refresh(every: Iterable[ir.LocationRewrite], value: str) -> str | None:
    """`5; url=https://a.test/`, as browsers read it."""
    at = value.lower().find("url=")
    if at < 0:
        return None
    at += 4
    if value[at : at + 1] in {'"', "'"}:
        at += 1
    found = _location(every, value[at:])
    return None if found is None else value[:at] + found


def _cookie(every: Iterable[ir.CookieRewrite], value: str) -> str | None:
    """RFC 6265 section 5.2: attributes stand behind the pair, each after a semicolon."""
    pair, *parts = (part.strip(_SPACE) for part in value.split(";"))
    name = _name_of(pair)
    rewrite = next((each for each in every if each.name is None or each.name == name), None)
    if rewrite is None:
        return None
    attributes = [part for part in parts if part]
    if rewrite.domain is not None:
        attributes = _set_part(attributes, "Domain", rewrite.domain, _domain)
    if rewrite.path is not None:
        attributes = _set_part(attributes, "Path", rewrite.path, _path)
    for flag, wanted in (("Secure", rewrite.secure), ("HttpOnly", rewrite.http_only)):
        is_there = any(_is(each, flag) for each in attributes)
        if wanted and not is_there:
            attributes.append(flag)
        elif wanted is False:
            attributes = [each for each in attributes if not _is(each, flag)]
    if rewrite.same_site is not None:
        attributes = _set_part(attributes, "SameSite", ir.CookiePart(value=rewrite.same_site), _domain)
    return "; ".join([pair, *attributes])


def _set_part(attributes: list[str], name: str, part: ir.CookiePart, changed: _Change) -> list[str]:
    """Change an attribute that is there, or add it where it does not matter what it was before."""
    if not any(_is(each, name) for each in attributes):
        return [*attributes, f"{name}={part.value}"] if part.before is None and part.value else attributes
    result: list[str] = []
    for each in attributes:
        value = changed(part, each.partition("=")[2].strip(_SPACE)) if _is(each, name) else None
        if value is None:
            result.append(each)
        elif value:
            result.append(f"{name}={value}")
    return result


def _domain(part: ir.CookiePart, value: str) -> str | None:
    """Names of hosts: a dot before one means nothing (RFC 6265 section 5.2.3)."""
    fits = part.before is None or _plain(part.before) == _plain(value)
    return part.value if fits else None


def _plain(name: str) -> str:
    return name.removeprefix(".").lower()


def _path(part: ir.CookiePart, value: str) -> str | None:
    if part.before is None:
        return part.value
    return part.value + value.removeprefix(part.before) if value.startswith(part.before) else None


def _is(attribute: str, name: str) -> bool:
    return _name_of(attribute).lower() == name.lower()


def _name_of(pair: str) -> str:
    return pair.partition("=")[0].strip(_SPACE)
