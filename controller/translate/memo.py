"""What the translator keeps between translations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sluicegate import ir

from ..api import Diagnostic, ObjectKey, ReferenceGrant
from ..store.snapshot import Snapshot
from .backend_facts import BackendFacts
from .budget import Budgets
from .infrastructure.plane import DataPlane
from .ledger import Ledger
from .parts import Parts
from .policies.effective import Target
from .policies.stage import Conditions, PolicyMemo
from .programmed import Programmed
from .readers import Readers
from .routes import RouteFacts
from .shadowed import Place, Rank
from .status import Address, Status
from .topology import Classes, GatewayFacts, ListenerSetFacts, ParentView, Read, Topology
from .translation import Translation

#: (namespace, name) of a Service or EndpointSlice.
Pair = tuple[str, str]


@dataclass(slots=True)
class Memo:
    """Everything that is kept; lost as a whole when a translation fails.

    Attributes:
        snapshot, translation: the last ones.
        topology: facts of the last translation.
        policies: all that is kept of policies.
        affected: what Gateways and ListenerSets are told about the policies that are attached to them.
        classes: what GatewayClasses come to.
        parts: Gateways and ListenerSets by unit.
        gateways, listener_sets, families, parents: tables of the topology.
        holders: number of parts that have a certificate or a trust bundle, by id.
        part_listeners, part_trust, part_certificates: those of the parts, before policies have their say.
        moved_listeners, moved_material: ids of the first that parts were replaced of in this translation, and whether
            the others were.
        grants: by namespace.
        routes: facts by route.
        budgets: what the routes of each namespace cost.
        readers: routes by what they looked at.
        attachment_users: number of routes by attachment id.
        attached: number of routes by listener id.
        users: routes, and stanzas of policies, with their Gateways, by backend id.
        service_backends: backend ids by Service.
        service_slices, slice_service: EndpointSlices by Service, and back.
        places: routes by what they are for of a listener, in the order in which they have it.
        backends: facts by backend id.
        plain: backends whose appProtocol says TLS, and that get plain text.
        listeners, attachments, http_rules, l4_rules, ir_backends, endpoints, ir_policies, trust: the IR.
        certificates, policy_secrets: its secrets.
        statuses: by object.
        diagnostics: what is told by object; those of a backend under a key of kind `Backend`, of a route that others
            come before under `Rank.told_under`.
        planes: data planes, by `namespace/name`.
        assigned: addresses of the Services of Gateways.
        served_by: Gateways by their Service, where data planes are provisioned.
        programmed: the verdict on each Gateway before any report.
        serial: number of the last state.
    """

    snapshot: Snapshot | None = None
    translation: Translation | None = None
    topology: Topology | None = None
    policies: PolicyMemo = field(default_factory=PolicyMemo)
    affected: Ledger[Target, Conditions] = field(default_factory=Ledger)
    classes: Classes | None = None
    parts: Parts = field(default_factory=Parts)
    gateways: Ledger[ObjectKey, GatewayFacts] = field(default_factory=Ledger)
    listener_sets: Ledger[ObjectKey, ListenerSetFacts] = field(default_factory=Ledger)
    families: Ledger[ObjectKey, tuple[ObjectKey, ...]] = field(default_factory=Ledger)
    parents: Ledger[Read, ParentView] = field(default_factory=Ledger)
    holders: Counter[str] = field(default_factory=Counter)
    part_listeners: dict[str, ir.Listener] = field(default_factory=dict)
    part_trust: dict[str, ir.Trust] = field(default_factory=dict)
    part_certificates: dict[str, ir.Certificate] = field(default_factory=dict)
    moved_listeners: set[str] = field(default_factory=set)
    moved_material: bool = True
    grants: dict[str, tuple[ReferenceGrant, ...]] = field(default_factory=dict)
    routes: dict[ObjectKey, RouteFacts] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=Budgets)
    readers: Readers = field(default_factory=Readers)
    attachment_users: Counter[str] = field(default_factory=Counter)
    attached: Ledger[str, int] = field(default_factory=Ledger)
    users: dict[str, dict[ObjectKey, tuple[ObjectKey, ...]]] = field(default_factory=dict)
    service_backends: dict[Pair, set[str]] = field(default_factory=dict)
    service_slices: dict[Pair, set[Pair]] = field(default_factory=dict)
    slice_service: dict[Pair, Pair] = field(default_factory=dict)
    places: dict[Place, list[Rank]] = field(default_factory=dict)
    backends: dict[str, BackendFacts] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    listeners: Ledger[str, ir.Listener] = field(default_factory=Ledger)
    attachments: Ledger[str, ir.Attachment] = field(default_factory=Ledger)
    http_rules: Ledger[str, ir.HttpRule] = field(default_factory=Ledger)
    l4_rules: Ledger[str, ir.L4Rule] = field(default_factory=Ledger)
    ir_backends: Ledger[str, ir.Backend] = field(default_factory=Ledger)
    endpoints: Ledger[str, ir.Endpoint] = field(default_factory=Ledger)
    ir_policies: Ledger[str, ir.PolicyBase] = field(default_factory=Ledger)
    trust: Ledger[str, ir.Trust] = field(default_factory=Ledger)
    certificates: Ledger[str, ir.Certificate] = field(default_factory=Ledger)
    policy_secrets: Ledger[str, ir.PolicySecret] = field(default_factory=Ledger)
    statuses: Ledger[ObjectKey, Status] = field(default_factory=Ledger)
    diagnostics: Ledger[ObjectKey, tuple[Diagnostic, ...]] = field(default_factory=Ledger)
    planes: Ledger[str, DataPlane] = field(default_factory=Ledger)
    assigned: Ledger[ObjectKey, tuple[Address, ...]] = field(default_factory=Ledger)
    served_by: dict[Pair, set[ObjectKey]] = field(default_factory=dict)
    programmed: dict[ObjectKey, Programmed] = field(default_factory=dict)
    serial: int = 0
