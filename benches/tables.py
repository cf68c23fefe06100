"""Routing tables and requests of any size, for every benchmark the same."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from sluicegate import ir
from sluicegate.reference import Request

BIND_PORT = 8080


@dataclass(frozen=True)
class Workload:
    """A table and requests that it is asked about.

    Attributes:
        transaction: full state, JSON.
        requests: each matches a route; spread over the whole table.
        change: a transaction that changes one route.
    """

    transaction: bytes
    requests: list[Request]
    change: bytes


def workload(routes: int, *, hosts: int | None = None, requests: int = 100) -> Workload:
    """Make a table of so many routes, each with one rule.

    Args:
        routes: number of HTTPRoutes.
        hosts: number of hostnames that they are spread over; None: as many as routes for each of them.
        requests: number of requests.
    """
    hosts = hosts or max(1, math.isqrt(routes))
    listener = ir.Listener(
        id="Gateway/default/gateway/http",
        gateway="default/gateway",
        port=80,
        bind_port=BIND_PORT,
        protocol=ir.ListenerProtocol.HTTP,
    )
    rules = [_rule(number, hosts, listener.id) for number in range(routes)]
    backend = ir.Backend(id="default/app:80")
    endpoint = ir.Endpoint(id=f"{backend.id}@127.0.0.1:9000", backend=backend.id, address="127.0.0.1", port=9000)
    resources = ir.Resources(listeners=(listener,), http_rules=tuple(rules), backends=(backend,), endpoints=(endpoint,))
    full = ir.Transaction(version=ir.VERSION, generation=1, full=True, upsert=resources)
    generator = random.Random(routes)
    chosen = [generator.randrange(routes) for _ in range(requests)]
    edited = ir.HttpRule(
        **{name: getattr(rules[routes // 2], name) for name in ir.HttpRule.__struct_fields__ if name != "timeouts"},
        timeouts=ir.Timeouts(request_ms=5_000),
    )
    change = ir.Transaction(version=ir.VERSION, generation=2, upsert=ir.Resources(http_rules=(edited,)))
    return Workload(ir.encode(full), [_request(number, hosts) for number in chosen], ir.encode(change))


def _rule(number: int, hosts: int, listener: str) -> ir.HttpRule:
    route = f"HTTPRoute/default/route-{number:06}"
    match = ir.Match(path=ir.PathPrefix(value=f"/service-{number // hosts}/v1"))
    if number % 10 == 3:
        match = ir.Match(path=match.path, headers=(ir.HeaderMatch(name="x-version", value="2"),))
    return ir.HttpRule(
        id=f"{route}/0",
        route=route,
        created=1_700_000_000 + number,
        index=0,
        listeners=(listener,),
        hostnames=(f"host-{number % hosts}.example.com",),
        matches=(match,),
        backends=(ir.WeightedBackend(backend="default/app:80", weight=1),),
    )


def _request(number: int, hosts: int) -> Request:
    return Request(
        bind_port=BIND_PORT,
        method="GET",
        authority=f"host-{number % hosts}.example.com",
        target=f"/service-{number // hosts}/v1/items/42?page=2",
        headers=(
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br"),
            ("cookie", "session=0123456789abcdef0123456789abcdef"),
            ("x-version", "2"),
        ),
    )


def head_of(request: Request) -> bytes:
    """The request as it stands on the wire."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    return f"{request.method} {request.target} HTTP/1.1\r\nhost: {request.authority}\r\n{fields}\r\n".encode()
