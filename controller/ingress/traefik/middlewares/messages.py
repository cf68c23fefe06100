"""Middlewares that are about bodies, fields and errors, and those that are not made."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...features import BodyLimit, ErrorPages, Feature
from ..headers import read_headers
from .part import Part

_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)
MAX_STATUSES = 200


def buffering(part: Part) -> Iterable[Feature]:
    """Read `buffering`."""
    if set(part.spec) - {"maxRequestBodyBytes", "memRequestBodyBytes"}:
        part.tell("converted-with-difference", "answers are not collected, and nothing is retried by an expression")
    if part.number("maxRequestBodyBytes"):
        yield BodyLimit(causes=part.causes, octets=part.number("maxRequestBodyBytes"))


def retry(part: Part) -> Iterable[Feature]:
    """Read `retry`."""
    part.tell("converted-with-difference", "connections that fail are tried elsewhere, up to three times")
    return ()


def errors(part: Part) -> Iterable[Feature]:
    """Read `errors`."""
    statuses: list[int] = []
    for found in filter(None, map(_STATUS.fullmatch, part.texts("status"))):
        statuses += range(int(found[1]), int(found[2] or found[1]) + 1)
    service = part.mapping("service")
    if part.spec.get("statusRewrites"):
        part.tell("no-equivalent", "statusRewrites: answers keep their status", "have the backend say the other one")
    if part.spec.get("query"):
        part.tell("converted-with-difference", "the Service is asked by HTTPFilter `errorPages`, not by `query`")
    kept = tuple(sorted({item for item in statuses if item >= 400}))[:MAX_STATUSES]
    namespace = str(service.get("namespace") or part.item.namespace)
    name, port = str(service.get("name", "")), str(service.get("port") or "")
    yield ErrorPages(causes=part.causes, statuses=kept, service=name, namespace=namespace, port=port)


def compress(part: Part) -> Iterable[Feature]:
    """Read `compress`."""
    part.tell("no-equivalent", "answers are not compressed", "have the applications compress")
    return ()


def harmless(part: Part) -> Iterable[Feature]:
    """Read `harmless`."""
    part.tell("dropped-harmless", "answers go on with the type that the backend says")
    return ()


def breaker(part: Part) -> Iterable[Feature]:
    """Read `breaker`."""
    part.tell("no-equivalent", "no policy is made of it", "BackendPolicy `health`")
    return ()


def headers(part: Part) -> Iterable[Feature]:
    """Read `headers`."""
    return read_headers(part.spec, part.causes, part.tell)
