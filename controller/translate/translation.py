"""What a translation comes to: configuration, status and diagnostics of one snapshot."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..api import Diagnostic, ObjectKey
from ..store.snapshot import Snapshot
from .infrastructure.plane import DataPlane
from .report import (
    ApplyReport,
    ListenerReport,
    Programming,
    bind_diagnostics,
    class_status,
    gateway_status,
    listener_set_status,
    read_report,
)
from .state import State
from .status import Address, Status
from .topology import ListenerSetFacts, Topology

_NO_FAILURES: Mapping[ObjectKey, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Translation:
    """Immutable; everything is derived from the same facts.

    Attributes:
        snapshot: what was translated.
        ir: the engine's configuration.
        statuses: status of every object that this controller has a say in.
        topology: facts about Gateways, ListenerSets and listeners.
        attached: number of routes attached to each listener, by its id.
        noted: what `diagnostics` is made of, by object, backend or place.
        status_addresses: what Gateways report that bind all addresses.
        reports: what the engine said of each listener, by its id; empty before `with_report`.
        settled: every engine that is there had its say in the reports.
        infrastructure: planned data planes by `namespace/name`; empty without provisioning.
        assigned: addresses of the Services of Gateways.
    """

    snapshot: Snapshot
    ir: State
    statuses: Mapping[ObjectKey, Status]
    topology: Topology
    attached: Mapping[str, int]
    noted: tuple[Mapping[ObjectKey, tuple[Diagnostic, ...]], ...]
    status_addresses: tuple[str, ...] = ()
    reports: Mapping[str, ListenerReport] = field(default_factory=lambda: MappingProxyType({}))
    settled: bool = False
    infrastructure: Mapping[str, DataPlane] = field(default_factory=lambda: MappingProxyType({}))
    assigned: Mapping[ObjectKey, tuple[Address, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def due(self) -> float | None:
        """When it has to be made again although nothing changed, seconds since 1970; None: never."""
        return self.topology.due

    def is_due(self, now: float | None) -> bool:
        """Whether that moment has come."""
        return now is not None and self.due is not None and now >= self.due

    @functools.cached_property
    def diagnostics(self) -> list[Diagnostic]:
        """All that is worth telling, with places, in the order of the files."""
        found = [item for table in self.noted for items in table.values() for item in items]
        return sorted(map(self._placed, found), key=Diagnostic.order)

    def _placed(self, item: Diagnostic) -> Diagnostic:
        origin = self.snapshot.origin(ObjectKey.parse(item.object))
        return item.at(origin) if origin is not None else item

    def with_report(
        self, report: bytes | Mapping[str, object] | ApplyReport, failures: Mapping[ObjectKey, str] = _NO_FAILURES
    ) -> Translation:
        """Return the same translation after engines applied it: `Programmed`, addresses and bind errors.

        Args:
            report: of the engine, or of all engines together.
            failures: why data planes could not be provisioned, by Gateway.
        """
        said = read_report(report)
        reports = {item.id: item for item in said.listeners}
        statuses = dict(self.statuses)
        programming = Programming(self.attached, reports, self.status_addresses, self.assigned, failures)
        statuses.update(topology_statuses(self.topology, programming))
        failed: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        for item in bind_diagnostics(self.topology, reports):
            key = ObjectKey.parse(item.object)
            failed[key] = (*failed.get(key, ()), item)
        noted = (*self.noted, failed)
        return replace(self, statuses=statuses, noted=noted, reports=reports, settled=said.settled)


def topology_statuses(
    topology: Topology, programming: Programming, only: frozenset[ObjectKey] | None = None
) -> dict[ObjectKey, Status]:
    """Write the statuses of classes, Gateways and ListenerSets, of all or only of some."""
    by_gateway: dict[ObjectKey, list[ListenerSetFacts]] = {}
    for item in topology.listener_sets.values():
        by_gateway.setdefault(item.gateway, []).append(item)
    result: dict[ObjectKey, Status] = {}
    if only is None:
        result.update((item.key, class_status(item, verdict, topology)) for item, verdict in topology.classes)
    for key in topology.gateways if only is None else only & topology.gateways.keys():
        result[key] = gateway_status(topology.gateways[key], by_gateway.get(key, ()), programming)
    for key in topology.listener_sets if only is None else only & topology.listener_sets.keys():
        item = topology.listener_sets[key]
        parent = topology.gateways[item.gateway]
        result[key] = listener_set_status(item, parent, by_gateway.get(item.gateway, ()), programming)
    return result
