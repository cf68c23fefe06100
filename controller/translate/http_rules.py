"""One rule of an HTTPRoute to one `HttpRule`; what becomes of what is wrong: see `rules`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sluicegate import ir

from ..api import HTTPRouteRule, NameValueMatch, RouteMatch
from .filters import FILTERS
from .rules import (
    PatternError,
    RuleContext,
    check_pattern,
    header_matches,
    note_backends,
    request_rule,
    value_kind,
)
from .sessions import translate_session
from .unsupported import Unsupported
from .values import normal_path, normal_prefix, parse_duration, path_error

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

#: Not idempotent (RFC 9110 section 9.2.2): the engine sends them once, unless a BackendPolicy says otherwise.
NEVER_REPEATED = frozenset({"POST", "PATCH"})

#: Base interval between retries where the route gives none: an implementation's choice (GEP-1731).
DEFAULT_BACKOFF_MS = 25
MAX_ATTEMPTS = 100


def translate_http_rule(context: RuleContext, index: int, rule: HTTPRouteRule) -> ir.HttpRule | None:
    """Translate a rule; None where it is dropped."""
    matches = rule.matches or (RouteMatch(),)
    prefix_only = all(match.path.type == "PathPrefix" for match in matches)
    made = request_rule(context, index, rule, matches, _match, prefix_only=prefix_only)
    if made is None:
        return None
    path = f"spec.rules[{index}]"
    _note_leftovers(context, path, rule, made)
    try:
        session = translate_session(rule.session_persistence, made.id, "sessionPersistence")
        return msgspec.structs.replace(made, timeouts=_timeouts(rule), retry=_retry(rule), session=session)
    except Unsupported as error:
        context.fail(index, path, error)
        return msgspec.structs.replace(made, filters=(), timeouts=ir.Timeouts(), invalid=True)


def _match(match: RouteMatch, field: str, pattern_error: PatternError) -> ir.Match:
    if match.method and match.method not in METHODS:
        raise Unsupported(f"{field}.method", f"method {match.method} is not known", "use GET, POST, ...")
    return ir.Match(
        path=_path(match, f"{field}.path", pattern_error),
        method=match.method,
        headers=header_matches(match.headers, f"{field}.headers", pattern_error),
        query=_query(match.query_params, f"{field}.queryParams", pattern_error),
    )


def _path(match: RouteMatch, field: str, pattern_error: PatternError) -> ir.PathMatch:
    kind, value = match.path.type, match.path.value
    if kind == "RegularExpression":
        check_pattern(value, f"{field}.value", pattern_error)
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


def _query(items: Sequence[NameValueMatch], field: str, pattern_error: PatternError) -> tuple[ir.QueryMatch, ...]:
    """Of equal names only the first counts (`HTTPQueryParamMatch.name`)."""
    found: dict[str, ir.QueryMatch] = {}
    for index, item in enumerate(items):
        kind = value_kind(item, f"{field}[{index}]", pattern_error)
        found.setdefault(item.name, ir.QueryMatch(kind=kind, name=item.name, value=item.value))
    return tuple(found.values())


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


def _note_leftovers(context: RuleContext, path: str, rule: HTTPRouteRule, made: ir.HttpRule) -> None:
    if rule.retry is not None and rule.retry.attempts > 0:
        for place, match in enumerate(rule.matches):
            if match.method in NEVER_REPEATED:
                message = f"a {match.method} is never sent twice, unless a BackendPolicy of the backend allows it"
                remedy = (
                    "leave retry out where only such requests come, or name the method in retries of a BackendPolicy"
                )
                context.diagnostics.warning(f"{path}.matches[{place}].method", "retry-not-repeatable", message, remedy)
    redirects = any(item.type in FILTERS and FILTERS[item.type].answers for item in rule.filters)
    if not redirects and not any(isinstance(item, ir.Respond) for item in made.filters):
        note_backends(context, path, rule.backend_refs, "requests get 500")
    elif rule.backend_refs:
        message = f"the rule {'redirects' if redirects else 'answers'}, so its backendRefs get no requests"
        remedy = f"remove the backendRefs or the {'redirect' if redirects else 'answer'}"
        context.diagnostics.warning(f"{path}.backendRefs", "unused-backends", message, remedy)
