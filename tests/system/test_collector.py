"""Traces in a real collector: what it hands on is what is looked at, and what becomes of it where it is away."""

from __future__ import annotations

import itertools
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from system_backends import Backend, Received, echo, response
from system_clients import Http1, Http2, Response
from system_collector import GRPC_PORT, HTTP_PORT, RealCollector
from system_gateway import Gateway, until
from system_manifests import Manifest, gateway, listener, metadata, policy, route, rule, service, target
from system_otlp import CLIENT, SERVER, HttpCollector, Span

HOST = "traced.test"
PARENT = "00f067aa0ba902b7"
#: Ports of Gateways by how their spans are sent.
PORTS = {"grpc": 8080, "http": 8081}
OTLP_PORTS = {"grpc": GRPC_PORT, "http": HTTP_PORT}
#: Requests in each state of a collector.
MANY = 20
_numbers = itertools.count(1)


def new_trace() -> str:
    return f"{next(_numbers):032x}"


def telemetry(protocol: str, **tracing: Any) -> Manifest:
    """All requests to the Gateway of that name are traced."""
    provider = {"backendRef": {"name": f"collector-{protocol}", "port": 80}}
    sampling = {"numerator": 1, "denominator": 1}
    return {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XTelemetryPolicy",
        "metadata": metadata(protocol),
        "spec": {
            "targetRefs": [target("Gateway", protocol)],
            "tracing": {"mode": "Enabled", "provider": provider, "samplingRate": sampling, **tracing},
        },
    }


def collectors(address: str, protocol: str) -> list[Manifest]:
    return service(f"collector-{protocol}", (address, OTLP_PORTS[protocol]), protocol=protocol)


class FailsFirst:
    """Answers of the backends of one Service: whoever of them is the first to see a request has no time for it."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, request: Received) -> bytes:
        number = request.header("x-number") or ""
        with self._lock:
            is_first = number not in self._seen
            self._seen.add(number)
        return response(b"", "503 Service Unavailable") if is_first else echo("canary")(request) or b""


def authorise(request: Received) -> bytes:
    return response(b"", "200 OK" if request.header("x-user") else "403 Forbidden")


class World:
    """A shop with a canary of two endpoints, whose staff is let in by an authoriser, and not too often."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.taken = HttpCollector()
        self.collector = RealCollector(backend(self.taken.answer).address)
        self.collector.start()
        canary = FailsFirst()
        self.stable: Backend = backend("stable")
        self.canaries: list[Backend] = [backend(canary.answer) for _ in range(2)]
        limit = {"name": "each", "key": ["header:x-number"], "requests": 1, "per": "1h"}
        asked = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": {"allowedHeaders": ["x-user"]}}
        parents = [{"name": name} for name in PORTS]
        split = [{"name": "stable", "port": 80, "weight": 1}, {"name": "canary", "port": 80, "weight": 1}]
        retried = {"retry": {"codes": [503], "attempts": 2, "backoff": "1ms"}}
        self.gateway: Gateway = start(
            *(gateway(listener(port=port), name=name) for name, port in PORTS.items()),
            route(rule("/shop", *split, **retried), name="shop", parents=parents),
            route(rule("/staff", "canary", **retried), name="staff", parents=parents),
            policy("AccessPolicy", "staff", target("HTTPRoute", "staff"), external=asked),
            policy("RateLimitPolicy", "staff", target("HTTPRoute", "staff"), local={"limits": [limit]}),
            *service("stable", self.stable.address),
            *service("canary", *(each.address for each in self.canaries)),
            *service("auth", backend(authorise).address),
            *(telemetry(name, serviceName=f"edge-{name}") for name in PORTS),
            *(each for name in PORTS for each in collectors(self.collector.address, name)),
        )

    def ask(self, client: Any, way: str, path: str, trace: str, *fields: tuple[str, str]) -> Response:
        return ask(client, self.gateway, PORTS[way], path, trace, *fields)

    def asked_of(self, tries: list[Span]) -> list[tuple[str, int]]:
        """Which backend got each try, by the parent that it was told."""
        backends = (self.stable, *self.canaries)
        told = {request.header("traceparent"): each.address for each in backends for request in each.requests}
        return [told[f"00-{each.trace}-{each.id}-01"] for each in tries]


def ask(client: Any, to: Gateway, port: int, path: str, trace: str, *fields: tuple[str, str]) -> Response:
    """Send a request that is a part of a trace, over a connection of its own."""
    each = client(to.address, port)
    try:
        found: Response = each.request("GET", HOST, path, (("traceparent", f"00-{trace}-{PARENT}-01"), *fields))
        return found
    finally:
        each.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    found = World(start, backend)
    yield found
    found.collector.kill()


@pytest.fixture(params=PORTS)
def way(request: pytest.FixtureRequest) -> str:
    """How spans are sent."""
    return str(request.param)


def places(spans: list[Span]) -> list[tuple[str, int]]:
    return [(str(each.attributes["server.address"]), int(each.attributes["server.port"])) for each in spans]


def test_a_canary_with_retries_and_an_authorisation_step(world: World, client: Any, way: str) -> None:
    """Parents are right, tries are told apart, and what policies said is told."""
    trace, number = new_trace(), str(next(_numbers))
    found = world.ask(client, way, "/staff/desk?card=4711", trace, ("x-number", number), ("x-user", "ann"))
    assert found.status == 200
    server, question, *tries = world.taken.of(trace, 4)
    assert (server.kind, server.parent, server.name) == (SERVER, PARENT, "GET /staff")
    assert (server.service, server.resource["telemetry.sdk.language"]) == (f"edge-{way}", "rust")
    assert server.resource["service.version"]
    assert server.resource == tries[0].resource == tries[1].resource
    expected = {
        "http.request.method": "GET",
        "http.route": "/staff",
        "http.response.status_code": 200,
        "url.path": "/staff/desk",
        "server.address": HOST,
        "network.protocol.version": "2" if client is Http2 else "1.1",
        "sluicegate.route": "HTTPRoute/default/staff",
        "sluicegate.listener": f"Gateway/default/{way}/http",
    }
    assert {key: server.attributes.get(key) for key in expected} == expected
    of_service, of_limit = "external of AccessPolicy/default/staff", "local of RateLimitPolicy/default/staff"
    assert [(name, said["sluicegate.policy"]) for name, said in server.events] == [
        ("policy.passed", of_limit),
        ("policy.asked", of_service),
        ("policy.answered", of_service),
        ("policy.passed", of_service),
    ]
    assert (question.kind, question.parent, question.attributes["sluicegate.policy"]) == (CLIENT, server.id, of_service)
    assert question.ended <= tries[0].begun
    assert [(each.kind, each.parent) for each in tries] == [(CLIENT, server.id)] * 2
    assert [each.attributes["http.response.status_code"] for each in tries] == [503, 200]
    assert [each.attributes.get("http.request.resend_count") for each in tries] == [None, 1]
    assert [each.failed for each in (server, *tries)] == [False, True, False]
    assert world.asked_of(tries) == places(tries)
    assert set(places(tries)) <= {each.address for each in world.canaries}
    assert tries[0].begun <= tries[0].ended <= tries[1].begun <= tries[1].ended <= server.ended
    assert "4711" not in repr((server, tries))


def test_who_took_a_request_of_a_split(world: World, client: Any, way: str) -> None:
    """Both sides of a canary are seen, and each endpoint of it; a request that was not tried again has one try."""
    wanted = Counter({each.address: 1 for each in (world.stable, *world.canaries)})
    seen: Counter[tuple[str, int]] = Counter()

    def all_are_seen() -> bool:
        trace = new_trace()
        assert world.ask(client, way, "/shop", trace, ("x-number", str(next(_numbers)))).status == 200
        is_stable = world.stable.requests and trace in (world.stable.requests[-1].header("traceparent") or "")
        server, *tries = world.taken.of(trace, 2 if is_stable else 3)
        assert (server.attributes["http.route"], {each.parent for each in tries}) == ("/shop", {server.id})
        assert len(tries) == (1 if is_stable else 2)
        assert world.asked_of(tries) == places(tries)
        seen.update(places(tries))
        return not wanted - seen

    until(all_are_seen, "each backend has been asked")


def test_refusals(world: World, client: Any, way: str) -> None:
    """Of the authoriser, and of the limit behind it: no backend is asked, and the span says who refused."""
    trace = new_trace()
    assert world.ask(client, way, "/staff", trace, ("x-number", str(next(_numbers)))).status == 403
    server, question = world.taken.of(trace, 2)
    assert [name for name, _ in server.events] == ["policy.passed", "policy.asked", "policy.refused"]
    assert (question.kind, question.parent, question.attributes["error.type"]) == (CLIENT, server.id, "403")
    refusal = server.events[-1][1]
    assert refusal["sluicegate.policy"].endswith(" of AccessPolicy/default/staff")
    assert refusal["error.type"] == server.attributes["sluicegate.error"] == "forbidden"
    fields, trace = (("x-number", str(next(_numbers))), ("x-user", "ann")), new_trace()
    assert [world.ask(client, way, "/staff", each, *fields).status for each in (new_trace(), trace)] == [200, 429]
    [server] = world.taken.of(trace, 1)
    [(name, refusal)] = server.events
    assert (name, refusal["error.type"]) == ("policy.refused", server.attributes["sluicegate.error"])
    assert "RateLimitPolicy/default/staff" in refusal["sluicegate.policy"]
    assert server.attributes["http.response.status_code"] == 429


class Alone:
    """A Gateway with one collector, which nobody has started, and what became of its spans."""

    def __init__(self, start: Any, backend: Any, way: str) -> None:
        self.taken, self.way = HttpCollector(), way
        self.collector = RealCollector(backend(self.taken.answer).address)
        self.app: Backend = backend("app")
        self.asked = 0
        self.gateway: Gateway = start(
            gateway(listener(port=PORTS[way]), name=way),
            route(rule("/", "app"), parents=[{"name": way}]),
            *service("app", self.app.address),
            *collectors(self.collector.address, way),
            telemetry(way),
        )

    def ask_many(self, count: int = MANY, *, length: int = 1) -> list[str]:
        """So many requests, of all of which nobody could say that a collector is away; returns their traces."""
        traces = [new_trace() for _ in range(count)]
        each = Http1(self.gateway.address, PORTS[self.way])
        for trace in traces:
            fields = (("traceparent", f"00-{trace}-{PARENT}-01"), ("user-agent", "x" * length))
            found = each.request("GET", HOST, "/" + "y" * length, fields)
            assert (found.status, found.sent("traceparent")[3:35]) == (200, trace)
        each.close()
        self.asked += count
        return traces

    def told(self, code: str) -> None:
        self.gateway.event(lambda event: event.get("code") == code)

    def figures(self) -> dict[str, int]:
        lines = self.gateway.admin("/metrics").splitlines()
        name = f'sluicegate_trace_spans_total{{policy="XTelemetryPolicy/default/{self.way}",outcome="'
        found = (line.removeprefix(name).split('"} ') for line in lines if line.startswith(name))
        return {outcome: int(value) for outcome, value in found}

    def until_exported(self) -> None:
        """All spans of all requests so far were taken, and handed on."""
        spans = 2 * self.asked
        whole = {"exported": spans, "dropped": 0, "failed": 0}
        until(lambda: self.figures() == whole, f"{spans} spans are taken")
        with self.taken.changed:
            assert self.taken.changed.wait_for(lambda: len(self.ids()) == spans, 60), len(self.ids())

    def ids(self) -> set[str]:
        return {span.id for span in self.taken.spans}


def test_a_collector_that_comes_late_dies_and_comes_back(start: Any, backend: Any, way: str) -> None:
    """No request has anything of it, and every span is with it in the end."""
    alone = Alone(start, backend, way)
    try:
        alone.ask_many()
        alone.told("collector_unavailable")
        alone.ask_many()
        assert alone.figures() == {"exported": 0, "dropped": 0, "failed": 0}
        alone.collector.start()
        alone.told("collector_available")
        alone.until_exported()
        alone.ask_many()
        alone.until_exported()
        alone.collector.kill()
        taken, traces = alone.figures(), alone.ask_many()
        assert alone.figures() == taken
        # The log tells the same once a minute, so that a second time it is the figures that tell.
        alone.collector.start()
        alone.until_exported()
        server, attempt = alone.taken.of(traces[0], 2)
        assert (server.parent, attempt.parent) == (PARENT, server.id)
    finally:
        alone.collector.kill()


def test_a_collector_that_stalls(start: Any, backend: Any, way: str) -> None:
    """What has no place is dropped and counted, requests are served; all else arrives once it goes on."""
    alone = Alone(start, backend, way)
    try:
        alone.collector.start()
        alone.ask_many(1)
        alone.until_exported()
        alone.collector.send_signal(signal.SIGSTOP)

        def is_full() -> bool:
            alone.ask_many(length=900)
            return alone.figures()["dropped"] > 0

        until(is_full, "spans are dropped")
        alone.collector.send_signal(signal.SIGCONT)
        until(lambda: sum(alone.figures().values()) == 2 * alone.asked, "each span is counted")
        figures = alone.figures()
        assert figures["failed"] == 0
        with alone.taken.changed:
            assert alone.taken.changed.wait_for(lambda: len(alone.ids()) == figures["exported"], 60), figures
    finally:
        alone.collector.kill()
