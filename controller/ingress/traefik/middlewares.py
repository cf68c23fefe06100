"""Middlewares that an Ingress names: filters and policies; what cannot be read and may protect closes the paths.

Source: Traefik's reference of HTTP middlewares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...api.ingress import Middleware
from .. import values
from ..features import (
    Addresses,
    BasicAuth,
    BodyLimit,
    Closed,
    ErrorPages,
    ExternalAuth,
    Feature,
    HttpsRedirect,
    Limit,
    Limits,
    PathEdit,
    RequestHeaders,
    ResponseHeaders,
)
from ..losses import Cause, Fate
from ..options import Name
from ..provider import Reading
from .headers import read_headers

NAME = "router.middlewares"
#: Middlewares that a chain may come to.
MAX_CHAIN = 64
_GROUP = re.compile(r"\$\{?([0-9])\}?")
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)
MAX_STATUSES = 200

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One Middleware, while it is read.

    Attributes:
        reading: of the Ingress that names it.
        item: the Middleware.
        kind: the key of its spec.
        spec: what stands there.
    """

    reading: Reading
    item: Middleware
    kind: str
    spec: Spec

    @property
    def cause(self) -> Cause:
        """Where it is written."""
        return self.reading.inventory.cause(self.item, f"spec.{self.kind}")

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The same, after the annotation that names it."""
        return (self.cause, *self.reading.causes(NAME))

    def tell(self, fate: Fate, message: str, remedy: str = "") -> None:
        """Tell what became of it."""
        self.reading.ledger.tell(self.cause, fate, message, remedy)

    def closed(self, message: str, remedy: str) -> Closed:
        """Nobody may be let in without it."""
        self.tell("no-equivalent", f"{message}: its paths answer 500", remedy)
        return Closed(causes=self.causes, reason=message)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.spec.get(key)
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def mapping(self, key: str) -> Spec:
        """What stands below a key."""
        found = self.spec.get(key)
        return found if isinstance(found, dict) else {}

    def number(self, key: str) -> int:
        """A whole number; 0: none."""
        found = self.spec.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


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
            made = _KINDS.get(kind)
            if made is None:
                yield part.closed(f"{kind} is not read, and it may say who may", "write a policy or a filter")
                continue
            if made is not _harmless:
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
        return replace(one, causes=causes, fields=(*one.fields, *other.fields))
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


def _strip(part: Part) -> Iterable[Feature]:
    prefixes = part.texts("prefixes")
    if len(prefixes) == 1:
        yield PathEdit(causes=part.causes, kind="Prefix", find=prefixes[0], replacement="/")
    elif prefixes:
        pattern = f"^(?:{'|'.join(map(re.escape, prefixes))})/?"
        yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement="/")


def _strip_regex(part: Part) -> Iterable[Feature]:
    patterns = part.texts("regex")
    if patterns:
        pattern = f"^(?:{'|'.join(patterns)})/?"
        yield PathEdit(causes=part.causes, kind="Pattern", find=pattern, replacement="/")


def _add(part: Part) -> Iterable[Feature]:
    prefix = str(part.spec.get("prefix", ""))
    yield PathEdit(causes=part.causes, kind="Add", replacement=prefix if prefix.startswith("/") else f"/{prefix}")


def _replace(part: Part) -> Iterable[Feature]:
    path = str(part.spec.get("path", "/"))
    yield PathEdit(causes=part.causes, kind="Full", replacement=path if path.startswith("/") else f"/{path}")


def _replace_regex(part: Part) -> Iterable[Feature]:
    replacement = _GROUP.sub(r"\\\1", str(part.spec.get("replacement", "")))
    yield PathEdit(causes=part.causes, kind="Pattern", find=str(part.spec.get("regex", "")), replacement=replacement)


def _scheme(part: Part) -> Iterable[Feature]:
    if part.spec.get("scheme") != "https":
        yield part.closed("a redirect to another scheme than https", "write a RequestRedirect")
        return
    part.tell("converted-with-difference", "the status is 308 or 307 for every method; Traefik has 301 or 302 for GET")
    status = 308 if part.spec.get("permanent") else 307
    yield HttpsRedirect(causes=part.causes, status=status, forced=True)


def _redirect(part: Part) -> Iterable[Feature]:
    regex, target = str(part.spec.get("regex", "")), str(part.spec.get("replacement", ""))
    if regex.startswith("^http://") and target.startswith("https://"):
        yield HttpsRedirect(causes=part.causes, status=308 if part.spec.get("permanent") else 307, forced=True)
        return
    part.tell("no-equivalent", "a redirect by an expression of the whole URL is not made", "write a RequestRedirect")


def _basic(part: Part) -> Iterable[Feature]:
    secret = Name(part.item.namespace, str(part.spec.get("secret", "")))
    if not secret.name or secret.namespace != part.reading.ingress.namespace:
        yield part.closed("a policy reads Secrets of its own namespace alone", "copy the Secret to that of the Ingress")
        return
    found = part.reading.inventory.secrets.get(secret)
    if found is not None and found.data and "users" not in found.data:
        yield part.closed("the Secret has no key users", "make one of it that is an htpasswd file")
        return
    yield BasicAuth(causes=part.causes, secret=secret, key="users", realm=str(part.spec.get("realm") or "traefik"))


def _forward(part: Part) -> Iterable[Feature]:
    if part.spec.get("authResponseHeadersRegex"):
        yield part.closed("fields of answers by an expression", "name them in authResponseHeaders")
        return
    fields = part.texts("authResponseHeaders")
    yield ExternalAuth(causes=part.causes, url=str(part.spec.get("address", "")), response_headers=fields)


def _addresses(part: Part) -> Iterable[Feature]:
    networks = [values.network(item) for item in part.texts("sourceRange")]
    if None in networks or not networks:
        yield part.closed("no list of CIDR blocks", "correct the list")
        return
    if part.spec.get("ipStrategy"):
        message = "the address is that which the gateway takes for the client's"
        part.tell("converted-with-difference", message, "ClientPolicy `clientAddress.trustedProxies`")
    yield Addresses(causes=part.causes, allowed=tuple(dict.fromkeys(item for item in networks if item is not None)))


def _rate(part: Part) -> Iterable[Feature]:
    seconds = values.seconds(str(part.spec.get("period", "1s")))
    criterion = part.mapping("sourceCriterion")
    average = part.number("average")
    if not average:
        part.tell("dropped-harmless", "an average of 0 is no limit")
    elif not seconds or set(criterion) - {"ipStrategy"}:
        message = "a limit by something else than the address of the client, or of less than a second: none is made"
        part.tell("no-equivalent", message, "RateLimitPolicy `local.limits[]`")
    else:
        limit = Limit(name="rate", requests=average, seconds=seconds, burst=part.number("burst") or 1)
        yield Limits(causes=part.causes, limits=(limit,), status=429)


def _in_flight(part: Part) -> Iterable[Feature]:
    criterion = part.mapping("sourceCriterion")
    if set(criterion) != {"ipStrategy"} or not part.number("amount"):
        part.tell("no-equivalent", "a limit of all clients together: none is made", "RateLimitPolicy `local.limits[]`")
        return
    yield Limits(causes=part.causes, limits=(Limit(name="at-once", concurrent=part.number("amount")),), status=429)


def _buffering(part: Part) -> Iterable[Feature]:
    if set(part.spec) - {"maxRequestBodyBytes", "memRequestBodyBytes"}:
        part.tell("converted-with-difference", "answers are not collected, and nothing is retried by an expression")
    if part.number("maxRequestBodyBytes"):
        yield BodyLimit(causes=part.causes, octets=part.number("maxRequestBodyBytes"))


def _retry(part: Part) -> Iterable[Feature]:
    part.tell("converted-with-difference", "connections that fail are tried elsewhere, up to three times")
    return ()


def _errors(part: Part) -> Iterable[Feature]:
    statuses: list[int] = []
    for found in filter(None, map(_STATUS.fullmatch, part.texts("status"))):
        statuses += range(int(found[1]), int(found[2] or found[1]) + 1)
    service = part.mapping("service")
    if part.spec.get("query"):
        part.tell("converted-with-difference", "the Service is asked by HTTPFilter `errorPages`, not by `query`")
    kept = tuple(sorted({item for item in statuses if item >= 400}))[:MAX_STATUSES]
    namespace = str(service.get("namespace") or part.item.namespace)
    yield ErrorPages(causes=part.causes, statuses=kept, service=str(service.get("name", "")), namespace=namespace)


def _compress(part: Part) -> Iterable[Feature]:
    part.tell("no-equivalent", "answers are not compressed", "have the applications compress")
    return ()


def _harmless(part: Part) -> Iterable[Feature]:
    part.tell("dropped-harmless", "answers go on with the type that the backend says")
    return ()


def _breaker(part: Part) -> Iterable[Feature]:
    part.tell("no-equivalent", "no policy is made of it", "BackendPolicy `health`")
    return ()


def _headers(part: Part) -> Iterable[Feature]:
    return read_headers(part.spec, part.causes, part.tell)


#: What reads each kind; all others close the paths.
_KINDS: dict[str, Callable[[Part], Iterable[Feature]]] = {
    "stripPrefix": _strip,
    "stripPrefixRegex": _strip_regex,
    "addPrefix": _add,
    "replacePath": _replace,
    "replacePathRegex": _replace_regex,
    "redirectScheme": _scheme,
    "redirectRegex": _redirect,
    "headers": _headers,
    "basicAuth": _basic,
    "forwardAuth": _forward,
    "ipAllowList": _addresses,
    "ipWhiteList": _addresses,
    "rateLimit": _rate,
    "inFlightReq": _in_flight,
    "buffering": _buffering,
    "retry": _retry,
    "errors": _errors,
    "compress": _compress,
    "contentType": _harmless,
    "circuitBreaker": _breaker,
}
