"""Features that policies of routes say: who may, how much, how large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from ..hosts import Host
from ..losses import Cause
from .external import emit_external
from .output import Output, Target

#: What our policies have room for: blocks of a rule, of those who need no password, of those who are not limited; the
#: greatest limit.
MAX_BLOCKS, MAX_EXEMPT, MAX_UNLIMITED, MAX_REQUESTS = 256, 256, 64, 1_000_000


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
        exempt = meant.output.fitting(feature.allowed, MAX_EXEMPT, "blocks that need no password", feature.cause)
        meant.part("AccessPolicy", "exempt", {"clients": exempt}, feature)
        if not feature.denied:
            return
        message = "an address that is denied is refused here even with a password, which was enough there"
        cause = feature.causes[-1]
        meant.output.ledger.tell(cause, "converted-with-difference", message, touches=("access",))
    rules: list[dict[str, Any]] = []
    rules += [{"action": "Deny", "clients": some} for some in _pieces(feature.denied)]
    if not feature.suffices:
        rules += [{"clients": some} for some in _pieces(feature.allowed)]
    value: dict[str, Any] = {"rules": rules}
    if not feature.allowed or feature.suffices:
        value = {"default": "Allow", "rules": rules}
    meant.part("AccessPolicy", "authorization", value, feature)


def _pieces(blocks: Sequence[str]) -> list[list[str]]:
    """Blocks in pieces that a rule has room for."""
    return [list(blocks[start : start + MAX_BLOCKS]) for start in range(0, len(blocks), MAX_BLOCKS)]


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
    output, cause = meant.output, feature.cause
    value: dict[str, Any] = {"limits": [_limit(item, cause, output) for item in feature.limits]}
    if feature.exempt:
        exempt = output.fitting(feature.exempt, MAX_UNLIMITED, "blocks that are not limited", cause)
        value["exempt"] = {"clients": exempt}
    value["headers"] = "None"
    value["reject"] = {"status": feature.status}
    meant.part("RateLimitPolicy", "local", value, feature)


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
