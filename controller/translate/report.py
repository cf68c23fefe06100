"""Facts to the status of GatewayClasses, Gateways and ListenerSets, with or without the engine's report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from sluicegate.ir import ListenerReport

from .. import caught
from ..api import Diagnostic, GatewayClass, ObjectKey
from .conditions import ConditionType, Reason
from .programmed import (
    Programmed,
    Programming,
    failed_on_address,
    gateway_programmed,
    listener_programmed,
    set_programmed,
)
from .status import (
    Address,
    Condition,
    GatewayClassStatus,
    GatewayStatus,
    ListenerSetStatus,
    ListenerStatus,
    Status,
    Truth,
    Verdict,
)
from .topology import GatewayFacts, ListenerFacts, ListenerSetFacts, Topology
from .values import normal_address


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
    truth, reason, message = set_programmed(facts, parent, programming)
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


def _condition(kind: ConditionType, truth: Truth, reason: Reason, message: str, generation: int) -> Condition:
    return Condition(type=kind, status=truth, reason=reason, message=message, observed_generation=generation)


def _listener_status(
    owner: ObjectKey, facts: ListenerFacts, generation: int, programming: Programming
) -> ListenerStatus:
    truth, reason, message = listener_programmed(facts, programming)
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


def _addresses(facts: GatewayFacts, programming: Programming) -> tuple[Address, ...]:
    """Report the addresses that work: those of the spec that are bound, or the usual ones where all are bound."""
    if facts.service is not None:
        return programming.assigned.get(facts.object.key, ())
    if programming.reports is None:
        return ()
    if facts.given is not None and not any(failed_on_address(programming.reports.get(i.id)) for i in facts.listeners):
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


def parent_statuses(
    topology: Topology,
    programming: Programming,
    only: Iterable[ObjectKey],
    known: Mapping[ObjectKey, Programmed],
    faults: dict[ObjectKey, str] | None = None,
) -> tuple[dict[ObjectKey, Status], dict[ObjectKey, Programmed]]:
    """Write the statuses of Gateways and ListenerSets, with the ListenerSets of Gateways about which there is news.

    Args:
        topology: facts.
        programming: what statuses are written from besides facts.
        only: objects that something changed for; those that are not there count for nothing.
        known: verdicts on Gateways that ListenerSets were written with.
        faults: takes Gateways whose statuses cannot be written, and why; None: the first one raises.

    Returns:
        Statuses, and the verdicts on the Gateways that were looked at.
    """
    wanted = set(only)
    gateways = {key for key in wanted if key in topology.gateways}
    gateways.update(topology.listener_sets[key].gateway for key in wanted if key in topology.listener_sets)
    statuses: dict[ObjectKey, Status] = {}
    programmed: dict[ObjectKey, Programmed] = {}
    for key in gateways:
        try:
            verdict, found = _family_statuses(topology, programming, key, wanted, known.get(key))
        except Exception as error:  # of one Gateway: the statuses of the others are written
            if faults is None:
                raise
            faults[key] = caught.note("status", error)
        else:
            programmed[key] = verdict
            statuses.update(found)
    return statuses, programmed


def _family_statuses(
    topology: Topology,
    programming: Programming,
    key: ObjectKey,
    wanted: Set[ObjectKey],
    known: Programmed | None,
) -> tuple[Programmed, dict[ObjectKey, Status]]:
    """The verdict on a Gateway, and the statuses of it and its ListenerSets that are wanted, or change with it."""
    facts, family = topology.gateways[key], topology.families.get(key, ())
    verdict = gateway_programmed(facts, (topology.listener_sets[item] for item in family), programming)
    statuses: dict[ObjectKey, Status] = {}
    news = known != verdict
    if key in wanted or news:
        statuses[key] = gateway_status(facts, verdict, programming)
    for item in family:
        if news or item in wanted:
            statuses[item] = listener_set_status(topology.listener_sets[item], verdict, programming)
    return verdict, statuses
