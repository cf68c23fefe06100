"""One route of any kind: attach it to its parents, translate its rules, judge it.

Pure: everything that is looked at goes through `RouteReads`, which notes it; the result holds until one of the noted
things changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sluicegate import ir

from ..api import Diagnostic, Diagnostics, ObjectKey, Route
from .attachments import attachments_of
from .backends import Transport
from .budget import Cost, OverBudgetError, RouteExpressions, too_many_places
from .conditions import ConditionType, Reason
from .options import Options
from .policies.effective import Target
from .route_kinds import ROUTES
from .route_parents import Parent, parents_of
from .route_reads import RouteReads, World
from .rules import RuleContext
from .status import Condition, Reference, RouteParentStatus, RouteStatus, Verdict
from .topology import Read
from .values import hostname_error


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
        secrets: what these know and nobody else may, by id.
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
    policies: tuple[ir.StanzaBase, ...] = ()
    secrets: Mapping[str, ir.PolicySecret] = field(default_factory=dict)
    cost: Cost | None = None


def translate_route(route: Route, world: World, controller_name: str, options: Options) -> RouteFacts:
    """Translate one route."""
    reads = RouteReads(world)
    diagnostics = Diagnostics(route.key)
    hostnames = _hostnames(route, diagnostics)
    attachments = parents_of(route, hostnames, reads, diagnostics)
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
    affected = reads.affected(Target(*route.key), {rule.name for rule in route.spec.rules})
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
        secrets=context.secrets if rules else {},
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


def _ancestors(attachments: list[Parent]) -> tuple[ObjectKey, ...]:
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
    attachments: list[Parent],
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
