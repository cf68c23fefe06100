"""What a translation comes to: configuration, status and diagnostics of one snapshot."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from sluicegate.ir import ListenerReport

from ..api import Diagnostic, ObjectKey, placed_at
from ..api.kinds import PARENT_KINDS
from ..store.snapshot import Snapshot
from .apply_report import ApplyReport, held_by_object, read_report
from .infrastructure.plane import DataPlane
from .policies.effective import Target
from .policies.stage import Conditions
from .programmed import Programmed, Programming
from .provider_keys import Away, away_by_policy, told_away
from .report import bind_diagnostics, owner_of, parent_statuses
from .state import State
from .status import Address, RouteStatus, Status, fallen_back
from .topology import Topology

_serials = itertools.count(1)
_NO_FAILURES: Mapping[ObjectKey, str] = MappingProxyType({})
_NOBODY: Away = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Translation:
    """Immutable; everything is derived from the same facts.

    Attributes:
        snapshot: what was translated.
        ir: the engine's configuration.
        statuses: status of every object that this controller has a say in.
        topology: facts about Gateways, ListenerSets and listeners.
        attached: number of routes attached to each listener, by its id.
        noted: what `diagnostics` is made of, by object or backend.
        status_addresses: what Gateways report that bind all addresses.
        reports: what the engine said of each listener, by its id; empty before `with_report`.
        settled: every engine that is there had its say in the reports.
        infrastructure: planned data planes by `namespace/name`; empty without provisioning.
        assigned: addresses of the Services of Gateways.
        changed: objects whose status may differ from that in the translation before.
        base: serial of that one; 0: there is none.
        serial: number of this translation, unique in the process.
        origin: serial of the one that the reports were added to; 0: there are none.
        said: what the reports were taken from.
        errors: of the reports, those with an error.
        failures: why data planes could not be provisioned, by Gateway.
        programmed: the verdict on each Gateway by the reports.
        affected: what Gateways and ListenerSets are told about the policies that are attached to them.
        held: what engines refuse of an object and keep at what they had, by object; of Gateways and ListenerSets it is
            in the reports.
        away: identity providers whose keys engines cannot fetch, by the policies that name them.
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
    changed: frozenset[ObjectKey] = frozenset()
    base: int = 0
    serial: int = field(default_factory=lambda: next(_serials))
    origin: int = 0
    said: ApplyReport | None = None
    errors: Mapping[str, ListenerReport] = field(default_factory=lambda: MappingProxyType({}))
    failures: Mapping[ObjectKey, str] = field(default_factory=lambda: MappingProxyType({}))
    programmed: Mapping[ObjectKey, Programmed] = field(default_factory=lambda: MappingProxyType({}))
    affected: Mapping[Target, Conditions] = field(default_factory=lambda: MappingProxyType({}))
    held: Mapping[ObjectKey, str] = field(default_factory=lambda: MappingProxyType({}))
    away: Away = field(default_factory=lambda: MappingProxyType({}))

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
        return sorted(map(self._placed, dict.fromkeys(found)), key=Diagnostic.order)

    def _placed(self, item: Diagnostic) -> Diagnostic:
        origin = self.snapshot.origin(ObjectKey.parse(item.object))
        return placed_at(item, origin) if origin is not None else item

    def changed_since(self, before: Translation | None) -> Collection[ObjectKey]:
        """Objects whose status may be another one than in a translation before; cheap for the one before."""
        if before is not None and before.serial in {self.serial, self.base}:
            return self.changed if before.serial == self.base else ()
        old = before.statuses if before is not None else {}
        found = [key for key, status in self.statuses.items() if old.get(key) is not status]
        return found + [key for key in old if key not in self.statuses]

    def with_report(
        self,
        report: bytes | Mapping[str, object] | ApplyReport,
        failures: Mapping[ObjectKey, str] = _NO_FAILURES,
        before: Translation | None = None,
    ) -> Translation:
        """Return the same translation after engines applied it: `Programmed`, addresses and bind errors.

        Args:
            report: of the engine, or of all engines together.
            failures: why data planes could not be provisioned, by Gateway.
            before: what this returned last time: it changes nothing of the result, but only what changed since is done
                again.
        """
        said = read_report(report)
        if before is not None and before.said is said:
            reports, errors, held = before.reports, before.errors, before.held
        else:
            reports = {item.id: item for item in said.listeners}
            errors = {item.id: item for item in said.listeners if item.error is not None}
            held = held_by_object(said.held)
        away = away_by_policy(self.ir.policies.values(), said.away) if said.away else _NOBODY
        programming = Programming(
            self.attached, reports, self.status_addresses, self.assigned, failures, errors, self.affected
        )
        changed = self._changed_with(before, reports, failures, held, away)
        if before is None or changed is None:
            old: Mapping[ObjectKey, Status] = {}
            known: Mapping[ObjectKey, Programmed] = {}
            parents: Collection[ObjectKey] = (*self.topology.gateways, *self.topology.listener_sets)
            statuses = {**self.statuses}
        else:
            old, known, parents = before.statuses, before.programmed, changed
            statuses = _copied(old)
            for key in changed:
                if key not in self.statuses:
                    statuses.pop(key, None)
                elif key.kind not in PARENT_KINDS:
                    statuses[key] = self.statuses[key]
        for key, found in (*self._fallen_back(held), *told_away(self.statuses, away, self.infrastructure)):
            statuses[key] = old[key] if old.get(key) == found else found
        faults: dict[ObjectKey, str] = {}
        new, programmed = parent_statuses(self.topology, programming, parents, known, faults)
        for key, status in new.items():
            statuses[key] = old[key] if old.get(key) == status else status
        failed = self._keep_faulty(faults, statuses, before)
        for item in (*bind_diagnostics(self.topology, errors), *_held_diagnostics(held)):
            key = ObjectKey.parse(item.object)
            failed[key] = (*failed.get(key, ()), item)
        looked = new.keys() if changed is None else changed | new.keys()
        return replace(
            self,
            statuses=statuses,
            noted=(*self.noted, failed),
            reports=reports,
            settled=said.settled,
            changed=frozenset(key for key in looked if statuses.get(key) is not old.get(key)),
            base=before.serial if before is not None and changed is not None else 0,
            serial=next(_serials),
            origin=self.serial,
            said=said,
            errors=errors,
            failures=failures,
            held=held,
            away=away,
            programmed={key: item for key, item in {**known, **programmed}.items() if key in self.topology.gateways}
            if programmed or changed
            else known,
        )

    def _keep_faulty(
        self, faults: Mapping[ObjectKey, str], statuses: dict[ObjectKey, Status], before: Translation | None
    ) -> dict[ObjectKey, tuple[Diagnostic, ...]]:
        """Put back the statuses of Gateways that cannot be written; returns what is told of that."""
        failed: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        for key, reason in faults.items():
            message = f"{reason}; its status, and those of its ListenerSets, stay as they were"
            failed[key] = (Diagnostic(severity="error", object=str(key), code="fault", message=message),)
            for own in (key, *self.topology.families.get(key, ())):
                if before is not None and own in before.statuses:
                    statuses[own] = before.statuses[own]
        return failed

    def _fallen_back(self, held: Mapping[ObjectKey, str]) -> Iterator[tuple[ObjectKey, Status]]:
        """Statuses of routes of which engines keep what they had."""
        for key, text in held.items():
            status = self.statuses.get(key)
            if isinstance(status, RouteStatus):
                yield key, fallen_back(status, text)

    def _changed_with(
        self,
        before: Translation | None,
        reports: Mapping[str, ListenerReport],
        failures: Mapping[ObjectKey, str],
        held: Mapping[ObjectKey, str],
        away: Away,
    ) -> Set[ObjectKey] | None:
        """Objects whose status may be another one than with the reports before; None: any."""
        if before is None or before.origin not in {self.serial, self.base}:
            return None
        changed = set(self.changed) if before.origin == self.base else set()
        if reports is not before.reports:
            found = [key for key, item in reports.items() if before.reports.get(key) != item]
            found += [key for key in before.reports if key not in reports]
            changed.update(owner_of(key) for key in found)
        if failures != before.failures:
            changed.update(key for key in failures if before.failures.get(key) != failures[key])
            changed.update(key for key in before.failures if key not in failures)
        if held is not before.held:
            changed.update(key for key in held.keys() | before.held.keys() if held.get(key) != before.held.get(key))
        changed.update(key for key in away.keys() | before.away.keys() if away.get(key) != before.away.get(key))
        return changed


def _held_diagnostics(held: Mapping[ObjectKey, str]) -> Iterator[Diagnostic]:
    for key, text in held.items():
        message = f"a data plane refuses it and keeps what it had: {text}"
        remedy = "write it another way, or report this"
        yield Diagnostic(severity="error", object=str(key), code="refused", message=message, remedy=remedy)


def _copied(table: Mapping[ObjectKey, Status]) -> dict[ObjectKey, Status]:
    """A copy; one of a dictionary costs a hundredth of one of any other mapping."""
    return table.copy() if isinstance(table, dict) else dict(table)
