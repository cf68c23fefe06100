"""Status as the API writes it: conditions and their owners.

Lists that the API does not require are left out where they are empty: who waits for the first address with `kubectl
wait --for=jsonpath=` is told at once that an empty list has none. `lastTransitionTime` is missing on purpose:
translation has no clock; the writer of status compares with what is there and sets the time of what really changed.
`observedGeneration` is the generation of the object that was translated.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..api import GATEWAY_GROUP, Gateway, ParentReference
from .conditions import ConditionType, Reason

Truth = Literal["True", "False", "Unknown"]

#: `metav1.Condition.message` takes no more.
MAX_MESSAGE_LENGTH = 32_768


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`metav1.Condition` without time."""

    type: str
    status: Truth
    reason: Reason
    message: str
    observed_generation: int


class Kind(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`RouteGroupKind`."""

    group: str
    kind: str


class Reference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`ParentReference`: repeats what the route wrote, with group and kind."""

    group: str
    kind: str
    namespace: str | None = None
    name: str
    section_name: str | None = None
    port: int | None = None

    @classmethod
    def of_parent(cls, parent: ParentReference) -> Reference:
        """Repeat a `parentRefs[]` entry."""
        return cls(
            group=parent.group,
            kind=parent.kind,
            namespace=parent.namespace,
            name=parent.name,
            section_name=parent.section_name,
            port=parent.port,
        )

    @classmethod
    def of_gateway(cls, gateway: Gateway) -> Reference:
        """Name a Gateway as the ancestor of a policy."""
        return cls(group=GATEWAY_GROUP, kind="Gateway", namespace=gateway.namespace, name=gateway.name)


class RouteParentStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`status.parents[]` of a route."""

    parent_ref: Reference
    controller_name: str
    conditions: tuple[Condition, ...]


class RouteStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The entries of this controller in the status of a route; those of others stay as they are."""

    parents: tuple[RouteParentStatus, ...]


class ListenerStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`status.listeners[]` of a Gateway or a ListenerSet."""

    name: str
    supported_kinds: tuple[Kind, ...] = ()
    attached_routes: int
    conditions: tuple[Condition, ...]


class Address(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`status.addresses[]`; `routability` only where the Gateway asks for it (older CRDs do not have it)."""

    type: str
    value: str
    routability: str | None = None


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`Gateway.status`."""

    addresses: tuple[Address, ...] = ()
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...] = ()
    attached_listener_sets: int


class ListenerSetStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`ListenerSet.status`."""

    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...] = ()


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """`status.supportedFeatures[]`."""

    name: str


class GatewayClassStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`GatewayClass.status`."""

    conditions: tuple[Condition, ...]
    supported_features: tuple[Feature, ...] = ()


class PolicyAncestorStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`status.ancestors[]` of a policy."""

    ancestor_ref: Reference
    controller_name: str
    conditions: tuple[Condition, ...]


class PolicyStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The entries of this controller in the status of a policy; those of others stay as they are."""

    ancestors: tuple[PolicyAncestorStatus, ...]


Status = GatewayClassStatus | GatewayStatus | ListenerSetStatus | RouteStatus | PolicyStatus


def to_document(status: Status) -> dict[str, Any]:
    """Turn a status into what goes into the object's `status` field."""
    document: dict[str, Any] = msgspec.to_builtins(status)
    return document


class Verdict(msgspec.Struct, frozen=True):
    """Whether something holds, and why: a condition before it has a type."""

    ok: bool
    reason: Reason
    message: str

    def condition(self, kind: str, generation: int) -> Condition:
        """Make the condition of the given type."""
        return Condition(
            type=kind,
            status="True" if self.ok else "False",
            reason=self.reason,
            message=self.message[:MAX_MESSAGE_LENGTH],
            observed_generation=generation,
        )


def fallen_back(status: RouteStatus, text: str) -> RouteStatus:
    """The status of a route of which engines keep what they had (`PartiallyInvalid`, whose message begins so)."""
    verdict = Verdict(True, Reason.UNSUPPORTED_VALUE, f"Fall Back: a data plane keeps what it had: {text}")

    def told(parent: RouteParentStatus) -> RouteParentStatus:
        condition = verdict.condition(ConditionType.PARTIALLY_INVALID, parent.conditions[0].observed_generation)
        others = (item for item in parent.conditions if item.type != condition.type)
        return msgspec.structs.replace(parent, conditions=(*others, condition))

    return RouteStatus(parents=tuple(map(told, status.parents)))
