"""One rule of a GRPCRoute to one `HttpRule`; what becomes of what is wrong: see `rules`.

Only gRPC requests are meant (`GRPCRouteRule.matches`): POST always, and a gRPC content type where the match does not
name a service exactly. So an HTTPRoute of the same hostname keeps its requests.
"""

from __future__ import annotations

import re

import msgspec

from sluicegate import ir

from ..api import GRPCMethodMatch, GRPCRouteMatch, GRPCRouteRule
from .rules import (
    PatternError,
    RuleContext,
    check_pattern,
    header_matches,
    note_backends,
    request_rule,
)
from .sessions import translate_session
from .unsupported import Unsupported

#: What the API takes as the names of Exact matches (`GRPCMethodMatch`).
_SERVICE = re.compile(r"(?i)\.?[a-z_][a-z_0-9]*(?:\.[a-z_][a-z_0-9]*)*")
_METHOD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")

#: `Content-Type` of gRPC requests ("gRPC over HTTP2").
CONTENT_TYPE = ir.HeaderMatch(
    kind=ir.ValueMatchKind.REGULAR_EXPRESSION, name="content-type", value="application/grpc(?:[+;-].*)?"
)


def translate_grpc_rule(context: RuleContext, index: int, rule: GRPCRouteRule) -> ir.HttpRule | None:
    """Translate a rule; None where it is dropped."""
    made = request_rule(context, index, rule, rule.matches or (GRPCRouteMatch(),), _match)
    if made is None:
        return None
    path = f"spec.rules[{index}]"
    note_backends(context, path, rule.backend_refs, "requests get UNAVAILABLE")
    try:
        session = translate_session(rule.session_persistence, made.id, "sessionPersistence")
    except Unsupported as error:
        context.fail(index, path, error)
        return msgspec.structs.replace(made, filters=(), invalid=True, grpc=True)
    return msgspec.structs.replace(made, session=session, grpc=True)


def _match(match: GRPCRouteMatch, field: str, pattern_error: PatternError) -> ir.Match:
    method = _method(match.method, f"{field}.method", pattern_error)
    headers = header_matches(match.headers, f"{field}.headers", pattern_error)
    exact = method.kind is ir.ValueMatchKind.EXACT and method.service is not None
    if not exact and all(item.name != CONTENT_TYPE.name for item in headers):
        headers = (*headers, CONTENT_TYPE)
    return ir.Match(path=method, method="POST", headers=headers)


def _method(match: GRPCMethodMatch, field: str, pattern_error: PatternError) -> ir.GrpcMethod:
    service, method = match.service or None, match.method or None
    if match.type == "RegularExpression":
        for name, value in (("service", service), ("method", method)):
            if value is not None:
                check_pattern(value, f"{field}.{name}", pattern_error)
        return ir.GrpcMethod(kind=ir.ValueMatchKind.REGULAR_EXPRESSION, service=service, method=method)
    if match.type != "Exact":
        message = f"method match {match.type} is not known"
        raise Unsupported(f"{field}.type", message, "use Exact or RegularExpression")
    if service is not None and not _SERVICE.fullmatch(service):
        raise Unsupported(f"{field}.service", f"{service!r} is not a service", "give a name such as helloworld.Greeter")
    if method is not None and not _METHOD.fullmatch(method):
        raise Unsupported(f"{field}.method", f"{method!r} is not a method", "give a name such as SayHello")
    return ir.GrpcMethod(service=service, method=method)
