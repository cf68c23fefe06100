"""What the rules of all route kinds share: their context, backends with weights, matches of headers.

What a rule may get wrong, and what becomes of it:
- a match that cannot be understood: the rule is dropped, since nobody can say which requests it means;
- a filter, timeout or retry that cannot be honoured: the rule stays and answers 500, since its requests must not fall
  through to a broader rule that lacks the filter;
- a backendRef that does not resolve: its share of the requests gets 500, its share of the connections is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sluicegate import ir

from ..api import (
    BackendReference,
    Code,
    Diagnostics,
    GRPCRouteMatch,
    GRPCRouteRule,
    HTTPBackendReference,
    HTTPRouteRule,
    NameValueMatch,
    ObjectKey,
    Route,
    RouteFilter,
    RouteMatch,
    WeightedBackendReference,
)
from .backends import Use, backend_name, resolve_backend, service_port
from .conditions import Reason
from .filters import FilterContext, translate_filters
from .options import Checks
from .policies.effective import Target, external_place, service_place
from .route_reads import RouteReads
from .status import Verdict
from .unsupported import Absent, Unsupported
from .values import is_token

MAX_WEIGHT = 1_000_000

#: Says why a pattern of a regular expression cannot be used, or None.
PatternError = Callable[[str], "str | None"]

_Match = TypeVar("_Match", RouteMatch, GRPCRouteMatch)


@dataclass(slots=True)
class RuleContext:
    """What the rules of one route share.

    Attributes:
        route: the route.
        use: what it does with its backends.
        listeners, attachments: IR ids of what it is attached to.
        reads: what it may look at.
        checks: look into values.
        pattern_error: says why a pattern cannot be used; counts what it costs.
        diagnostics: takes what is wrong.
        speaks: the gateway itself speaks to its backends, at some listener at least: it does not only pass TLS through.
        moved_ports: ports of listeners of its Gateways that clients reach at another one (`ParentView.moved`).
        backends: ids that its rules name, filled here.
        unresolved: first reference that does not resolve, filled here.
        broken: rules that are not honoured, with the reason and message, filled here.
        made: policies that filters of its rules come to, filled here.
        secrets: what these know and nobody else may, by id, filled here.
    """

    route: Route
    use: Use
    listeners: tuple[str, ...]
    attachments: tuple[str, ...]
    hostnames: tuple[str, ...]
    reads: RouteReads
    checks: Checks
    pattern_error: PatternError
    diagnostics: Diagnostics
    moved_ports: Mapping[int, int] = field(default_factory=dict)
    speaks: bool = True
    backends: dict[str, None] = field(default_factory=dict)
    unresolved: Verdict | None = None
    broken: dict[int, tuple[Reason, str]] = field(default_factory=dict)
    made: list[ir.StanzaBase] = field(default_factory=list)
    secrets: dict[str, ir.PolicySecret] = field(default_factory=dict)

    @property
    def key(self) -> ObjectKey:
        """Key of the route."""
        return self.route.key

    def policies(self, rule: str, on: str) -> tuple[str, ...]:
        """Ids of the policies of the route and of a rule, by its name; `on`: what names them in the IR."""
        whole = Target(*self.key)
        return self.reads.policies((whole, whole._replace(section=rule)) if rule else (whole,), on)

    def resolve(self, reference: BackendReference, path: str) -> str | None:
        """Resolve a backendRef and note the outcome."""
        backend, verdict = resolve_backend(self.key, reference, self.use, path, self.reads, self.diagnostics)
        if backend is not None:
            self.backends[backend] = None
            verdict = self._policy_verdict(backend) if self.speaks else None
        self.unresolved = self.unresolved or verdict
        return backend

    def _policy_verdict(self, backend: str) -> Verdict | None:
        """The verdict on a backend whose policy cannot be honoured: its share is answered 500 (GEP-1897)."""
        name = backend_name(backend)
        if name.external:
            place = external_place(name.namespace, name.service)
        else:
            service = self.reads.service(name.namespace, name.service)
            port = service_port(service, name.port) if service is not None else None
            place = service_place(name.namespace, name.service, port.name if port is not None else "")
        return self.reads.policy_fault(place)

    def filters(self, path: str, *, rule: str, prefix_only: bool = False, backend: int | None = None) -> FilterContext:
        """Say where a list of filters is written; `rule`: IR id; `backend`: place of the backendRef that has them."""
        return FilterContext(
            path=path,
            prefix_only=prefix_only,
            in_backend=backend is not None,
            backend=backend,
            owner=self.key.kind,
            resolve=self.resolve,
            diagnostics=self.diagnostics,
            moved_ports=self.moved_ports,
            rule=rule,
            checks=self.checks,
            secrets=self.secrets,
            find=lambda name: self.reads.http_filter(self.key.namespace, name),
            config_map=lambda name: self.reads.config_map(self.key.namespace, name),
            secret=lambda name: self.reads.secret(self.key.namespace, name),
        )

    def fail(self, index: int, path: str, error: Unsupported) -> None:
        """Note a part of a rule that cannot be honoured."""
        place = f"{path}.{error.field}"
        if error.reason == Reason.INVALID_KIND:
            code: Code = "filter-ref-not-found" if isinstance(error, Absent) else "invalid-kind"
            self.diagnostics.error(place, code, error.message, error.remedy)
            self.unresolved = self.unresolved or Verdict(False, Reason.INVALID_KIND, error.message)
            return
        code = "incompatible-filters" if error.reason == Reason.INCOMPATIBLE_FILTERS else "unsupported-value"
        self.diagnostics.error(place, code, error.message, error.remedy)
        self.broken.setdefault(index, (error.reason, error.message))


def request_rule(
    context: RuleContext,
    index: int,
    rule: HTTPRouteRule | GRPCRouteRule,
    matches: Sequence[_Match],
    translate_match: Callable[[_Match, str, PatternError], ir.Match],
    *,
    prefix_only: bool = False,
) -> ir.HttpRule | None:
    """Translate what rules of HTTPRoutes and GRPCRoutes have in common; None where the rule is dropped.

    `matches` are its own, or what it means without any; `translate_match` also takes where a match is written in the
    rule. `prefix_only`: all are by prefix of the path, so that filters may replace it.
    """
    path = f"spec.rules[{index}]"
    try:
        translated = tuple(
            translate_match(match, f"matches[{place}]", context.pattern_error) for place, match in enumerate(matches)
        )
    except Unsupported as error:
        context.fail(index, path, error)
        return None
    identifier = f"{context.key}/{index}"
    written: FilterContext = context.filters(path, prefix_only=prefix_only, rule=identifier)
    filters: tuple[ir.Filter, ...] = ()
    invalid = False
    try:
        filters = translate_filters(rule.filters, written)
    except Unsupported as error:
        context.fail(index, path, error)
        invalid = True
    backends, backends_invalid = weighted_backends(
        context, index, rule.backend_refs, prefix_only=prefix_only, made=written.made
    )
    context.made += written.made
    return ir.HttpRule(
        id=identifier,
        route=str(context.key),
        name=rule.name,
        created=context.route.metadata.created,
        index=index,
        listeners=context.listeners,
        attachments=context.attachments,
        hostnames=context.hostnames,
        matches=translated,
        filters=filters,
        backends=backends,
        invalid=invalid or backends_invalid,
        policies=(*context.policies(rule.name, "http_rule"), *(item.id for item in written.made)),
    )


def check_pattern(pattern: str, field: str, pattern_error: PatternError) -> None:
    """Refuse a pattern that cannot be used."""
    error = pattern_error(pattern)
    if error is not None:
        message = f"regular expression {pattern!r} cannot be used: {error}"
        raise Unsupported(field, message, "correct it (RE2 syntax, matched against the whole value)")


def value_kind(match: NameValueMatch, field: str, pattern_error: PatternError) -> ir.ValueMatchKind:
    """How the value of a match is compared."""
    if match.type == "Exact":
        return ir.ValueMatchKind.EXACT
    if match.type == "RegularExpression":
        check_pattern(match.value, f"{field}.value", pattern_error)
        return ir.ValueMatchKind.REGULAR_EXPRESSION
    raise Unsupported(f"{field}.type", f"match {match.type} is not known", "use Exact or RegularExpression")


def header_matches(
    items: Sequence[NameValueMatch], field: str, pattern_error: PatternError
) -> tuple[ir.HeaderMatch, ...]:
    """Of equivalent names only the first counts (`HTTPHeaderMatch.name`)."""
    found: dict[str, ir.HeaderMatch] = {}
    for index, item in enumerate(items):
        if not is_token(item.name):
            raise Unsupported(f"{field}[{index}].name", f"{item.name!r} is not a header name", "correct it")
        kind = value_kind(item, f"{field}[{index}]", pattern_error)
        name = item.name.lower()
        found.setdefault(name, ir.HeaderMatch(kind=kind, name=name, value=item.value))
    return tuple(found.values())


def weighted_backends(
    context: RuleContext,
    index: int,
    references: Sequence[WeightedBackendReference],
    *,
    prefix_only: bool = False,
    made: list[ir.StanzaBase] | None = None,
) -> tuple[tuple[ir.WeightedBackend, ...], bool]:
    """Translate `backendRefs`; also says whether one of them cannot be honoured (not whether it resolves).

    `made`: takes the policies of the rule that their filters come to.
    """
    path = f"spec.rules[{index}]"
    result: list[ir.WeightedBackend] = []
    invalid = False
    for place, reference in enumerate(references):
        relative = f"backendRefs[{place}]"
        backend = context.resolve(reference, f"{path}.{relative}")
        filters: tuple[ir.Filter, ...] = ()
        try:
            _check_weight(reference.weight)
            place_of_filters = context.filters(
                f"{path}.{relative}", prefix_only=prefix_only, backend=place, rule=f"{context.key}/{index}"
            )
            filters = translate_filters(_filters_of(reference), place_of_filters)
            if made is not None:
                made += place_of_filters.made
        except Unsupported as error:
            context.fail(index, f"{path}.{relative}", error)
            backend = None
            invalid = invalid or error.reason != Reason.INVALID_KIND
        weight = min(max(reference.weight, 0), MAX_WEIGHT)
        result.append(ir.WeightedBackend(backend=backend, weight=weight, filters=filters))
    return tuple(result), invalid


def _filters_of(reference: WeightedBackendReference) -> tuple[RouteFilter, ...]:
    return reference.filters if isinstance(reference, HTTPBackendReference) else ()


def _check_weight(weight: int) -> None:
    if not 0 <= weight <= MAX_WEIGHT:
        raise Unsupported("weight", f"weight {weight} is out of range", f"use 0 to {MAX_WEIGHT}")


def note_backends(
    context: RuleContext, path: str, references: Sequence[WeightedBackendReference], outcome: str
) -> None:
    """Tell that a rule leads nowhere; `outcome` says what its requests get."""
    diagnostics = context.diagnostics
    if not references:
        diagnostics.warning(f"{path}.backendRefs", "no-backends", f"no backendRefs: {outcome}", "add a backendRef")
    elif not any(item.weight for item in references):
        diagnostics.warning(f"{path}.backendRefs", "no-weight", f"all weights are 0: {outcome}", "give a weight")
