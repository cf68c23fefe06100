"""Middlewares that say who may, and how much.

Source: `pkg/middlewares/{auth,ipallowlist,ratelimiter,inflightreq}` of Traefik, `createBasicAuthMiddleware` of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ... import values
from ...features import Addresses, BasicAuth, ExternalAuth, Feature, Limit, Limits
from ...options import Name
from .part import Part, Spec

#: Type of Secrets that have one user and a password in plain text.
_PLAIN = "kubernetes.io/basic-auth"


def basic(part: Part) -> Iterable[Feature]:
    """Read `basic`."""
    secret = Name(part.item.namespace, str(part.spec.get("secret", "")))
    if not secret.name or secret.namespace != part.reading.ingress.namespace:
        yield part.closed("a policy reads Secrets of its own namespace alone", "copy the Secret to that of the Ingress")
        return
    if part.spec.get("headerField"):
        # Clients could set it themselves.
        remedy = "HTTPFilter `headers.request.set[].expression`: `identity.user`"
        yield part.closed("nobody would set the field with the name of the user, which backends trust", remedy)
        return
    found = part.reading.inventory.secrets.get(secret)
    keys = sorted({*found.data, *found.string_data}) if found is not None else []
    if found is not None and (found.type == _PLAIN or len(keys) > 1):
        yield part.closed("the Secret is no htpasswd file under one key", "make one of it")
        return
    if not part.spec.get("removeHeader"):
        part.tell("converted-with-difference", "backends get no `Authorization`, as with `removeHeader`")
    key = keys[0] if keys else "users"
    yield BasicAuth(causes=part.causes, secret=secret, key=key, realm=str(part.spec.get("realm") or "traefik"))


def forward(part: Part) -> Iterable[Feature]:
    """Read `forward`."""
    if part.spec.get("authResponseHeadersRegex"):
        yield part.closed("fields of answers by an expression", "name them in authResponseHeaders")
        return
    if part.spec.get("headerField"):
        yield part.closed(
            "nobody would set the field with the name of the user, which backends trust", "write a policy"
        )
        return
    message = "the service is given the method of the request, `Authorization`, `Cookie` and few other fields, no body"
    part.tell("converted-with-difference", message, "name what else it needs in `external.http.allowedHeaders`")
    others = sorted({*part.spec} & {"addAuthCookiesToResponse", "authSigninURL", "maxBodySize", "tls"})
    if others:
        part.tell("no-equivalent", f"{', '.join(others)}: not read", "see `external` of the AccessPolicy")
    fields = part.texts("authResponseHeaders")
    yield ExternalAuth(
        causes=part.causes,
        url=str(part.spec.get("address", "")),
        method="GET",
        computed=(("X-Forwarded-Method", "request.method"),),
        response_headers=fields,
    )


def addresses(part: Part) -> Iterable[Feature]:
    """Read `addresses`."""
    networks = [values.network(item) for item in part.texts("sourceRange")]
    if None in networks or not networks:
        yield part.closed("no list of CIDR blocks", "correct the list")
        return
    if _is_forwarded(part.mapping("ipStrategy")):
        # The address of the connection may be that of a proxy, which the list may let in.
        remedy = "ClientPolicy `clientAddress.trustedProxies`, then AccessPolicy `authorization`"
        yield part.closed(
            "the address is one of `X-Forwarded-For`, and which proxies are believed is not known", remedy
        )
        return
    if part.number("rejectStatusCode") not in {0, 403}:
        part.tell("converted-with-difference", "others are told 403")
    yield Addresses(causes=part.causes, allowed=tuple(dict.fromkeys(item for item in networks if item is not None)))


def _is_forwarded(strategy: Spec) -> bool:
    """Whether an address is taken from `X-Forwarded-For`."""
    return bool(strategy.get("depth") or strategy.get("excludedIPs"))


def rate(part: Part) -> Iterable[Feature]:
    """Read `rate`."""
    seconds = values.seconds(str(part.spec.get("period") or "1s"))
    criterion = part.mapping("sourceCriterion")
    average = part.number("average")
    if not average:
        part.tell("dropped-harmless", "an average of 0 is no limit")
    elif not seconds or set(criterion) - {"ipStrategy"}:
        message = "a limit by something else than the address of the client, or of less than a second: none is made"
        part.tell("no-equivalent", message, "RateLimitPolicy `local.limits[]`")
    else:
        _tell_counting(part, criterion)
        limit = Limit(name="rate", requests=average, seconds=seconds, burst=part.number("burst") or 1)
        yield Limits(causes=part.causes, limits=(limit,), status=429)


def in_flight(part: Part) -> Iterable[Feature]:
    """Read `in_flight`."""
    criterion = part.mapping("sourceCriterion")
    if set(criterion) != {"ipStrategy"} or not part.number("amount"):
        part.tell("no-equivalent", "a limit of all clients together: none is made", "RateLimitPolicy `local.limits[]`")
        return
    _tell_counting(part, criterion)
    yield Limits(causes=part.causes, limits=(Limit(name="at-once", concurrent=part.number("amount")),), status=429)


def _tell_counting(part: Part, criterion: Spec) -> None:
    """Tell where clients are told apart, or counted, in another way."""
    strategy = criterion.get("ipStrategy")
    if isinstance(strategy, dict) and strategy:
        message = "clients are told apart by the address that the gateway takes for theirs"
        part.tell("converted-with-difference", message, "ClientPolicy `clientAddress.trustedProxies`")
    if part.spec.get("redis"):
        part.tell("converted-with-difference", "each data plane counts by itself", "RateLimitPolicy `global`")
