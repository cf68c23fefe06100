"""Facts to the status of GatewayClasses, Gateways and ListenerSets, with or without the engine's report.

`Programmed` follows the report of the engine, never hope: until there is one it is Unknown. A port that could not be
bound makes its listener `PortUnavailable`; an address that this machine does not have makes the Gateway
`AddressNotUsable`; everything else serves on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from sluicegate.ir import ListenerReport

from ..api import Diagnostic, GatewayClass, ObjectKey
from .conditions import ConditionType, Reason
from .policies.effective import Target
from .policies.stage import Conditions
from .status import (
    Address,
    Condition,
    GatewayClassStatus,
    GatewayStatus,
    ListenerSetStatus,
    ListenerStatus,
    Truth,
    Verdict,
)
from .topology import GatewayFacts, ListenerFacts, ListenerSetFacts, Topology
from .values import normal_address

#: Codes of the engine for addresses that this machine does not have.
ADDRESS_CODES = frozenset({"address_not_available", "address-not-available", "address_unavailable"})


#: Code of a data plane that refuses the configuration and serves the one before.
REFUSED = "refused"


class HeldResource(msgspec.Struct, frozen=True):
    """A resource of the IR that an engine refuses and keeps at what it had, and why."""

    kind: str
    id: str
    reason: str

    @property
    def object(self) -> ObjectKey | None:
        """The object that it was made of; None where that cannot be told."""
        parts = self.id.split("/")
        owned = self.kind in {"http_rule", "l4_rule", "policy", "listener"} and len(parts) >= 3
        return ObjectKey(*parts[:3]) if owned else None


class ApplyReport(msgspec.Struct, frozen=True):
    """The engine's answer to a transaction, or what several engines said; unknown fields are ignored.

    Attributes:
        generation: of the transaction.
        listeners: one for each.
        settled: false where engines are there that did not say yet what they have.
        held: what engines refuse and keep at what they had.
    """

    generation: int
    listeners: tuple[ListenerReport, ...] = ()
    settled: bool = True
    held: tuple[HeldResource, ...] = ()


def read_report(report: bytes | Mapping[str, object] | ApplyReport) -> ApplyReport:
    """Take a report in any of its forms.

    Raises:
        msgspec.ValidationError: it is no report.
    """
    if isinstance(report, ApplyReport):
        return report
    if isinstance(report, bytes):
        return msgspec.json.decode(report, type=ApplyReport)
    return msgspec.convert(report, ApplyReport)


@dataclass(frozen=True, slots=True)
class Programming:
    """What statuses are written from besides facts.

    Attributes:
        counts: routes attached to each listener, by its id.
        reports: reports by listener id; None: nothing was applied yet.
        addresses: what a Gateway that binds all addresses reports.
        assigned: addresses of the Services of Gateways; only where data planes are provisioned.
        failures: why the data plane of a Gateway could not be provisioned.
        errors: of the reports, those with an error.
        affected: what Gateways and ListenerSets are told about the policies that are attached to them.
    """

    counts: Mapping[str, int]
    reports: Mapping[str, ListenerReport] | None
    addresses: tuple[str, ...] = ()
    assigned: Mapping[ObjectKey, tuple[Address, ...]] = field(default_factory=dict)
    failures: Mapping[ObjectKey, str] = field(default_factory=dict)
    errors: Mapping[str, ListenerReport] = field(default_factory=dict)
    affected: Mapping[Target, Conditions] = field(default_factory=dict)

    def told(self, owner: ObjectKey, section: str, generation: int) -> list[Condition]:
        """What an object, or one of its listeners, is told about policies."""
        found = self.affected.get(Target(*owner), {})
        return [verdict.condition(kind, generation) for kind, verdict in found.get(section, ())]


def class_status(item: GatewayClass, verdict: Verdict, topology: Topology) -> GatewayClassStatus:
    """Write the status of a GatewayClass."""
    generation = item.metadata.generation
    conditions = [verdict.condition(ConditionType.ACCEPTED, generation)]
    if topology.version is not None:
        conditions.append(topology.version.condition(ConditionType.SUPPORTED_VERSION, generation))
    return GatewayClassStatus(conditions=tuple(conditions), supported_features=topology.features)


def gateway_status(facts: GatewayFacts, programmed: Programmed, programming: Programming) -> GatewayStatus:
    """Write the status of a Gateway."""
    generation = facts.object.metadata.generation
    truth, reason, message = programmed
    conditions = [
        facts.accepted.condition(ConditionType.ACCEPTED, generation),
        _condition(ConditionType.PROGRAMMED, truth, reason, message, generation),
        facts.resolved.condition(ConditionType.RESOLVED_REFS, generation),
    ]
    if facts.insecure:
        text = "Clients without a valid certificate are let in (AllowInsecureFallback)"
        conditions.append(
            _condition(
                ConditionType.INSECURE_FRONTEND_VALIDATION_MODE, "True", Reason.CONFIGURATION_CHANGED, text, generation
            )
        )
    conditions += programming.told(facts.object.key, "", generation)
    return GatewayStatus(
        addresses=_addresses(facts, programming),
        conditions=tuple(conditions),
        listeners=tuple(_listener_status(facts.object.key, item, generation, programming) for item in facts.listeners),
        attached_listener_sets=facts.attached_sets,
    )


def listener_set_status(facts: ListenerSetFacts, parent: Programmed, programming: Programming) -> ListenerSetStatus:
    """Write the status of a ListenerSet; `parent` is the verdict on its Gateway."""
    generation = facts.object.metadata.generation
    truth, reason, message = _set_programmed(facts, parent, programming)
    return ListenerSetStatus(
        conditions=(
            facts.accepted.condition(ConditionType.ACCEPTED, generation),
            _condition(ConditionType.PROGRAMMED, truth, reason, message, generation),
            *programming.told(facts.object.key, "", generation),
        ),
        listeners=tuple(_listener_status(facts.object.key, item, generation, programming) for item in facts.listeners),
    )


def bind_diagnostics(topology: Topology, errors: Mapping[str, ListenerReport]) -> list[Diagnostic]:
    """Tell what could not be bound; `errors` are the reports with one, by listener id."""
    found: list[Diagnostic] = []
    for identifier, report in errors.items():
        key = owner_of(identifier)
        owner: GatewayFacts | ListenerSetFacts | None = topology.gateways.get(key) or topology.listener_sets.get(key)
        item = next((item for item in owner.listeners if item.id == identifier), None) if owner is not None else None
        if item is not None and report.error is not None:
            found.append(
                Diagnostic(
                    severity="error",
                    object=str(key),
                    field=f"{item.path}.port",
                    code="bind-failed",
                    message=f"listener {item.name}: {report.error.message}",
                    remedy=report.error.hint or "use another port or address",
                )
            )
    return found


def owner_of(listener: str) -> ObjectKey:
    """The Gateway or ListenerSet that a listener belongs to, by its id."""
    return ObjectKey(*listener.split("/")[:3])


#: Status, reason and message of a condition `Programmed`.
Programmed = tuple[Truth, Reason, str]


def _condition(kind: ConditionType, truth: Truth, reason: Reason, message: str, generation: int) -> Condition:
    return Condition(type=kind, status=truth, reason=reason, message=message, observed_generation=generation)


def _failed_on_address(report: ListenerReport | None) -> bool:
    return report is not None and report.error is not None and report.error.code in ADDRESS_CODES


def _listener_programmed(facts: ListenerFacts, programming: Programming) -> Programmed:
    if facts.conflicted.ok:
        return "False", facts.conflicted.reason, facts.conflicted.message
    if not facts.served:
        cause = facts.accepted if not facts.accepted.ok else facts.resolved
        message = cause.message if not cause.ok else "The Gateway is not served"
        return "False", Reason.INVALID, message
    report = programming.reports.get(facts.id) if programming.reports is not None else None
    if report is None:
        return "Unknown", Reason.PENDING, "The listener is not applied yet"
    if report.error is not None and report.error.code == REFUSED:
        return "False", Reason.INVALID, report.error.message
    if report.bound:
        return "True", Reason.PROGRAMMED, f"Listening on {', '.join(report.bound)}"
    reason = Reason.ADDRESS_NOT_USABLE if _failed_on_address(report) else Reason.PORT_UNAVAILABLE
    return "False", reason, report.error.message if report.error is not None else "The engine did not bind the listener"


def _listener_status(
    owner: ObjectKey, facts: ListenerFacts, generation: int, programming: Programming
) -> ListenerStatus:
    truth, reason, message = _listener_programmed(facts, programming)
    accepted = facts.accepted
    if reason == Reason.PORT_UNAVAILABLE and accepted.ok:
        accepted = Verdict(False, reason, message)
    conditions = [
        accepted.condition(ConditionType.ACCEPTED, generation),
        facts.conflicted.condition(ConditionType.CONFLICTED, generation),
        _condition(ConditionType.PROGRAMMED, truth, reason, message, generation),
        facts.resolved.condition(ConditionType.RESOLVED_REFS, generation),
    ]
    if facts.overlapping:
        text = "The hostname overlaps with that of another HTTPS listener on the same port"
        conditions.append(
            _condition(ConditionType.OVERLAPPING_TLS_CONFIG, "True", Reason.OVERLAPPING_HOSTNAMES, text, generation)
        )
    conditions += programming.told(owner, facts.name, generation)
    return ListenerStatus(
        name=facts.name,
        supported_kinds=facts.kinds,
        attached_routes=programming.counts.get(facts.id, 0),
        conditions=tuple(conditions),
    )


def gateway_programmed(facts: GatewayFacts, sets: Iterable[ListenerSetFacts], programming: Programming) -> Programmed:
    """Say whether a Gateway is programmed: at least one listener serves, and every address works.

    A Gateway may have thousands of ListenerSets: the first listener that serves says enough.
    """
    if not facts.accepted.ok and not facts.goes_on:
        return "False", Reason.INVALID, facts.accepted.message
    if facts.unassigned:
        return "False", Reason.ADDRESS_NOT_ASSIGNED, facts.unassigned
    sets = tuple(sets)
    if facts.listeners and next(iter(_served(facts, sets)), None) is None:
        return "False", Reason.INVALID, facts.accepted.message
    missing = _provisioning_problem(facts, programming)
    if missing is not None:
        return missing
    if programming.reports is None:
        return "Unknown", Reason.PENDING, "The Gateway is not applied yet"
    if facts.unusable:
        return "False", Reason.ADDRESS_NOT_USABLE, "; ".join(facts.unusable)
    if any(map(_failed_on_address, programming.errors.values())):
        for item in _served(facts, sets):
            report = programming.errors.get(item.id)
            if report is not None and report.error is not None and _failed_on_address(report):
                return "False", Reason.ADDRESS_NOT_USABLE, report.error.message
    return _by_served(facts, sets, programming)


def _by_served(facts: GatewayFacts, sets: Iterable[ListenerSetFacts], programming: Programming) -> Programmed:
    first: Programmed | None = None
    pending: Programmed | None = None
    for item in _served(facts, sets):
        outcome = _listener_programmed(item, programming)
        if outcome[0] == "True":
            first = None
            break
        first = first or outcome
        if outcome[0] == "Unknown":
            pending = pending or outcome
    if first is None:
        text = "The Gateway is programmed" if facts.accepted.ok else "It serves on with the data plane that it has"
        return "True", Reason.PROGRAMMED, text
    return pending or ("False", Reason.INVALID, first[2])


def _served(facts: GatewayFacts, sets: Iterable[ListenerSetFacts]) -> Iterator[ListenerFacts]:
    """The listeners that are served, the Gateway's own first."""
    every = itertools.chain(facts.listeners, *(part.listeners for part in sets))
    return (item for item in every if item.served)


def _provisioning_problem(facts: GatewayFacts, programming: Programming) -> Programmed | None:
    """What keeps a provisioned Gateway from being programmed; None: nothing, or it is not provisioned."""
    if facts.service is None:
        return None
    failure = programming.failures.get(facts.object.key)
    if failure is not None:
        return "False", Reason.NO_RESOURCES, failure
    if facts.unusable:
        return "False", Reason.ADDRESS_NOT_USABLE, "; ".join(facts.unusable)
    name = f"Service {'/'.join(facts.service)}"
    assigned = programming.assigned.get(facts.object.key, ())
    within = facts.cluster.values if facts.cluster is not None else ()
    have = [item.value for item in assigned]
    lacking = [item for item in (*facts.requested, *within) if item not in have]
    if lacking:
        remedy = "is it free, and one that the load balancer may give, or for type NodePort that of a ready node?"
        return "False", Reason.ADDRESS_NOT_USABLE, f"{name} has not been given {', '.join(lacking)}: {remedy}"
    if not have or (facts.cluster is not None and not facts.cluster.only and all(i.routability for i in assigned)):
        remedy = "type LoadBalancer needs a load balancer that gives addresses, type NodePort a ready node"
        return "False", Reason.ADDRESS_NOT_ASSIGNED, f"{name} has no address yet; {remedy}"
    return None


def _set_programmed(facts: ListenerSetFacts, parent: Programmed, programming: Programming) -> Programmed:
    if not facts.accepted.ok:
        reason = facts.accepted.reason
        return (
            "False",
            Reason.PARENT_NOT_PROGRAMMED if reason == Reason.PARENT_NOT_ACCEPTED else reason,
            facts.accepted.message,
        )
    truth, _, message = parent
    if truth == "Unknown":
        return "Unknown", Reason.PENDING, "The ListenerSet is not applied yet"
    if truth == "False":
        return "False", Reason.PARENT_NOT_PROGRAMMED, message
    outcomes = [_listener_programmed(item, programming) for item in facts.listeners if item.served]
    if facts.listeners and not outcomes:
        return "False", Reason.LISTENERS_NOT_VALID, facts.accepted.message
    if not outcomes or any(item[0] == "True" for item in outcomes):
        return "True", Reason.PROGRAMMED, "The ListenerSet is programmed"
    return outcomes[0]


def _addresses(facts: GatewayFacts, programming: Programming) -> tuple[Address, ...]:
    """Report the addresses that work: those of the spec that are bound, or the usual ones where all are bound."""
    if facts.service is not None:
        return programming.assigned.get(facts.object.key, ())
    if programming.reports is None:
        return ()
    if facts.given is not None and not any(_failed_on_address(programming.reports.get(i.id)) for i in facts.listeners):
        # Its own also while nothing is bound there: after a restart the pool knows by this whose it is.
        return (Address(type="IPAddress", value=facts.given),)
    if not facts.accepted.ok and not facts.goes_on:
        return ()
    bound = {
        normal_address(socket.rpartition(":")[0].strip("[]"))
        for item in facts.listeners
        if (report := programming.reports.get(item.id)) is not None
        for socket in report.bound
    }
    values = [item for item in facts.addresses if item in bound] if facts.addresses else list(programming.addresses)
    return tuple(Address(type="IPAddress", value=value) for value in values) if bound else ()
