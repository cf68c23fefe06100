"""One route of any kind: attach it to its parents, translate its rules, judge it.

Pure: everything that is looked at goes through `RouteReads`, which notes it; the result holds until one of the noted
things changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from sluicegate import ir

from ..api import (
    GATEWAY_GROUP,
    Code,
    Diagnostic,
    Diagnostics,
    HTTPFilter,
    ObjectKey,
    ParentReference,
    ReferenceGrant,
    Route,
    Service,
)
from ..api.kinds import PARENT_KINDS
from .attachments import attachments_of
from .backends import Transport
from .budget import Cost, OverBudgetError, RouteExpressions, too_many_places
from .conditions import ConditionType, Reason
from .options import Options
from .policies.attach import attached_read
from .policies.effective import Place, Target
from .route_kinds import ROUTES
from .rules import RuleContext
from .status import Condition, Reference, RouteParentStatus, RouteStatus, Verdict
from .topology import AttachPoint, ParentView, Read
from .values import hostname_error, hostnames_intersect


class World(Protocol):
    """What routes look at."""

    def parent(self, key: Read) -> ParentView | None:
        """Look up a parent of this controller."""

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""

    def http_filter(self, namespace: str, name: str) -> HTTPFilter | None:
        """Look up an HTTPFilter."""

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Look up the labels of a namespace."""

    def policies(self, place: Place, on: str) -> tuple[str, ...]:
        """Look up the policies that hold at a place, by id; `on`: what names them in the IR."""

    def policy_fault(self, place: Place) -> str:
        """Say why a policy that holds at a place cannot be honoured; empty: all can."""

    def affected(self, target: Target) -> tuple[tuple[str, Verdict], ...]:
        """Look up what an object is told about the policies that are attached to it and its sections."""

    def no_room(self, route: ObjectKey) -> str:
        """Say why a route finds no room in what its namespace may have; empty: it does."""


@dataclass(slots=True)
class RouteReads:
    """Looks into the world and notes each look."""

    world: World
    noted: set[Read] = field(default_factory=set)

    def parent(self, kind: str, namespace: str, name: str) -> ParentView | None:
        """Look up a parent of this controller."""
        self.noted.add((kind, namespace, name))
        return self.world.parent((kind, namespace, name))

    def service(self, namespace: str, name: str) -> Service | None:
        """Look up a Service."""
        self.noted.add(("Service", namespace, name))
        return self.world.service(namespace, name)

    def http_filter(self, namespace: str, name: str) -> HTTPFilter | None:
        """Look up an HTTPFilter."""
        self.noted.add(("HTTPFilter", namespace, name))
        return self.world.http_filter(namespace, name)

    def grants(self, namespace: str) -> Iterable[ReferenceGrant]:
        """Look up the grants of a namespace."""
        self.noted.add(("ReferenceGrant", namespace, ""))
        return self.world.grants(namespace)

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """Look up the labels of a namespace."""
        self.noted.add(("Namespace", "", name))
        return self.world.namespace_labels(name)

    def policies(self, place: Place, on: str) -> tuple[str, ...]:
        """Look up the policies that hold at a place, by id; `on`: what names them in the IR."""
        self.noted.update(attached_read(level) for level in place)
        return self.world.policies(place, on)

    def policy_fault(self, place: Place) -> str:
        """Say why a policy that holds at a place cannot be honoured; empty: all can."""
        self.noted.update(attached_read(level) for level in place)
        return self.world.policy_fault(place)

    def affected(self, target: Target) -> tuple[tuple[str, Verdict], ...]:
        """Look up what an object is told about the policies that are attached to it and its sections."""
        self.noted.add(attached_read(target))
        return self.world.affected(target)


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """All that one route comes to.

    Attributes:
        rules, l4_rules: IR rules; empty where the route is not accepted or no listener serves it.
        attachments: what the rules name besides listeners.
        listeners: ids of all listeners that the rules are attached to.
        status: one entry for each parent of this controller; None where it has no such parent.
        attached: ids of the listeners that it is attached to, served or not (`attachedRoutes`).
        policies: those that filters of its rules come to.
        backends: backend ids that its rules name.
        gateways: Gateways that accepted it: the ancestors of policies on its backends. Those that only pass TLS
            through, or datagrams, are none: they say nothing of their own to a backend.
        diagnostics: what is told of it.
        reads: what it looked at.
        cost: what it costs each data plane, also where its namespace has no room for it; None: nothing.
    """

    rules: tuple[ir.HttpRule, ...]
    l4_rules: tuple[ir.L4Rule, ...]
    attachments: tuple[ir.Attachment, ...]
    listeners: tuple[str, ...]
    status: RouteStatus | None
    attached: frozenset[str]
    backends: tuple[str, ...]
    gateways: tuple[ObjectKey, ...]
    diagnostics: tuple[Diagnostic, ...]
    reads: frozenset[Read]
    policies: tuple[ir.ExternalAuth, ...] = ()
    cost: Cost | None = None


@dataclass(slots=True)
class _Attachment:
    """A parentRef with the listeners that took the route, or why none did."""

    reference: ParentReference
    view: ParentView
    points: list[AttachPoint]
    verdict: Verdict


def translate_route(route: Route, world: World, controller_name: str, options: Options) -> RouteFacts:
    """Translate one route."""
    reads = RouteReads(world)
    diagnostics = Diagnostics(route.key)
    hostnames = _hostnames(route, diagnostics)
    attachments = _attachments(route, hostnames, reads, diagnostics)
    attached = [point for item in attachments for point in item.points]
    served = {point.id: item.view.gateway for item in attachments for point in item.points if point.served}
    listeners, shared = attachments_of((gateway, name) for name, gateway in served.items())
    kind = ROUTES[route.key.kind]
    moved = {port: at for item in attachments for port, at in item.view.moved}
    expressions = RouteExpressions(options.checks, options.routes.expressions)
    context = RuleContext(
        route,
        kind.use,
        listeners,
        tuple(item.id for item in shared),
        hostnames,
        reads,
        replace(options.checks, substitution=expressions.substitution_error),
        expressions.error,
        diagnostics,
        moved,
    )
    context.speaks = kind.use.transport is Transport.TCP and any(not point.passthrough for point in attached)
    rules: list[ir.HttpRule | ir.L4Rule | None] = []
    cost, refusal = None, ""
    try:
        rules = [kind.translate_rule(context, index, rule) for index, rule in enumerate(route.spec.rules)]
    except OverBudgetError as error:
        refusal = str(error)
    judgement = _judge_rules(context, len(route.spec.rules))
    if not refusal and judgement.refused is None and (places := _places(rules, len(served))):
        refusal = too_many_places(places, options.routes)
        if not refusal:
            cost, refusal = Cost(expressions.found, places), world.no_room(route.key)
    if refusal:
        remedy = "write fewer or simpler matches, or attach the route to fewer listeners"
        diagnostics.error("spec.rules", "over-budget", refusal, remedy)
        judgement = _Judgement(judgement.resolved, refused=Verdict(False, Reason.UNSUPPORTED_VALUE, refusal))
    if judgement.refused is not None:
        attached = []
    if not attached or not served:
        rules = []
    affected = reads.affected(Target(*route.key))
    status = _status(route, attachments, judgement, affected, controller_name)
    made = [rule for rule in rules if rule is not None]
    return RouteFacts(
        rules=tuple(rule for rule in made if isinstance(rule, ir.HttpRule)),
        l4_rules=tuple(rule for rule in made if isinstance(rule, ir.L4Rule)),
        attachments=shared if made else (),
        listeners=tuple(sorted(served)) if made else (),
        status=status,
        attached=frozenset(point.id for point in attached),
        backends=tuple(context.backends) if attached else (),
        gateways=_ancestors(attachments) if attached and kind.use.transport is Transport.TCP else (),
        diagnostics=diagnostics.done(),
        reads=frozenset(reads.noted),
        policies=tuple(context.made) if rules else (),
        cost=cost,
    )


def _places(rules: Iterable[ir.HttpRule | ir.L4Rule | None], listeners: int) -> int:
    """Entries of tables that rules need: one for each listener, hostname and match."""
    found = 0
    for rule in rules:
        if rule is not None:
            matches = len(rule.matches) if isinstance(rule, ir.HttpRule) else 1
            found += listeners * max(len(rule.hostnames), 1) * matches
    return found


def _ancestors(attachments: list[_Attachment]) -> tuple[ObjectKey, ...]:
    found = (item.view.gateway for item in attachments if any(not point.passthrough for point in item.points))
    return tuple(dict.fromkeys(found))


def _hostnames(route: Route, diagnostics: Diagnostics) -> tuple[str, ...]:
    hostnames: dict[str, None] = {}
    for index, written in enumerate(route.spec.hostnames):
        hostname = written.lower()
        error = hostname_error(hostname, wildcard=True)
        if error is not None:
            message = f"hostname {written} {error}: no request has it"
            diagnostics.warning(f"spec.hostnames[{index}]", "invalid-hostname", message, "use a DNS name")
        else:
            hostnames[hostname] = None
    return tuple(hostnames)


def _attachments(
    route: Route, hostnames: tuple[str, ...], reads: RouteReads, diagnostics: Diagnostics
) -> list[_Attachment]:
    result: list[_Attachment] = []
    for index, reference in enumerate(route.spec.parent_refs):
        path = f"spec.parentRefs[{index}]"
        namespace = reference.namespace or route.namespace
        if reference.group != GATEWAY_GROUP or reference.kind not in PARENT_KINDS:
            message = f"parents of kind {reference.group or 'core'}/{reference.kind} are not served"
            diagnostics.info(f"{path}.kind", "foreign-parent", message, "attach the route to a Gateway")
            continue
        view = reads.parent(reference.kind, namespace, reference.name)
        if view is None:
            message = f"{reference.kind} {namespace}/{reference.name} is not one that this controller serves"
            remedy = "create it or correct the name; the class of its Gateway must be one of this controller"
            diagnostics.warning(f"{path}.name", "foreign-parent", message, remedy)
            continue
        points, verdict = _attach(route, reference, view, hostnames, reads)
        if not verdict.ok:
            diagnostics.error(path, _ATTACH_CODES[verdict.reason], verdict.message, _ATTACH_REMEDIES[verdict.reason])
        result.append(_Attachment(reference, view, points, verdict))
    if route.spec.use_default_gateways not in {"", "None"}:
        message = "default Gateways are not supported: routes attach by parentRefs only"
        diagnostics.warning(
            "spec.useDefaultGateways", "unsupported-field", message, "name a Gateway in spec.parentRefs"
        )
    if not route.spec.parent_refs:
        message = "the route has no parentRefs, so no Gateway serves it"
        diagnostics.warning("spec.parentRefs", "no-parent", message, "name a Gateway in spec.parentRefs")
    return result


_ATTACH_CODES: dict[str, Code] = {
    Reason.NO_MATCHING_PARENT: "no-matching-parent",
    Reason.NOT_ALLOWED_BY_LISTENERS: "not-allowed-by-listeners",
    Reason.NO_MATCHING_LISTENER_HOSTNAME: "no-matching-listener-hostname",
}
_ATTACH_REMEDIES = {
    Reason.NO_MATCHING_PARENT: "correct sectionName and port, or leave them out to attach to every listener",
    Reason.NOT_ALLOWED_BY_LISTENERS: "set allowedRoutes of a listener so that it takes this namespace and kind",
    Reason.NO_MATCHING_LISTENER_HOSTNAME: "give the route a hostname that a listener covers, or widen the listener's",
}


def _attach(
    route: Route, reference: ParentReference, view: ParentView, hostnames: tuple[str, ...], reads: RouteReads
) -> tuple[list[AttachPoint], Verdict]:
    """Find the listeners of a parent that take the route (`CommonRouteSpec.parentRefs`, `allowedRoutes`, hostnames)."""
    label = f"{view.key.kind} {view.key.namespace}/{view.key.name}"
    meant = [
        point
        for point in view.points
        if (not reference.section_name or point.name == reference.section_name)
        and (not reference.port or point.port == reference.port)
    ]
    if not meant:
        wanted = [f"named {reference.section_name}"] if reference.section_name else []
        wanted += [f"with port {reference.port}"] if reference.port else []
        return [], Verdict(False, Reason.NO_MATCHING_PARENT, f"{label} has no listener {' and '.join(wanted)}".rstrip())
    kind = route.key.kind
    allowed = [point for point in meant if kind in point.kinds and _namespace_allowed(route.namespace, point, reads)]
    if not allowed:
        message = f"no listener of {label} allows {kind}s of namespace {route.namespace}"
        return [], Verdict(False, Reason.NOT_ALLOWED_BY_LISTENERS, message)
    matching = [
        point
        for point in allowed
        if not route.spec.hostnames or any(hostnames_intersect(point.hostname, hostname) for hostname in hostnames)
    ]
    if not matching:
        message = f"no listener of {label} has a hostname that fits {', '.join(route.spec.hostnames)}"
        return [], Verdict(False, Reason.NO_MATCHING_LISTENER_HOSTNAME, message)
    return matching, Verdict(True, Reason.ACCEPTED, "The route is accepted")


def _namespace_allowed(namespace: str, point: AttachPoint, reads: RouteReads) -> bool:
    if point.allowed_from == "Same":
        return namespace == point.namespace
    if point.allowed_from == "Selector" and point.selector is not None:
        labels = reads.namespace_labels(namespace)
        return labels is not None and point.selector.matches(labels)
    return point.allowed_from == "All"


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What the rules of a route mean for its conditions.

    Attributes:
        resolved: verdict on the references.
        refused: no rule can be honoured.
        partial: some rules cannot.
    """

    resolved: Verdict
    refused: Verdict | None = None
    partial: Verdict | None = None


def _judge_rules(context: RuleContext, count: int) -> _Judgement:
    """Judge a route by its rules."""
    resolved = context.unresolved or Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")
    broken = context.broken
    if not broken:
        return _Judgement(resolved)
    reason = next(iter(broken.values()))[0]
    details = "; ".join(f"rule {index}: {message}" for index, (_, message) in sorted(broken.items()))
    if len(broken) == count:
        return _Judgement(resolved, refused=Verdict(False, reason, f"No rule can be honoured: {details}"))
    names = ", ".join(str(index) for index in sorted(broken))
    # The prefix is what the API asks for where rules are not honoured.
    return _Judgement(resolved, partial=Verdict(True, Reason.UNSUPPORTED_VALUE, f"Dropped Rule {names}: {details}"))


def _status(
    route: Route,
    attachments: list[_Attachment],
    judgement: _Judgement,
    affected: tuple[tuple[str, Verdict], ...],
    controller_name: str,
) -> RouteStatus | None:
    generation = route.metadata.generation
    refused, partial = judgement.refused, judgement.partial
    parents: list[RouteParentStatus] = []
    for item in attachments:
        accepted = item.verdict if refused is None or not item.verdict.ok else refused
        conditions: list[Condition] = [
            accepted.condition(ConditionType.ACCEPTED, generation),
            judgement.resolved.condition(ConditionType.RESOLVED_REFS, generation),
        ]
        if partial is not None and accepted.ok:
            conditions.append(partial.condition(ConditionType.PARTIALLY_INVALID, generation))
        conditions += [told.condition(kind, generation) for kind, told in affected]
        parents.append(
            RouteParentStatus(
                parent_ref=Reference.of_parent(item.reference),
                controller_name=controller_name,
                conditions=tuple(conditions),
            )
        )
    return RouteStatus(parents=tuple(parents)) if parents else None
