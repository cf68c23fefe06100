"""Middlewares that an Ingress names: filters and policies; what cannot be read and may protect closes the paths.

Source: Traefik's reference of HTTP middlewares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...features import Closed, Feature, each_once
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
    kept, clashing = each_once(_all(reading))
    if clashing:
        message = "two Middlewares of one kind cannot be said together: its paths answer 500"
        reading.tell(NAME, "no-equivalent", message, "make one of them")
        yield Closed(causes=clashing[0].causes, reason="two Middlewares of one kind")
    yield from kept


def _all(reading: Reading) -> Iterator[Feature]:
    left = list(reading.words(NAME))
    read = 0
    while left:
        name, read = left.pop(0), read + 1
        item = reading.inventory.middleware(name)
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
