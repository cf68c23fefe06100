"""Middlewares that say who may, and how much."""

from __future__ import annotations

from collections.abc import Iterable

from ... import values
from ...features import Addresses, BasicAuth, ExternalAuth, Feature, Limit, Limits
from ...options import Name
from .part import Part


def basic(part: Part) -> Iterable[Feature]:
    """Read `basic`."""
    secret = Name(part.item.namespace, str(part.spec.get("secret", "")))
    if not secret.name or secret.namespace != part.reading.ingress.namespace:
        yield part.closed("a policy reads Secrets of its own namespace alone", "copy the Secret to that of the Ingress")
        return
    found = part.reading.inventory.secrets.get(secret)
    if found is not None and found.data and "users" not in found.data:
        yield part.closed("the Secret has no key users", "make one of it that is an htpasswd file")
        return
    yield BasicAuth(causes=part.causes, secret=secret, key="users", realm=str(part.spec.get("realm") or "traefik"))


def forward(part: Part) -> Iterable[Feature]:
    """Read `forward`."""
    if part.spec.get("authResponseHeadersRegex"):
        yield part.closed("fields of answers by an expression", "name them in authResponseHeaders")
        return
    fields = part.texts("authResponseHeaders")
    yield ExternalAuth(causes=part.causes, url=str(part.spec.get("address", "")), response_headers=fields)


def addresses(part: Part) -> Iterable[Feature]:
    """Read `addresses`."""
    networks = [values.network(item) for item in part.texts("sourceRange")]
    if None in networks or not networks:
        yield part.closed("no list of CIDR blocks", "correct the list")
        return
    if part.spec.get("ipStrategy"):
        message = "the address is that which the gateway takes for the client's"
        part.tell("converted-with-difference", message, "ClientPolicy `clientAddress.trustedProxies`")
    yield Addresses(causes=part.causes, allowed=tuple(dict.fromkeys(item for item in networks if item is not None)))


def rate(part: Part) -> Iterable[Feature]:
    """Read `rate`."""
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


def in_flight(part: Part) -> Iterable[Feature]:
    """Read `in_flight`."""
    criterion = part.mapping("sourceCriterion")
    if set(criterion) != {"ipStrategy"} or not part.number("amount"):
        part.tell("no-equivalent", "a limit of all clients together: none is made", "RateLimitPolicy `local.limits[]`")
        return
    yield Limits(causes=part.causes, limits=(Limit(name="at-once", concurrent=part.number("amount")),), status=429)
