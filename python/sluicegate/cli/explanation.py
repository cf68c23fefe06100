"""Who takes a request or a connection, and why others do not.

The native table decides; `losers` compares, `refused` says who is not served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from sluicegate import ir
from sluicegate.controller.api import Diagnostic, ObjectKey, RefusedPolicy
from sluicegate.processes.serve.summary import describe_match
from sluicegate.testing.decision import Decision, Forwarded
from sluicegate.testing.request import Connection, Request
from sluicegate.testing.table import Table

from .because import reasons
from .losers import SHOWN, Loser, best_hostname, host_of, hostname_of, losers
from .origins import origins
from .refused import Translated, refused
from .served_names import decided_by_ingress, lost_by_ingress, place_of
from .timeouts_and_retries import RuleRetry, RuleTimeouts, retry_of, timeouts_of
from .tracing import Tracing, tracing_of
from .used_backends import BackendPart, RuleSession, backend_parts, session_of

if TYPE_CHECKING:
    from sluicegate.processes.ingress import Ingresses

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
#: Reasons of what is answered by HTTP, whoever asks: by filters, and to have another connection opened.
_ANSWERS_OF_HTTP = frozenset({"respond", "redirect", "cors_preflight", "misdirected"})


class Explanation(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/explain/v1"):
    """What `--output json` writes.

    Attributes:
        request: as it was understood.
        decision: what happens to it. Where an Ingress takes it, its `route` is that Ingress, and no rule has an index.
        ingress: file, line, Ingress and field that the rule comes from; None: from no Ingress.
        origins: what each of the policies of the decision is attached to; empty: a filter, or one that cannot be read.
        because: why each of the policies of the decision says what it says; empty where that needs no word.
        winner: the match that takes it, in words; None for a connection.
        hostname: of the route, that the match or the rule was found by.
        filters: that are applied, in order: the listener's, the rule's, the backend's.
        timeouts: of the rule; None: it has none.
        retry: of the rule; None: it says nothing of retries.
        losers: those that hold too, then those that nearly do; the first of them.
        more_losers: how many there are besides.
        session: of the rule or, where it says nothing, of the backend; None: clients stay with no endpoint.
        backend_parts: what policies say of the backend that is chosen, in the order in which they act.
        tracing: whether and how often there are spans; None: nothing is traced.
        at_port: whether there is a listener at the port.
        elsewhere: listeners of other ports that have the hostname, where none of the port asked for does; each with the
            port to ask.
        listeners: all that there are, where none takes the request.
        would_send: where the backend has no endpoint, the request as it would be forwarded to one.
        grpc_status: that a call of gRPC ends with, where the gateway answers it.
        problems: of the winner's route, and of the policy that refuses.
        refused: what is wrong with routes and Gateways that are not served, or not whole, and may have taken it.
    """

    request: Request | Connection
    decision: Decision
    ingress: str | None
    origins: tuple[str, ...]
    because: tuple[str, ...]
    winner: str | None
    hostname: str | None
    filters: tuple[str, ...]
    timeouts: RuleTimeouts | None
    retry: RuleRetry | None
    session: RuleSession | None
    backend_parts: tuple[BackendPart, ...]
    tracing: Tracing | None
    losers: tuple[Loser, ...]
    more_losers: int
    at_port: bool
    elsewhere: tuple[str, ...]
    listeners: tuple[str, ...]
    would_send: Forwarded | None
    grpc_status: str | None
    problems: tuple[Diagnostic, ...]
    refused: tuple[Diagnostic, ...]


def explain(offline: Translated, table: Table, request: Request | Connection) -> Explanation:
    """Explain what happens to a request or a connection."""
    decision = table.decide(request)
    asked = _connection_of(request, decision)
    resources = table.resources
    rule = table.rule(decision)
    listener = next((item for item in resources.listeners if item.id == decision.listener), None)
    winner = hostname = None
    if rule is not None and listener is not None:
        hostname = hostname_of(rule, asked, listener)
        if isinstance(rule, ir.HttpRule) and decision.match is not None:
            winner = describe_match(rule.matches[decision.match])
    lost = losers(table, asked, decision)
    diagnostics = offline.diagnostics()
    concerned = {decision.route, *(said.policy for said in decision.policies if said.verdict == "deny")}
    found = Explanation(
        request=request,
        decision=decision,
        ingress=None,
        origins=origins(offline.translation.snapshot, listener, decision),
        because=reasons(table, asked, decision, dict(_closed(offline, decision))),
        winner=winner,
        hostname=hostname,
        filters=tuple(_filter(item) for item in _filters(listener, rule, decision)),
        timeouts=timeouts_of(rule),
        retry=retry_of(resources, rule, asked, decision),
        losers=tuple(lost[:SHOWN]),
        more_losers=max(len(lost) - SHOWN, 0),
        session=session_of(resources, rule, decision),
        backend_parts=tuple(backend_parts(resources, decision)),
        tracing=tracing_of(resources, listener, rule),
        at_port=bool(table.listeners_at(request)),
        elsewhere=tuple(_elsewhere(resources, request, decision)),
        listeners=tuple(_describe_listener(item) for item in resources.listeners if decision.listener is None),
        would_send=_would_send(table, asked, decision),
        grpc_status=_grpc_status(request, rule, decision),
        problems=tuple(item for item in diagnostics if item.object in concerned),
        refused=tuple(refused(offline.documents(), diagnostics, table, request, decision)),
    )
    return _by_ingress(found, offline.ingresses) if offline.ingresses is not None else found


def _by_ingress(found: Explanation, ingresses: Ingresses) -> Explanation:
    """The same with Ingresses named where objects stand that were made of them."""
    decision = found.decision
    return msgspec.structs.replace(
        found,
        decision=decided_by_ingress(ingresses, decision),
        ingress=place_of(ingresses, decision.route, decision.rule),
        origins=tuple(map(ingresses.named, found.origins)),
        because=tuple(map(ingresses.named, found.because)),
        losers=tuple(lost_by_ingress(ingresses, item) for item in found.losers),
    )


def _closed(offline: Translated, decision: Decision) -> Iterator[tuple[str, str]]:
    """Policies of a decision that cannot be read, and what is wrong with them."""
    for said in decision.policies:
        policy = offline.translation.snapshot.get(ObjectKey.parse(said.policy))
        if isinstance(policy, RefusedPolicy):
            yield said.policy, policy.reason


def _would_send(table: Table, asked: Request | Connection, decision: Decision) -> Forwarded | None:
    """The request as an endpoint would get it, where there is none."""
    rule, backend = table.rule(decision), decision.backend
    if decision.reason != "no_endpoint" or rule is None or backend is None:
        return None
    made_up = ir.Endpoint(id=f"{backend}@192.0.2.1:80", backend=backend, address="192.0.2.1", port=80)
    return table.variant(rule, endpoints=(made_up,)).decide(asked).request


def _connection_of(request: Request | Connection, decision: Decision) -> Request | Connection:
    """What is decided about: of a request that the gateway carries unread, its connection."""
    is_carried = decision.outcome != "respond" and decision.request is None and decision.listener is not None
    if isinstance(request, Connection) or not is_carried:
        return request
    protocol: Literal["tls", "tcp"] = "tls" if request.scheme == "https" else "tcp"
    return Connection(protocol=protocol, port=request.port, server_name=request.server_name)


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


def _elsewhere(resources: ir.Resources, request: Request | Connection, decision: Decision) -> Iterator[str]:
    """Listeners that have the hostname, at other ports than the one that was asked."""
    if decision.listener is not None:
        return
    host = host_of(request.authority) if isinstance(request, Request) else (request.server_name or "").lower()
    for item in resources.listeners:
        if item.port != request.port and host and best_hostname([item.hostname] if item.hostname else [], host):
            yield f"{item.id} has this hostname at port {item.port} ({item.protocol.value}): ask that port"


def _describe_listener(item: ir.Listener) -> str:
    return f"{item.id} ({item.protocol.value}, port {item.port}, hostname {item.hostname or '*'})"


def _grpc_status(request: Request | Connection, rule: ir.HttpRule | ir.L4Rule | None, decision: Decision) -> str | None:
    """What a call is answered in place of a status of HTTP; None: it is none, or is answered as any other request."""
    if isinstance(request, Connection) or decision.outcome != "respond" or decision.reason in _ANSWERS_OF_HTTP:
        return None
    if not _is_call(request) and not (isinstance(rule, ir.HttpRule) and rule.grpc):
        return None
    # Whatever status a fault has over HTTP.
    return "14 UNAVAILABLE" if decision.reason == "fault" else _GRPC_STATUS.get(decision.status, "2 UNKNOWN")


def _is_call(request: Request) -> bool:
    """Whether its first content type is gRPC's, and not that of another protocol, such as gRPC-Web."""
    first = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    lower = first.strip(" \t").lower()
    return lower.startswith("application/grpc") and lower[len("application/grpc") :][:1] in {"", "+", ";", " "}
