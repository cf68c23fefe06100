"""`ClientPolicy.spec.connections`, `timeouts` and `http2`: how long connections live, and what they may do at once."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientConnections, ClientHttp2, ClientTimeouts
from ..draft import Draft
from .parts import count, for_listeners_only, milliseconds


def judge_connections(draft: Draft, connections: ClientConnections | None) -> ir.ClientConnections | None:
    """`connections`; None: it is not set."""
    if connections is None:
        return None
    head, faults = draft.head("connections", off=connections.off), draft.faults
    for_listeners_only(draft, "connections")
    if connections.off:
        return ir.ClientConnections(**head, invalid=draft.faults > faults)
    return ir.ClientConnections(
        **head,
        max=count(draft, connections.max, "connections.max"),
        max_duration_ms=milliseconds(draft, connections.max_duration, "connections.maxDuration"),
        max_requests=count(draft, connections.max_requests, "connections.maxRequests"),
        invalid=draft.faults > faults,
    )


def judge_timeouts(draft: Draft, timeouts: ClientTimeouts | None) -> ir.ClientTimeouts | None:
    """`timeouts`; None: it is not set."""
    if timeouts is None:
        return None
    head, faults = draft.head("timeouts", off=timeouts.off), draft.faults
    for_listeners_only(draft, "timeouts")
    if timeouts.off:
        return ir.ClientTimeouts(**head, invalid=draft.faults > faults)
    return ir.ClientTimeouts(
        **head,
        head_ms=milliseconds(draft, timeouts.head, "timeouts.head"),
        idle_ms=milliseconds(draft, timeouts.idle, "timeouts.idle"),
        request_ms=milliseconds(draft, timeouts.request, "timeouts.request"),
        invalid=draft.faults > faults,
    )


def judge_http2(draft: Draft, http2: ClientHttp2 | None) -> ir.ClientHttp2 | None:
    """`http2`; None: it is not set."""
    if http2 is None:
        return None
    head, faults = draft.head("http2", off=http2.off), draft.faults
    for_listeners_only(draft, "http2")
    if http2.off:
        return ir.ClientHttp2(**head, invalid=draft.faults > faults)
    streams = count(draft, http2.max_concurrent_streams, "http2.maxConcurrentStreams")
    return ir.ClientHttp2(**head, max_streams=streams, invalid=draft.faults > faults)
