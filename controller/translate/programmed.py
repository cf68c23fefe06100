"""Whether listeners, ListenerSets and Gateways are programmed.

`Programmed` follows the report of the engine, never hope: until there is one it is Unknown. A port that could not be
bound makes its listener `PortUnavailable`; an address that this machine does not have makes the Gateway
`AddressNotUsable`; everything else serves on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sluicegate.ir import ListenerReport

from ..api import ObjectKey
from .apply_report import REFUSED
from .conditions import Reason
from .policies.effective import Target
from .policies.stage import Conditions
from .status import Address, Condition, Truth
from .topology import GatewayFacts, ListenerFacts, ListenerSetFacts

#: Codes of the engine for addresses that this machine does not have.
ADDRESS_CODES = frozenset({"address_not_available", "address-not-available", "address_unavailable"})
#: Status, reason and message of a condition `Programmed`.
Programmed = tuple[Truth, Reason, str]


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


def failed_on_address(report: ListenerReport | None) -> bool:
    """Whether a listener could not be bound because of its address."""
    return report is not None and report.error is not None and report.error.code in ADDRESS_CODES


def listener_programmed(facts: ListenerFacts, programming: Programming) -> Programmed:
    """Say whether a listener is programmed."""
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
    reason = Reason.ADDRESS_NOT_USABLE if failed_on_address(report) else Reason.PORT_UNAVAILABLE
    return "False", reason, report.error.message if report.error is not None else "The engine did not bind the listener"


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
    if any(map(failed_on_address, programming.errors.values())):
        for item in _served(facts, sets):
            report = programming.errors.get(item.id)
            if report is not None and report.error is not None and failed_on_address(report):
                return "False", Reason.ADDRESS_NOT_USABLE, report.error.message
    return _by_served(facts, sets, programming)


def _by_served(facts: GatewayFacts, sets: Iterable[ListenerSetFacts], programming: Programming) -> Programmed:
    first: Programmed | None = None
    pending: Programmed | None = None
    for item in _served(facts, sets):
        outcome = listener_programmed(item, programming)
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


def set_programmed(facts: ListenerSetFacts, parent: Programmed, programming: Programming) -> Programmed:
    """Say whether a ListenerSet is programmed; `parent`: the verdict on its Gateway."""
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
    outcomes = [listener_programmed(item, programming) for item in facts.listeners if item.served]
    if facts.listeners and not outcomes:
        return "False", Reason.LISTENERS_NOT_VALID, facts.accepted.message
    if not outcomes or any(item[0] == "True" for item in outcomes):
        return "True", Reason.PROGRAMMED, "The ListenerSet is programmed"
    return outcomes[0]
