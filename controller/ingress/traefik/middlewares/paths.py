"""Middlewares that edit paths, and those that send clients elsewhere.

Source: `pkg/middlewares/{stripprefix,stripprefixregex,addprefix,replacepath,replacepathregex,redirect}` of Traefik.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...features import Feature, HttpsRedirect, PathEdit, RequestHeaders
from .part import Part

#: What a replacement refers to (Go's `regexp.Expand`): a name is as long as it can be, so `$1x` is no first group.
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)
_GROUP = re.compile(r"[0-9]", re.ASCII)
_TO_HTTPS = re.compile(r"\^?http://(.*?)\(\.[*+]\)\$?")
_PREFIX, _REPLACED = "X-Forwarded-Prefix", "X-Replaced-Path"


def strip(part: Part) -> Iterable[Feature]:
    """Read `strip`."""
    prefixes = tuple(item.strip() for item in part.texts("prefixes"))
    if len(prefixes) == 1:
        yield PathEdit(causes=part.causes, kind="Prefix", find=prefixes[0], replacement="/")
        yield from _tell_prefix(part, prefixes[0])
    elif prefixes:
        pattern = f"^(?:{'|'.join(map(re.escape, prefixes))})/?"
        yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement="/")
        _tell_missing(part, _PREFIX)


def _tell_prefix(part: Part, prefix: str) -> Iterator[Feature]:
    """Tell backends which prefix was taken off, where it is taken off every path."""
    rules = part.reading.ingress.spec.rules
    paths = [path.path or "/" for rule in rules for path in (rule.http.paths if rule.http is not None else ())]
    if paths and all(path.startswith(prefix) for path in paths):
        yield RequestHeaders(causes=part.causes, fields=((_PREFIX, prefix),))
    else:
        _tell_missing(part, _PREFIX)


def _tell_missing(part: Part, field: str) -> None:
    part.tell("converted-with-difference", f"backends get no `{field}`", "RequestHeaderModifier `set`")


def strip_regex(part: Part) -> Iterable[Feature]:
    """Read `strip_regex`."""
    patterns = tuple(item.strip() for item in part.texts("regex"))
    if patterns:
        pattern = f"^(?:{'|'.join(patterns)})/?"
        yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement="/")
        _tell_missing(part, _PREFIX)


def add(part: Part) -> Iterable[Feature]:
    """Read `add`."""
    prefix = str(part.spec.get("prefix", ""))
    yield PathEdit(causes=part.causes, kind="Add", replacement=prefix if prefix.startswith("/") else f"/{prefix}")


def replace(part: Part) -> Iterable[Feature]:
    """Read `replace`."""
    path = str(part.spec.get("path", "/"))
    yield PathEdit(causes=part.causes, kind="Full", replacement=path if path.startswith("/") else f"/{path}")
    _tell_missing(part, _REPLACED)


def replace_regex(part: Part) -> Iterable[Feature]:
    """Read `replace_regex`."""
    replacement = _filled(str(part.spec.get("replacement", "")).strip())
    if replacement is None:
        yield part.closed("a replacement by the name of a group, or by one above the ninth", "write `${1}` to `${9}`")
        return
    pattern = str(part.spec.get("regex", "")).strip()
    yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement=replacement)
    _tell_missing(part, _REPLACED)


def _filled(text: str) -> str | None:
    r"""A replacement with `\1` for `${1}`; None: it refers to something else than groups by number."""
    names = [found[1] or found[2] for found in _REFERENCE.finditer(text) if found[0] != "$$"]
    if not all(map(_GROUP.fullmatch, names)):
        return None
    return _REFERENCE.sub(lambda found: "$" if found[0] == "$$" else f"\\{found[1] or found[2]}", text)


def scheme(part: Part) -> Iterable[Feature]:
    """Read `scheme`."""
    if part.spec.get("scheme") != "https" or str(part.spec.get("port") or "443") != "443":
        yield part.closed(
            "a redirect to another scheme than https, or another port than 443", "write a RequestRedirect"
        )
        return
    yield _https(part)


def redirect(part: Part) -> Iterable[Feature]:
    """Read `redirect`: one that changes nothing but the scheme."""
    if _changes_scheme(part):
        yield _https(part)
        return
    part.tell("no-equivalent", "a redirect by an expression of the whole URL is not made", "write a RequestRedirect")


def _changes_scheme(part: Part) -> bool:
    """Whether URLs of the Ingress go to https as they are: `^http://(.*)` to `https://${1}`, or so with its host."""
    found = _TO_HTTPS.fullmatch(str(part.spec.get("regex", "")).strip())
    if found is None:
        return False
    start = found[1].replace("\\", "")
    hosts = {rule.host for rule in part.reading.ingress.spec.rules}
    stays = start == "" or hosts == {start.removesuffix("/")}
    return stays and part.spec.get("replacement") in {f"https://{start}${{1}}", f"https://{start}$1"}


def _https(part: Part) -> Feature:
    part.tell("converted-with-difference", "the status is 308 or 307 for every method; Traefik has 301 or 302 for GET")
    return HttpsRedirect(causes=part.causes, status=308 if part.spec.get("permanent") else 307, forced=True)
