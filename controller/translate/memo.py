"""What the translator keeps between translations, and how it is published.

`Ledger` is a dictionary that knows what changed since it was last published; publishing gives an immutable copy, or the
last copy where nothing changed. Values that stay equal keep their identity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

from sluicegate import ir

from ..api import Diagnostic, ObjectKey, ReferenceGrant
from ..store.snapshot import Snapshot
from .backends import BackendFacts
from .infrastructure.plane import DataPlane
from .parts import Parts
from .policies import PolicyFacts
from .report import Programmed
from .routes import RouteFacts
from .shadowed import Place
from .status import Address, Status
from .topology import Classes, GatewayFacts, ListenerSetFacts, ParentView, Read, Topology
from .translation import Translation

K = TypeVar("K")
V = TypeVar("V")

#: (namespace, name) of a Service or EndpointSlice.
Pair = tuple[str, str]


class Ledger(Generic[K, V]):
    """A dictionary with a list of what changed since the last `publish`."""

    def __init__(self) -> None:
        self._items: dict[K, V] = {}
        self._changed: set[K] = set()
        self._published: Mapping[K, V] = MappingProxyType({})

    def get(self, key: K) -> V | None:
        """Look up a value."""
        return self._items.get(key)

    def keys(self) -> Set[K]:
        """All keys."""
        return self._items.keys()

    def items(self) -> Mapping[K, V]:
        """The content of this moment, without a copy."""
        return MappingProxyType(self._items)

    def is_changed(self, key: K) -> bool:
        """Whether a value is another one than when it was last published."""
        return key in self._changed

    def put(self, key: K, value: V) -> None:
        """Set a value; an equal one stays as it is."""
        old = self._items.get(key)
        if old is value or (old is not None and old == value):
            return
        self._items[key] = value
        self._changed.add(key)

    def drop(self, key: K) -> None:
        """Remove a value; what is not there is no error."""
        if self._items.pop(key, None) is not None:
            self._changed.add(key)

    def replace(self, items: Mapping[K, V]) -> None:
        """Make the content equal to `items`."""
        for key in [key for key in self._items if key not in items]:
            self.drop(key)
        for key, value in items.items():
            self.put(key, value)

    def replace_part(self, old: Iterable[K], new: Mapping[K, V]) -> None:
        """Put in what one stage has now in place of what it had, by its keys."""
        for key in old:
            if key not in new:
                self.drop(key)
        for key, value in new.items():
            self.put(key, value)

    def publish(self) -> tuple[Mapping[K, V], frozenset[K]]:
        """Return the content as an immutable mapping, and the keys that changed since the last time."""
        if not self._changed:
            return self._published, frozenset()
        changed = frozenset(self._changed)
        self._changed = set()
        self._published = MappingProxyType(dict(self._items))
        return self._published, changed


@dataclass(slots=True)
class Memo:
    """Everything that is kept; lost as a whole when a translation fails.

    Attributes:
        snapshot, translation: the last ones.
        topology, policies: facts of the last translation.
        classes: what GatewayClasses come to.
        parts: Gateways and ListenerSets by unit.
        gateways, listener_sets, families, parents: tables of the topology.
        holders: number of parts that have a certificate or a trust bundle, by id.
        part_trust: trust bundles of the parts.
        grants: by namespace.
        routes: facts by route.
        readers: routes by what they looked at.
        attached: number of routes by listener id.
        users: routes, with their Gateways, by backend id.
        service_backends: backend ids by Service.
        service_slices, slice_service: EndpointSlices by Service, and back.
        places: rules by what they are for of a listener, in the order in which they have it.
        backends: facts by backend id.
        wants_tls: backends whose appProtocol says TLS.
        listeners, http_rules, l4_rules, ir_backends, endpoints, backend_tls, trust, certificates: the IR.
        statuses: by object.
        diagnostics: what is told by object; those of a backend under a key of kind `Backend`, of a place under `Place`.
        planes: data planes, by `namespace/name`.
        assigned: addresses of the Services of Gateways.
        served_by: Gateways by their Service, where data planes are provisioned.
        programmed: the verdict on each Gateway before any report.
        serial: number of the last state.
    """

    snapshot: Snapshot | None = None
    translation: Translation | None = None
    topology: Topology | None = None
    policies: PolicyFacts | None = None
    classes: Classes | None = None
    parts: Parts = field(default_factory=Parts)
    gateways: Ledger[ObjectKey, GatewayFacts] = field(default_factory=Ledger)
    listener_sets: Ledger[ObjectKey, ListenerSetFacts] = field(default_factory=Ledger)
    families: Ledger[ObjectKey, tuple[ObjectKey, ...]] = field(default_factory=Ledger)
    parents: Ledger[Read, ParentView] = field(default_factory=Ledger)
    holders: Counter[str] = field(default_factory=Counter)
    part_trust: dict[str, ir.Trust] = field(default_factory=dict)
    grants: dict[str, tuple[ReferenceGrant, ...]] = field(default_factory=dict)
    routes: dict[ObjectKey, RouteFacts] = field(default_factory=dict)
    readers: dict[Read, set[ObjectKey]] = field(default_factory=dict)
    attached: Ledger[str, int] = field(default_factory=Ledger)
    users: dict[str, dict[ObjectKey, tuple[ObjectKey, ...]]] = field(default_factory=dict)
    service_backends: dict[Pair, set[str]] = field(default_factory=dict)
    service_slices: dict[Pair, set[Pair]] = field(default_factory=dict)
    slice_service: dict[Pair, Pair] = field(default_factory=dict)
    places: dict[Place, list[ir.L4Rule]] = field(default_factory=dict)
    backends: dict[str, BackendFacts] = field(default_factory=dict)
    wants_tls: set[str] = field(default_factory=set)
    listeners: Ledger[str, ir.Listener] = field(default_factory=Ledger)
    http_rules: Ledger[str, ir.HttpRule] = field(default_factory=Ledger)
    l4_rules: Ledger[str, ir.L4Rule] = field(default_factory=Ledger)
    ir_backends: Ledger[str, ir.Backend] = field(default_factory=Ledger)
    endpoints: Ledger[str, ir.Endpoint] = field(default_factory=Ledger)
    backend_tls: Ledger[str, ir.BackendTls] = field(default_factory=Ledger)
    trust: Ledger[str, ir.Trust] = field(default_factory=Ledger)
    certificates: Ledger[str, ir.Certificate] = field(default_factory=Ledger)
    statuses: Ledger[ObjectKey, Status] = field(default_factory=Ledger)
    diagnostics: Ledger[ObjectKey, tuple[Diagnostic, ...]] = field(default_factory=Ledger)
    planes: Ledger[str, DataPlane] = field(default_factory=Ledger)
    assigned: Ledger[ObjectKey, tuple[Address, ...]] = field(default_factory=Ledger)
    served_by: dict[Pair, set[ObjectKey]] = field(default_factory=dict)
    programmed: dict[ObjectKey, Programmed] = field(default_factory=dict)
    serial: int = 0
