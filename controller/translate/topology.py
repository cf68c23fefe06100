"""The facts about Gateways and ListenerSets that everything else reads.

Gateways that depend on each other are translated together, to a `Part`: listeners and certificates of the IR, the facts
that statuses are written from, and for each parent a `ParentView`, which is all that a route may know of it. Views are
compared by value, so that a renewed certificate does not translate any route again. `Topology` is all parts together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from sluicegate import ir

from ..api import Diagnostic, Gateway, GatewayClass, GatewayParametersSpec, LabelSelector, ListenerSet, ObjectKey
from .infrastructure.plane import ClusterAddresses, PlaneRequest
from .status import Feature, Kind, Verdict

#: Something that a result depends on: (kind, namespace, name); for ReferenceGrant the name is empty (all of them).
Read = tuple[str, str, str]


class AttachPoint(msgspec.Struct, frozen=True, gc=False):
    """A listener as routes see it.

    Attributes:
        id: IR id of the listener.
        name: section name.
        port: port as written, what `parentRef.port` means.
        hostname: lower case; empty: any.
        kinds: of the routes that may attach (`allowedRoutes.kinds` and protocol).
        passthrough: TLS goes through it as it is, so nothing can be said to backends in TLS.
        anonymous: no certificate of a client is validated at it.
        ends_tls: TLS ends at it.
        namespace: namespace that `from: Same` means.
        allowed_from: `Same`, `All`, `Selector`; anything else allows nothing.
        selector: for `Selector`.
        served: whether the IR has it. Routes attach to others too (`attachedRoutes`), without effect.
    """

    id: str
    name: str
    port: int
    hostname: str
    kinds: tuple[str, ...]
    passthrough: bool
    anonymous: bool
    ends_tls: bool
    namespace: str
    allowed_from: str
    selector: LabelSelector | None
    served: bool


class ParentView(msgspec.Struct, frozen=True):
    """A Gateway or ListenerSet as routes see it.

    Attributes:
        key: the parent.
        gateway: the Gateway that it is or belongs to: the ancestor of policies.
        points: its listeners; empty where a ListenerSet is not allowed.
        moved: ports of the Gateway's HTTP and HTTPS listeners that clients reach at another one because of
            `Options.port_offset`, with that other one: redirects lead there.
    """

    key: ObjectKey
    gateway: ObjectKey
    points: tuple[AttachPoint, ...]
    moved: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """What a listener's status is written from."""

    id: str
    name: str
    kinds: tuple[Kind, ...]
    accepted: Verdict
    resolved: Verdict
    conflicted: Verdict
    overlapping: bool
    served: bool
    path: str


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What a Gateway's status is written from.

    Attributes:
        object: the Gateway.
        accepted: its own verdict.
        goes_on: it is not accepted, and served on as it was.
        resolved: its own verdict, and the summary of its listeners'.
        insecure: whether clients without a valid certificate may be let in anywhere.
        addresses: addresses to bind, normal form; empty: all.
        given: what the pool gave it, one of `addresses`.
        unassigned: why it has no address to bind, so that it is not served; empty: it has, or binds all.
        unusable: why addresses of the spec cannot be bound.
        requested: addresses that its Service is to have, normal form; only where data planes are provisioned.
        cluster: what it asks for of routability `Cluster`; likewise.
        service: (namespace, name) of its Service; only where data planes are provisioned.
        service_owner: uid of the object that owns that Service; empty: none does (shared).
        listeners: in the order written.
        attached_sets: number of accepted ListenerSets.
    """

    object: Gateway
    accepted: Verdict
    goes_on: bool
    resolved: Verdict
    insecure: bool
    addresses: tuple[str, ...]
    given: str | None
    unassigned: str
    unusable: tuple[str, ...]
    requested: tuple[str, ...]
    cluster: ClusterAddresses | None
    service: tuple[str, str] | None
    service_owner: str
    listeners: tuple[ListenerFacts, ...]
    attached_sets: int


@dataclass(frozen=True, slots=True)
class ListenerSetFacts:
    """What a ListenerSet's status is written from."""

    object: ListenerSet
    gateway: ObjectKey
    accepted: Verdict
    listeners: tuple[ListenerFacts, ...]


@dataclass(frozen=True, slots=True)
class ClassParameters:
    """A class as its Gateways see it; `error` says why its parameters cannot be used."""

    spec: GatewayParametersSpec
    error: str = ""


@dataclass(frozen=True, slots=True)
class Classes:
    """What our GatewayClasses come to.

    Attributes:
        verdicts: our classes with the verdict on each.
        served: why Gateways of a class are not served, by its name; empty: they are.
        parameters: of our classes, by name.
        diagnostics: what is told by class.
        reads: what else was looked at.
    """

    verdicts: tuple[tuple[GatewayClass, Verdict], ...]
    served: Mapping[str, str]
    parameters: Mapping[str, ClassParameters]
    diagnostics: Mapping[ObjectKey, tuple[Diagnostic, ...]]
    reads: frozenset[Read]


@dataclass(frozen=True, slots=True)
class Part:
    """What Gateways come to that are translated together.

    Attributes:
        gateways: ours, by key.
        listener_sets: those of our Gateways, by key.
        families: the ListenerSets of each of our Gateways, in the order of precedence.
        parents: views by (kind, namespace, name).
        listeners, certificates, trust: IR resources by id.
        listener_policies: what filters of listeners come to, by the id of the listener.
        diagnostics: what is told by object.
        planes: what data planes are needed, by `namespace/name`; empty without provisioning.
        reads: what else was looked at, besides the Gateways and ListenerSets themselves.
        missing: since when Secrets are gone whose certificates serve on, by id; seconds since 1970.
        due: when it changes by itself, because of a certificate's time; seconds since 1970; None: never.
    """

    gateways: Mapping[ObjectKey, GatewayFacts]
    listener_sets: Mapping[ObjectKey, ListenerSetFacts]
    families: Mapping[ObjectKey, tuple[ObjectKey, ...]]
    parents: Mapping[Read, ParentView]
    listeners: Mapping[str, ir.Listener]
    certificates: Mapping[str, ir.Certificate]
    trust: Mapping[str, ir.Trust]
    diagnostics: Mapping[ObjectKey, tuple[Diagnostic, ...]]
    planes: Mapping[str, PlaneRequest]
    reads: frozenset[Read]
    missing: Mapping[str, float]
    listener_policies: Mapping[str, tuple[ir.StanzaBase, ...]] = field(default_factory=dict)
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """All of it; shares with the one before what did not change.

    Attributes:
        classes: our GatewayClasses with the verdict on each.
        gateways: ours, by key.
        listener_sets: those of our Gateways, by key.
        families: the ListenerSets of each of our Gateways, in the order of precedence.
        parents: views by (kind, namespace, name).
        features: what our classes publish.
        version: the verdict on the installed version of the Gateway API; None where nobody tells it.
        missing: since when Secrets are gone whose certificates serve on, by id; seconds since 1970.
        due: when it changes by itself, because of a certificate's time; seconds since 1970; None: never.
    """

    classes: tuple[tuple[GatewayClass, Verdict], ...]
    gateways: Mapping[ObjectKey, GatewayFacts]
    listener_sets: Mapping[ObjectKey, ListenerSetFacts]
    families: Mapping[ObjectKey, tuple[ObjectKey, ...]]
    parents: Mapping[Read, ParentView]
    features: tuple[Feature, ...]
    version: Verdict | None
    missing: Mapping[str, float]
    due: float | None = None
