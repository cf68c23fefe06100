"""`sluicegate explain`: who takes a request or a connection, and why others do not.

The native table decides; `losers` compares.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import msgspec

from sluicegate import ir
from sluicegate.processes.serve.summary import describe_match
from sluicegate.processes.settings import SettingsError, load_engine_limits
from sluicegate.testing.library import Connection, Decision, Request, RequestError, Routes, parse_request
from sluicegate.testing.offline import load_offline

from .losers import Loser, hostname_of, losers

EXIT_USAGE = 2

#: What the gateway answers calls of gRPC with, by HTTP status (`native/core/src/message/grpc.rs`); others: UNKNOWN.
_GRPC_STATUS = {
    400: "13 INTERNAL",
    401: "16 UNAUTHENTICATED",
    403: "7 PERMISSION_DENIED",
    404: "12 UNIMPLEMENTED",
    413: "8 RESOURCE_EXHAUSTED",
    429: "14 UNAVAILABLE",
    431: "8 RESOURCE_EXHAUSTED",
    500: "14 UNAVAILABLE",
    503: "14 UNAVAILABLE",
    504: "4 DEADLINE_EXCEEDED",
}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `--output json` writes.

    Attributes:
        request: as it was understood.
        decision: what happens to it.
        winner: the match that takes it, in words; None for a connection.
        hostname: of the route, that the match or the rule was found by.
        filters: that are applied, in order: the listener's, the rule's, the backend's.
        losers: those that hold too, then those that nearly do.
        listeners: of the port, where none takes the request.
        grpc_status: that a call of gRPC ends with, where the gateway answers it.
        problems: of the winner's route.
    """

    request: Request | Connection
    decision: Decision
    winner: str | None
    hostname: str | None
    filters: tuple[str, ...]
    losers: tuple[Loser, ...]
    listeners: tuple[str, ...]
    grpc_status: str | None
    problems: tuple[str, ...]


def run(
    paths: Sequence[str],
    request: str,
    headers: Sequence[str],
    port: int | None,
    name: str,
    output: str,
    *,
    config: str | None = None,
) -> int:
    """Explain; returns 0 where it is forwarded or redirected, 1 otherwise, 2 for a request that is none.

    `config`: the gateway's settings file, where it has one; else as the environment says.
    """
    try:
        asked = parse_request(request, [_field(item) for item in headers], port)
        limits = load_engine_limits(os.environ, config)
    except (RequestError, SettingsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    explanation = explain(Routes(load_offline(paths, name), limits.path_normalization or "strict"), asked)
    if output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode() + "\n")
    else:
        for line in _lines(explanation):
            sys.stdout.write(line + "\n")
    return 0 if explanation.decision.reason in {"forwarded", "redirect", "cors_preflight"} else 1


def explain(routes: Routes, request: Request | Connection) -> Explanation:
    """Explain what happens to a request or a connection."""
    decision = routes.decide(request)
    resources = routes.transaction.upsert
    rule = routes.rule(decision)
    listener = next((item for item in resources.listeners if item.id == decision.listener), None)
    winner = hostname = None
    if rule is not None and listener is not None:
        hostname = hostname_of(rule, request, listener)
        if isinstance(rule, ir.HttpRule) and decision.match is not None:
            winner = describe_match(rule.matches[decision.match])
    return Explanation(
        request=request,
        decision=decision,
        winner=winner,
        hostname=hostname,
        filters=tuple(_filter(item) for item in _filters(listener, rule, decision)),
        losers=tuple(losers(routes, request, decision)),
        listeners=tuple(_describe_listener(item) for item in resources.listeners if decision.listener is None),
        grpc_status=_grpc_status(request, rule, decision),
        problems=tuple(
            str(item) for item in routes.problems if decision.route is not None and item.object == decision.route
        ),
    )


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise RequestError(f"{text!r} is no header: write one as 'x-user: anna'")
    return name.strip(), value.strip()


def _filters(
    listener: ir.Listener | None, rule: ir.HttpRule | ir.L4Rule | None, decision: Decision
) -> Iterator[ir.Filter]:
    if listener is not None:
        yield from listener.filters
    if isinstance(rule, ir.HttpRule):
        yield from rule.filters
        chosen = next((item for item in rule.backends if item.backend == decision.backend), None)
        yield from chosen.filters if chosen is not None else ()


def _filter(item: ir.Filter) -> str:
    """A filter in words."""
    document = msgspec.to_builtins(item)
    kind = document.pop("type")
    return f"{kind}: {msgspec.json.encode(document).decode()}"


def _describe_listener(item: ir.Listener) -> str:
    return f"{item.id} ({item.protocol.value}, port {item.port}, hostname {item.hostname or '*'})"


def _grpc_status(request: Request | Connection, rule: ir.HttpRule | ir.L4Rule | None, decision: Decision) -> str | None:
    if isinstance(request, Connection) or decision.outcome != "respond" or decision.status in {200, 204, 421}:
        return None
    if 300 <= decision.status < 400:
        return None
    is_call = any(
        name.lower() == "content-type" and value.startswith("application/grpc") for name, value in request.headers
    )
    if not is_call and not (isinstance(rule, ir.HttpRule) and rule.grpc):
        return None
    return _GRPC_STATUS.get(decision.status, "2 UNKNOWN")


def _lines(found: Explanation) -> Iterator[str]:
    decision = found.decision
    yield _title(found.request)
    if decision.listener is not None:
        yield f"  listener  {decision.listener}"
    if decision.route is not None:
        yield f"  route     {decision.route}, hostname {found.hostname}"
        match = "" if decision.match is None else f".matches[{decision.match}]: {found.winner}"
        yield f"  rule      rules[{decision.rule}]{match}"
    for item in found.filters:
        yield f"  filter    {item}"
    if decision.backend is not None:
        yield f"  backend   {decision.backend}"
        yield f"  endpoints {', '.join(decision.endpoints) or 'none'}"
    for mirror in decision.mirrors:
        yield f"  mirror    {mirror}"
    if decision.request is not None:
        yield f"  sent as   {decision.request.method} {decision.request.authority}{decision.request.target}"
        yield from (f"              {name}: {value}" for name, value in decision.request.headers)
    yield from _answer_lines(found)
    for listener in found.listeners:
        yield f"  not by    {listener}"
    for loser in found.losers:
        match = "" if loser.match is None else f".matches[{loser.match}]"
        place = f"{loser.route} rules[{loser.rule}]{match}: {loser.text}"
        yield f"  {'holds too' if loser.holds else 'not'}: {place}: {'; '.join(loser.reasons)}"
    for problem in found.problems:
        yield f"  problem   {problem}"


def _title(request: Request | Connection) -> str:
    if isinstance(request, Connection):
        return f"{request.protocol}://{request.server_name or ''}:{request.port}"
    return f"{request.method} {request.scheme}://{request.authority}{request.target} (port {request.port})"


def _answer_lines(found: Explanation) -> Iterator[str]:
    decision = found.decision
    if decision.outcome == "close":
        is_udp = isinstance(found.request, Connection) and found.request.protocol == "udp"
        yield f"  {'dropped' if is_udp else 'closed '}   ({decision.reason})"
    if decision.outcome == "respond":
        grpc = f", gRPC status {found.grpc_status}" if found.grpc_status is not None else ""
        yield f"  answer    {decision.status} ({decision.reason}){grpc}"
        if decision.response is not None:
            yield from (f"              {name}: {value}" for name, value in decision.response.headers)
