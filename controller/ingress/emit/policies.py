"""Features that policies of routes say: who may, how much, how large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...api.ingress import Ingress
from .. import values
from ..features import (
    Addresses,
    BasicAuth,
    BodyLimit,
    ClientAddress,
    ClientConnections,
    ExternalAuth,
    Feature,
    Features,
    Limit,
    Limits,
    NoAccessLog,
    Refusals,
    Underscores,
)
from ..hosts import Host
from ..losses import Cause
from .authorization import authorization
from .external import emit_external
from .output import Output, Target

#: What our policies have room for: blocks of those who need no password, of those who are not limited; the greatest
#: limit.
MAX_EXEMPT, MAX_UNLIMITED, MAX_REQUESTS = 256, 64, 1_000_000
#: Of a number of a ClientPolicy, and octets of a size.
MAX_COUNT, MAX_OCTETS = (1 << 31) - 1, 1 << 40
#: Milliseconds that a connection of a client is kept.
MAX_KEPT = 720 * 3_600_000


class For(NamedTuple):
    """What a policy is for, and where it goes.

    Attributes:
        ingress: whose features they are.
        host: of the routes.
        targets: the routes.
        output: takes it.
        label: what tells its policies from others of the Ingress.
    """

    ingress: Ingress
    host: Host
    targets: list[Target]
    output: Output
    label: tuple[str, ...] = ()

    def part(self, kind: str, part: str, value: Any, causes: tuple[Cause, ...]) -> None:  # noqa: ANN401 (any part)
        """Take a part of the policy that the Ingress has of a kind."""
        name = self.output.names.give(kind, self.ingress.namespace, self.ingress.name, *self.label)
        self.output.policy(kind, self.ingress.namespace, name, self.targets, part, value, causes)


def _access(features: Features, meant: For) -> None:
    """Whom an address spares a password, and who is refused or may; with names of certificates `clients` says that."""
    addresses, clients = features.get(Addresses), meant.host.clients
    if addresses is not None and addresses.suffices:
        exempt = meant.output.fitting(
            addresses.allowed, MAX_EXEMPT, "blocks that need no password", addresses.cause_of("list")
        )
        meant.part("AccessPolicy", "exempt", {"clients": exempt}, addresses.causes)
        if addresses.denied:
            message = "an address that is denied is refused here even with a password, which was enough there"
            cause = addresses.causes[-1]
            meant.output.ledger.tell(cause, "converted-with-difference", message, touches=("access",))
    rules = authorization(features, None) if clients is None or not clients.pattern else None
    if rules is not None:
        meant.part("AccessPolicy", "authorization", *rules)


def _basic(feature: BasicAuth, meant: For) -> None:
    reference = {"name": feature.secret.name, **({"key": feature.key} if feature.key else {})}
    form = {} if feature.key else {"users": "Keys"}
    value = {"secretRef": reference, **form, "realm": feature.realm}
    meant.part("AccessPolicy", "basic", value, feature.causes)


def _body(feature: BodyLimit, meant: For) -> None:
    meant.part("ClientPolicy", "body", body_part(feature), feature.causes)


def body_part(feature: BodyLimit) -> dict[str, Any]:
    """`body` of a ClientPolicy."""
    return {"maxSize": values.quantity(feature.octets)} if feature.octets else {"mode": "Disabled"}


def _log(feature: NoAccessLog, meant: For) -> None:
    meant.part("ClientPolicy", "accessLog", {"mode": "Disabled"}, feature.causes)


def _limits(feature: Limits, meant: For) -> None:
    output, cause = meant.output, feature.cause
    value: dict[str, Any] = {"limits": [_limit(item, item.cause or cause, output) for item in feature.limits]}
    if feature.exempt:
        exempt = output.fitting(feature.exempt, MAX_UNLIMITED, "blocks that are not limited", feature.cause_of("list"))
        value["exempt"] = {"clients": exempt}
    value["headers"] = "None"
    value["reject"] = {"status": feature.status}
    meant.part("RateLimitPolicy", "local", value, feature.causes)


def _limit(limit: Limit, cause: Cause, output: Output) -> dict[str, Any]:
    """Each pod gives all of it, as each replica of ingress-nginx does."""
    found: dict[str, Any] = {"name": limit.name, "key": ["client"], "pods": "Each"}
    if limit.concurrent:
        return {**found, "concurrent": output.at_most(limit.concurrent, MAX_REQUESTS, "a limit", cause)}
    requests = output.at_most(limit.requests, MAX_REQUESTS, "a limit", cause)
    burst = output.at_most(limit.burst, MAX_REQUESTS, "a burst", cause)
    return {**found, "requests": requests, "per": f"{limit.seconds}s", "burst": burst}


def _external(feature: ExternalAuth, meant: For) -> None:
    emit_external(feature, meant.ingress, meant.host, meant.targets, meant.output)


_EMITTERS: dict[type[Feature], Callable[[Any, For], None]] = {
    BasicAuth: _basic,
    ExternalAuth: _external,
    BodyLimit: _body,
    NoAccessLog: _log,
    Limits: _limits,
}
POLICY_FEATURES = frozenset({Addresses, Refusals, *_EMITTERS})
#: Of the whole Gateway.
GATEWAY_FEATURES = frozenset({BodyLimit, ClientAddress, ClientConnections, Underscores})


def emit_policies(features: Features, meant: For) -> None:
    """Make the policies of an Ingress for some of its routes."""
    if meant.targets:
        _access(features, meant)
    for kind, emit in _EMITTERS.items():
        feature = features.get(kind)
        if feature is not None and meant.targets:
            emit(feature, meant)


def emit_gateway_policies(features: Features, target: Target, namespace: str, output: Output) -> None:
    """Make the policies of the Gateway."""
    parts: list[tuple[str, dict[str, Any], Feature]] = []
    body, underscores = features.get(BodyLimit), features.get(Underscores)
    address, connections = features.get(ClientAddress), features.get(ClientConnections)
    if body is not None:
        parts.append(("body", body_part(body), body))
    headers, of_headers = _heads(underscores, connections)
    if of_headers is not None:
        parts.append(("headers", headers, of_headers))
    if connections is not None:
        parts += [(part, value, connections) for part, value in _connections(connections, output).items()]
    if address is not None:
        value: dict[str, Any] = {"trustedProxies": list(address.trusted)}
        if address.proxy_protocol:
            value["proxyProtocol"] = "Required"
        parts.append(("clientAddress", value, address))
    name = output.names.give("ClientPolicy", namespace, target["name"], "defaults")
    for part, content, feature in parts:
        output.policy("ClientPolicy", namespace, name, [target], part, content, feature.causes)


def _heads(
    underscores: Underscores | None, connections: ClientConnections | None
) -> tuple[dict[str, Any], Feature | None]:
    """`headers` of a ClientPolicy, and what it comes from; None: nothing."""
    found: dict[str, Any] = {"underscores": "Drop"} if underscores is not None else {}
    if connections is not None and connections.head_octets:
        found["maxSize"] = values.quantity(min(connections.head_octets, MAX_OCTETS))
    return found, underscores or (connections if found else None)


def _connections(feature: ClientConnections, output: Output) -> dict[str, Any]:
    """Parts of a ClientPolicy that are about connections."""
    found: dict[str, Any] = {}
    if feature.idle:
        cause = feature.cause_of("keep-alive")
        found["timeouts"] = {"idle": output.at_most_time(feature.idle * 1000, MAX_KEPT, "a time", cause)}
    if feature.requests:
        found["connections"] = {
            "maxRequests": output.at_most(feature.requests, MAX_COUNT, "a number", feature.cause_of("requests"))
        }
    if feature.streams:
        found["http2"] = {
            "maxConcurrentStreams": output.at_most(feature.streams, MAX_COUNT, "a number", feature.cause_of("streams"))
        }
    if feature.versions:
        found["tls"] = {"minVersion": min(feature.versions), "maxVersion": max(feature.versions)}
    return found
