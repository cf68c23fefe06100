"""Middlewares that edit paths, and those that send clients elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...features import Feature, HttpsRedirect, PathEdit
from .part import Part

_GROUP = re.compile(r"\$\{?([0-9])\}?")


def strip(part: Part) -> Iterable[Feature]:
    """Read `strip`."""
    prefixes = part.texts("prefixes")
    if len(prefixes) == 1:
        yield PathEdit(causes=part.causes, kind="Prefix", find=prefixes[0], replacement="/")
    elif prefixes:
        pattern = f"^(?:{'|'.join(map(re.escape, prefixes))})/?"
        yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement="/")


def strip_regex(part: Part) -> Iterable[Feature]:
    """Read `strip_regex`."""
    patterns = part.texts("regex")
    if patterns:
        pattern = f"^(?:{'|'.join(patterns)})/?"
        yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement="/")


def add(part: Part) -> Iterable[Feature]:
    """Read `add`."""
    prefix = str(part.spec.get("prefix", ""))
    yield PathEdit(causes=part.causes, kind="Add", replacement=prefix if prefix.startswith("/") else f"/{prefix}")


def replace(part: Part) -> Iterable[Feature]:
    """Read `replace`."""
    path = str(part.spec.get("path", "/"))
    yield PathEdit(causes=part.causes, kind="Full", replacement=path if path.startswith("/") else f"/{path}")


def replace_regex(part: Part) -> Iterable[Feature]:
    """Read `replace_regex`."""
    replacement = _GROUP.sub(r"\\\1", str(part.spec.get("replacement", "")))
    yield PathEdit(causes=part.causes, kind="Pattern", find=str(part.spec.get("regex", "")), replacement=replacement)


def scheme(part: Part) -> Iterable[Feature]:
    """Read `scheme`."""
    if part.spec.get("scheme") != "https":
        yield part.closed("a redirect to another scheme than https", "write a RequestRedirect")
        return
    part.tell("converted-with-difference", "the status is 308 or 307 for every method; Traefik has 301 or 302 for GET")
    status = 308 if part.spec.get("permanent") else 307
    yield HttpsRedirect(causes=part.causes, status=status, forced=True)


def redirect(part: Part) -> Iterable[Feature]:
    """Read `redirect`."""
    regex, target = str(part.spec.get("regex", "")), str(part.spec.get("replacement", ""))
    if regex.startswith("^http://") and target.startswith("https://"):
        yield HttpsRedirect(causes=part.causes, status=308 if part.spec.get("permanent") else 307, forced=True)
        return
    part.tell("no-equivalent", "a redirect by an expression of the whole URL is not made", "write a RequestRedirect")
