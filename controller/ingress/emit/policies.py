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
    ExternalAuth,
    Feature,
    Features,
    Limit,
    Limits,
    NoAccessLog,
    Underscores,
)
from ..site import Host
from .external import emit_external
from .output import Output, Target


class For(NamedTuple):
    """What a policy is for, and where it goes.

    Attributes:
        ingress: whose features they are.
        host: of the routes.
        targets: the routes.
        output: takes it.
    """

    ingress: Ingress
    host: Host
    targets: list[Target]
    output: Output

    def part(self, kind: str, part: str, value: Any, feature: Feature) -> None:  # noqa: ANN401 (any part of a spec)
        """Take a part of the policy that the Ingress has of a kind."""
        name = self.output.names.give(kind, self.ingress.namespace, self.ingress.name)
        self.output.policy(kind, self.ingress.namespace, name, self.targets, part, value, feature.causes)


def _addresses(feature: Addresses, meant: For) -> None:
    if feature.suffices:
        meant.part("AccessPolicy", "exempt", {"clients": list(feature.allowed)}, feature)
        if not feature.denied:
            return
    rules: list[dict[str, Any]] = []
    if feature.denied:
        rules.append({"action": "Deny", "clients": list(feature.denied)})
    if feature.allowed and not feature.suffices:
        rules.append({"clients": list(feature.allowed)})
    value: dict[str, Any] = {"rules": rules}
    if not feature.allowed or feature.suffices:
        value = {"default": "Allow", "rules": rules}
    meant.part("AccessPolicy", "authorization", value, feature)


def _basic(feature: BasicAuth, meant: For) -> None:
    value = {"secretRef": {"name": feature.secret.name, "key": feature.key}, "realm": feature.realm}
    meant.part("AccessPolicy", "basic", value, feature)


def _body(feature: BodyLimit, meant: For) -> None:
    meant.part("ClientPolicy", "body", body_part(feature), feature)


def body_part(feature: BodyLimit) -> dict[str, Any]:
    """`body` of a ClientPolicy."""
    return {"maxSize": values.quantity(feature.octets)} if feature.octets else {"mode": "Disabled"}


def _log(feature: NoAccessLog, meant: For) -> None:
    meant.part("ClientPolicy", "accessLog", {"mode": "Disabled"}, feature)


def _limits(feature: Limits, meant: For) -> None:
    value: dict[str, Any] = {"limits": [_limit(item) for item in feature.limits]}
    if feature.exempt:
        value["exempt"] = {"clients": list(feature.exempt)}
    value["headers"] = "None"
    value["reject"] = {"status": feature.status}
    meant.part("RateLimitPolicy", "local", value, feature)


def _limit(limit: Limit) -> dict[str, Any]:
    """Each pod gives all of it, as each replica of ingress-nginx does."""
    found: dict[str, Any] = {"name": limit.name, "key": ["client"], "pods": "Each"}
    if limit.concurrent:
        return {**found, "concurrent": limit.concurrent}
    return {**found, "requests": limit.requests, "per": f"{limit.seconds}s", "burst": limit.burst}


def _external(feature: ExternalAuth, meant: For) -> None:
    emit_external(feature, meant.ingress, meant.host, meant.targets, meant.output)


_EMITTERS: dict[type[Feature], Callable[[Any, For], None]] = {
    Addresses: _addresses,
    BasicAuth: _basic,
    ExternalAuth: _external,
    BodyLimit: _body,
    NoAccessLog: _log,
    Limits: _limits,
}
POLICY_FEATURES = frozenset(_EMITTERS)
#: Without these nobody may be let in.
PROTECTING: tuple[type[Feature], ...] = (Addresses, BasicAuth, ExternalAuth)
#: Of the whole Gateway.
GATEWAY_FEATURES = frozenset({BodyLimit, ClientAddress, Underscores})


def emit_policies(features: Features, meant: For) -> None:
    """Make the policies of an Ingress for some of its routes."""
    for kind, emit in _EMITTERS.items():
        feature = features.get(kind)
        if feature is not None and meant.targets:
            emit(feature, meant)


def emit_gateway_policies(features: Features, target: Target, namespace: str, output: Output) -> None:
    """Make the policies of the Gateway."""
    parts: list[tuple[str, dict[str, Any], Feature]] = []
    body, underscores = features.get(BodyLimit), features.get(Underscores)
    address = features.get(ClientAddress)
    if body is not None:
        parts.append(("body", body_part(body), body))
    if underscores is not None:
        parts.append(("headers", {"underscores": "Drop"}, underscores))
    if address is not None:
        value: dict[str, Any] = {"trustedProxies": list(address.trusted)}
        if address.proxy_protocol:
            value["proxyProtocol"] = "Required"
        parts.append(("clientAddress", value, address))
    name = output.names.give("ClientPolicy", namespace, target["name"], "defaults")
    for part, content, feature in parts:
        output.policy("ClientPolicy", namespace, name, [target], part, content, feature.causes)
