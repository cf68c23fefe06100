"""One rule of an HTTPRoute to one `HttpRule`.

What a rule may get wrong, and what becomes of it:
- a match that cannot be understood: the rule is dropped, since nobody can say which requests it means;
- a filter, timeout or retry that cannot be honoured: the rule stays and answers 500, since its requests must not fall
  through to a broader rule that lacks the filter;
- a backendRef that does not resolve: its share of the requests gets 500.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sluicegate import ir

from ..model import BackendReference, HTTPRoute, HTTPRouteRule, NameValueMatch, ObjectKey, RouteMatch
from .backends import Reads, resolve_backend
from .filters import FilterContext, Unsupported, translate_filters
from .options import CheckRegex
from .problems import Findings
from .status import Verdict
from .values import is_token, normal_path, normal_prefix, parse_duration, path_error

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

#: Base interval between retries where the route gives none: an implementation's choice (GEP-1731).
DEFAULT_BACKOFF_MS = 25
MAX_WEIGHT = 1_000_000
MAX_ATTEMPTS = 100


@dataclass(slots=True)
class RuleContext:
    """What the rules of one route share.

    Attributes:
        route: the route.
        listeners: IR ids that it is attached to.
        reads: what it may look at.
        check_regex: says why a pattern cannot be used.
        findings: takes what is wrong.
        backends: ids that its rules name, filled here.
        unresolved: first reference that does not resolve, filled here.
        broken: rules that are not honoured, with the reason and message, filled here.
    """

    route: HTTPRoute
    listeners: tuple[str, ...]
    hostnames: tuple[str, ...]
    reads: Reads
    check_regex: CheckRegex
    findings: Findings
    backends: dict[str, None] = field(default_factory=dict)
    unresolved: Verdict | None = None
    broken: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def key(self) -> ObjectKey:
        """Key of the route."""
        return self.route.key

    def resolve(self, reference: BackendReference, path: str) -> str | None:
        """Resolve a backendRef and note the outcome."""
        backend, verdict = resolve_backend(self.key, reference, path, self.reads, self.findings)
        if backend is not None:
            self.backends[backend] = None
        elif self.unresolved is None:
            self.unresolved = verdict
        return backend

    def filters(self, path: str, *, prefix_only: bool, in_backend: bool) -> FilterContext:
        """Say where a list of filters is written."""
        return FilterContext(path, prefix_only, in_backend, self.resolve, self.findings)

    def fail(self, index: int, path: str, error: Unsupported) -> None:
        """Note a part of a rule that cannot be honoured."""
        place = f"{path}.{error.field}"
        if error.reason == "InvalidKind":
            self.findings.error(place, "invalid-kind", error.message, error.remedy)
            self.unresolved = self.unresolved or Verdict(False, "InvalidKind", error.message)
            return
        code = "incompatible-filters" if error.reason == "IncompatibleFilters" else "unsupported-value"
        self.findings.error(place, code, error.message, error.remedy)
        self.broken.setdefault(index, (error.reason, error.message))


def translate_rule(context: RuleContext, index: int, rule: HTTPRouteRule) -> ir.HttpRule | None:
    """Translate a rule; None where it is dropped."""
    path = f"spec.rules[{index}]"
    matches = rule.matches or (RouteMatch(),)
    try:
        translated = tuple(
            _match(match, f"matches[{place}]", context.check_regex) for place, match in enumerate(matches)
        )
    except Unsupported as error:
        context.fail(index, path, error)
        return None
    prefix_only = all(match.path.type == "PathPrefix" for match in matches)
    invalid = False
    filters: tuple[ir.Filter, ...] = ()
    timeouts, retry = ir.Timeouts(), None
    try:
        timeouts = _timeouts(rule)
        retry = _retry(rule)
        filters = translate_filters(rule.filters, context.filters(path, prefix_only=prefix_only, in_backend=False))
    except Unsupported as error:
        context.fail(index, path, error)
        invalid = True
    backends, backends_invalid = _backends(context, index, rule, prefix_only=prefix_only)
    _note_leftovers(context, path, rule)
    return ir.HttpRule(
        id=f"{context.key}/{index}",
        route=str(context.key),
        name=rule.name,
        created=context.route.metadata.created,
        index=index,
        listeners=context.listeners,
        hostnames=context.hostnames,
        matches=translated,
        filters=() if invalid else filters,
        backends=backends,
        timeouts=timeouts,
        retry=retry,
        invalid=invalid or backends_invalid,
    )


def _match(match: RouteMatch, field: str, check_regex: CheckRegex) -> ir.Match:
    if match.method and match.method not in METHODS:
        raise Unsupported(f"{field}.method", f"method {match.method} is not known", "use GET, POST, ...")
    return ir.Match(
        path=_path(match, f"{field}.path", check_regex),
        method=match.method,
        headers=_headers(match.headers, f"{field}.headers", check_regex),
        query=_query(match.query_params, f"{field}.queryParams", check_regex),
    )


def _path(match: RouteMatch, field: str, check_regex: CheckRegex) -> ir.PathMatch:
    kind, value = match.path.type, match.path.value
    if kind == "RegularExpression":
        _check_pattern(value, field, check_regex)
        return ir.RegularExpressionPath(value=value)
    if kind not in {"Exact", "PathPrefix"}:
        raise Unsupported(
            f"{field}.type", f"path match {kind} is not known", "use Exact, PathPrefix or RegularExpression"
        )
    error = path_error(value)
    if error is not None:
        raise Unsupported(f"{field}.value", f"path {value!r} {error}", "give a path such as /login")
    if kind == "Exact":
        return ir.ExactPath(value=normal_path(value))
    return ir.PathPrefix(value=normal_prefix(value))


def _check_pattern(pattern: str, field: str, check_regex: CheckRegex) -> None:
    error = check_regex(pattern)
    if error is not None:
        message = f"regular expression {pattern!r} cannot be used: {error}"
        raise Unsupported(f"{field}.value", message, "correct it (RE2 syntax, matched against the whole value)")


def _value_kind(match: NameValueMatch, field: str, check_regex: CheckRegex) -> ir.ValueMatchKind:
    if match.type == "Exact":
        return ir.ValueMatchKind.EXACT
    if match.type == "RegularExpression":
        _check_pattern(match.value, field, check_regex)
        return ir.ValueMatchKind.REGULAR_EXPRESSION
    raise Unsupported(f"{field}.type", f"match {match.type} is not known", "use Exact or RegularExpression")


def _headers(items: Sequence[NameValueMatch], field: str, check_regex: CheckRegex) -> tuple[ir.HeaderMatch, ...]:
    """Of equivalent names only the first counts (`HTTPHeaderMatch.name`)."""
    found: dict[str, ir.HeaderMatch] = {}
    for index, item in enumerate(items):
        if not is_token(item.name):
            raise Unsupported(f"{field}[{index}].name", f"{item.name!r} is not a header name", "correct it")
        kind = _value_kind(item, f"{field}[{index}]", check_regex)
        name = item.name.lower()
        found.setdefault(name, ir.HeaderMatch(kind=kind, name=name, value=item.value))
    return tuple(found.values())


def _query(items: Sequence[NameValueMatch], field: str, check_regex: CheckRegex) -> tuple[ir.QueryMatch, ...]:
    """Of equal names only the first counts (`HTTPQueryParamMatch.name`)."""
    found: dict[str, ir.QueryMatch] = {}
    for index, item in enumerate(items):
        kind = _value_kind(item, f"{field}[{index}]", check_regex)
        found.setdefault(item.name, ir.QueryMatch(kind=kind, name=item.name, value=item.value))
    return tuple(found.values())


def _backends(
    context: RuleContext, index: int, rule: HTTPRouteRule, *, prefix_only: bool
) -> tuple[tuple[ir.WeightedBackend, ...], bool]:
    path = f"spec.rules[{index}]"
    result: list[ir.WeightedBackend] = []
    invalid = False
    for place, reference in enumerate(rule.backend_refs):
        relative = f"backendRefs[{place}]"
        backend = context.resolve(reference, f"{path}.{relative}")
        filters: tuple[ir.Filter, ...] = ()
        try:
            _check_weight(reference.weight)
            place_of_filters = context.filters(f"{path}.{relative}", prefix_only=prefix_only, in_backend=True)
            filters = translate_filters(reference.filters, place_of_filters)
        except Unsupported as error:
            context.fail(index, f"{path}.{relative}", error)
            backend = None
            invalid = invalid or error.reason != "InvalidKind"
        weight = min(max(reference.weight, 0), MAX_WEIGHT)
        result.append(ir.WeightedBackend(backend=backend, weight=weight, filters=filters))
    return tuple(result), invalid


def _check_weight(weight: int) -> None:
    if not 0 <= weight <= MAX_WEIGHT:
        raise Unsupported("weight", f"weight {weight} is out of range", f"use 0 to {MAX_WEIGHT}")


def _timeouts(rule: HTTPRouteRule) -> ir.Timeouts:
    if rule.timeouts is None:
        return ir.Timeouts()
    request = _duration(rule.timeouts.request, "timeouts.request")
    backend = _duration(rule.timeouts.backend_request, "timeouts.backendRequest")
    if request and backend > request:
        message = "timeouts.backendRequest is longer than timeouts.request"
        raise Unsupported("timeouts.backendRequest", message, "shorten it")
    return ir.Timeouts(request_ms=request, backend_request_ms=backend)


def _retry(rule: HTTPRouteRule) -> ir.Retry | None:
    if rule.retry is None:
        return None
    for place, code in enumerate(rule.retry.codes):
        if not 400 <= code <= 599:
            raise Unsupported(f"retry.codes[{place}]", f"{code} cannot be retried", "use codes from 400 to 599")
    if not 0 <= rule.retry.attempts <= MAX_ATTEMPTS:
        message = f"{rule.retry.attempts} attempts are out of range"
        raise Unsupported("retry.attempts", message, f"use 0 to {MAX_ATTEMPTS}")
    backoff = DEFAULT_BACKOFF_MS if rule.retry.backoff is None else _duration(rule.retry.backoff, "retry.backoff")
    return ir.Retry(codes=tuple(dict.fromkeys(rule.retry.codes)), attempts=rule.retry.attempts, backoff_ms=backoff)


def _duration(value: str | None, field: str) -> int:
    if value is None:
        return 0
    milliseconds = parse_duration(value)
    if milliseconds is None:
        raise Unsupported(field, f"{value!r} is not a duration", "use a value such as 500ms or 1m30s")
    return milliseconds


def _note_leftovers(context: RuleContext, path: str, rule: HTTPRouteRule) -> None:
    findings = context.findings
    if rule.session_persistence is not None:
        message = "session persistence is not supported: requests go to any endpoint"
        findings.warning(f"{path}.sessionPersistence", "unsupported-field", message, "remove sessionPersistence")
    redirects = any(item.type == "RequestRedirect" for item in rule.filters)
    if redirects and rule.backend_refs:
        message = "the rule redirects, so its backendRefs get no requests"
        findings.warning(f"{path}.backendRefs", "unused-backends", message, "remove the backendRefs or the redirect")
    elif not redirects and not rule.backend_refs:
        findings.warning(f"{path}.backendRefs", "no-backends", "no backendRefs: requests get 500", "add a backendRef")
    elif rule.backend_refs and not redirects and not any(item.weight for item in rule.backend_refs):
        findings.warning(f"{path}.backendRefs", "no-weight", "all weights are 0: requests get 500", "give a weight")
