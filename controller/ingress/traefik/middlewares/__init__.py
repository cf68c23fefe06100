"""Middlewares that an Ingress names: filters and policies; what cannot be read and may protect closes the paths.

Source: Traefik's reference of HTTP middlewares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ...features import Closed, Feature, Limits, PathEdit, RequestHeaders, ResponseHeaders
from ...reading import Reading
from . import access, messages, paths
from .part import NAME, Part

#: Middlewares that a chain may come to.
MAX_CHAIN = 64

#: What reads each kind; all others close the paths.
KINDS: dict[str, Callable[[Part], Iterable[Feature]]] = {
    "stripPrefix": paths.strip,
    "stripPrefixRegex": paths.strip_regex,
    "addPrefix": paths.add,
    "replacePath": paths.replace,
    "replacePathRegex": paths.replace_regex,
    "redirectScheme": paths.scheme,
    "redirectRegex": paths.redirect,
    "headers": messages.headers,
    "basicAuth": access.basic,
    "forwardAuth": access.forward,
    "ipAllowList": access.addresses,
    "ipWhiteList": access.addresses,
    "rateLimit": access.rate,
    "inFlightReq": access.in_flight,
    "buffering": messages.buffering,
    "retry": messages.retry,
    "errors": messages.errors,
    "compress": messages.compress,
    "contentType": messages.harmless,
    "circuitBreaker": messages.breaker,
}


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the Middlewares of an Ingress, each kind once."""
    found: dict[type[Feature], Feature] = {}
    for feature in _all(reading):
        there = found.get(type(feature))
        merged = feature if there is None else _merged(there, feature)
        if merged is None:
            message = "two Middlewares of one kind cannot be said together: its paths answer 500"
            reading.tell(NAME, "no-equivalent", message, "make one of them")
            merged = Closed(causes=feature.causes, reason="two Middlewares of one kind")
        found[type(merged)] = merged
    yield from found.values()


def _all(reading: Reading) -> Iterator[Feature]:
    left = list(reading.words(NAME))
    by_name = {
        f"{namespace}-{name}@kubernetescrd": item for (namespace, name), item in reading.inventory.middlewares.items()
    }
    read = 0
    while left:
        name, read = left.pop(0), read + 1
        item = by_name.get(name)
        if item is None or read > MAX_CHAIN:
            message = f"{name} is not here, and it may say who may: its paths answer 500"
            reading.tell(NAME, "no-equivalent", message, "give the Middleware as well")
            yield Closed(causes=reading.causes(NAME), reason="a Middleware that is not here")
            return
        for kind, spec in item.spec.items():
            part = Part(reading, item, kind, spec if isinstance(spec, dict) else {})
            if kind == "chain":
                left[:0] = _chained(part)
                continue
            made = KINDS.get(kind)
            if made is None:
                yield part.closed(f"{kind} is not read, and it may say who may", "write a policy or a filter")
                continue
            if made is not messages.harmless:
                part.tell("converted", "filters and policies of the Ingress")
            yield from made(part)


def _chained(part: Part) -> list[str]:
    """The names of the Middlewares of a chain; what is no name is one that is not there."""
    written = part.spec.get("middlewares")
    items = [item if isinstance(item, dict) else {} for item in written] if isinstance(written, list) else [{}]
    own = part.item.namespace
    return [f"{item.get('namespace') or own}-{item.get('name', '')}@kubernetescrd" for item in items]


def _merged(one: Feature, other: Feature) -> Feature | None:
    """Two features as one; None: they cannot be said together."""
    causes = (*one.causes, *other.causes)
    if isinstance(one, RequestHeaders) and isinstance(other, RequestHeaders):
        removed = (*one.removed, *other.removed)
        return replace(one, causes=causes, fields=(*one.fields, *other.fields), removed=removed)
    if isinstance(one, ResponseHeaders) and isinstance(other, ResponseHeaders):
        return replace(one, causes=causes, fields=(*one.fields, *other.fields), hidden=(*one.hidden, *other.hidden))
    if isinstance(one, Limits) and isinstance(other, Limits):
        names = {item.name for item in (*one.limits, *other.limits)}
        together = (*one.limits, *other.limits)
        return replace(one, causes=causes, limits=together) if len(names) == len(together) else None
    if isinstance(one, Closed) or one == other:
        return one
    adds = isinstance(one, PathEdit) and isinstance(other, PathEdit) and (one.kind, other.kind) == ("Prefix", "Add")
    if adds and isinstance(one, PathEdit) and isinstance(other, PathEdit) and one.replacement == "/":
        return replace(one, causes=causes, replacement=other.replacement)
    return None
