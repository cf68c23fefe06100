"""Traces on the wire: what backends are told, what collectors get, and that no collector changes anything else."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Received, echo, response
from system_certificates import Authority
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import Manifest, backend_tls_policy, config_map, gateway, listener, metadata, route, rule, service
from system_otlp import CLIENT, SERVER, GrpcCollector, HttpCollector

HOST = "traced.test"
#: Ports of Gateways: traced over HTTP, over gRPC with TLS, one whose clients are believed; one for each bad collector.
PORT, GRPC_PORT, BELIEVING_PORT = 8080, 8081, 8082
BAD = {"stalls": 8083, "closes": 8084, "errors": 8085, "megabytes": 8086, "garbage": 8087, "gone": 8088}
_numbers = itertools.count(1)
ALL = {"numerator": 1, "denominator": 1}


def new_trace() -> str:
    return f"{next(_numbers):032x}"


def sent(trace: str, flags: str = "01") -> tuple[str, str]:
    return ("traceparent", f"00-{trace}-00f067aa0ba902b7-{flags}")


def telemetry(name: str, collector: str, **tracing: Any) -> Manifest:
    """A policy of the Gateway of that name."""
    headers = [{"name": "Authorization", "value": "Bearer hush"}]
    provider = {"backendRef": {"name": collector, "port": 80}, "headers": headers}
    return {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XTelemetryPolicy",
        "metadata": metadata(name),
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}],
            "tracing": {"mode": "Enabled", "provider": provider, **tracing},
        },
    }


def failing(request: Received) -> bytes:
    """Each request is answered 503 twice, then as an echo."""
    with _lock:
        _tries[request.header("x-number") or ""] = tries = _tries.get(request.header("x-number") or "", 0) + 1
    return response(b"", "503 Service Unavailable") if tries < 3 else echo("canary")(request) or b""


_tries: dict[str, int] = {}
_lock = threading.Lock()


class World:
    def __init__(self, start: Any, backend: Any, authority: Authority, folder: Path) -> None:
        self.collector, self.released = HttpCollector(), threading.Event()
        pair = authority.sign("collector.test")
        self.grpc = GrpcCollector((pair.key, pair.certificate))
        self.canary: Backend = backend(failing)
        self.log = folder / "access.log"
        auth = backend(lambda request: response(b"", "200 OK" if request.header("x-user") else "403 Forbidden"))
        asked = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": {"allowedHeaders": ["x-user"]}}
        retried = {"retry": {"codes": [503], "attempts": 3, "backoff": "1ms"}}
        parents = [{"name": name} for name in ("gateway", "grpc", "believing", *BAD)]
        collectors = {
            "stalls": self.stall,
            "closes": lambda _: None,
            "errors": lambda _: response(b"no", "500 Internal Server Error"),
            "megabytes": lambda _: response(b"x" * 3_000_000),
            "garbage": lambda _: b"\x00\x01 this is no answer\r\n\r\n",
        }
        gone = backend("gone")
        gone.close()
        addresses = {name: backend(answer).address for name, answer in collectors.items()} | {"gone": gone.address}
        attributes = [
            {"name": "user", "sourceType": "Header", "headerName": "X-User"},
            {"name": "fleet", "sourceType": "Literal", "literalValue": "one"},
        ]
        self.gateway: Gateway = start(
            gateway(),
            gateway(listener(port=GRPC_PORT), name="grpc"),
            gateway(listener(port=BELIEVING_PORT), name="believing"),
            *(gateway(listener(port=port), name=name) for name, port in BAD.items()),
            route(
                rule("/app", "app"),
                rule("/canary", "stable", "canary", **retried),
                rule(
                    "/asked",
                    "canary",
                    **retried,
                    filters=[{"type": "ExternalAuth", "externalAuth": asked}],
                ),
                parents=parents,
            ),
            *service("app", backend("app").address),
            *service("stable", backend("stable").address),
            *service("canary", self.canary.address),
            *service("auth", auth.address),
            *service("http", backend(self.collector.answer).address, protocol="http"),
            *service("secure", self.grpc.address, protocol="grpc"),
            config_map("authority", authority.pem),
            backend_tls_policy("secure", "secure", "collector.test", "authority"),
            telemetry("gateway", "http", samplingRate=ALL, serviceName="edge", attributes=attributes),
            telemetry("grpc", "secure", samplingRate=ALL),
            telemetry("believing", "http", samplingRate={"numerator": 0}, parentBasedSampling={"mode": "Enabled"}),
            *(service_of for name in BAD for service_of in service(name, addresses[name], protocol="http")),
            *(telemetry(name, name, samplingRate=ALL) for name in BAD),
            arguments=("--access-log", str(self.log)),
        )

    def stall(self, _: Received) -> bytes | None:
        self.released.wait(60)
        return None

    def ask(self, client: Any, path: str, *fields: tuple[str, str], port: int = PORT) -> Any:
        each = client(self.gateway.address, port)
        try:
            return each.request("GET", HOST, path, fields)
        finally:
            each.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: Any) -> Iterator[World]:
    found = World(start, backend, authority, tmp_path_factory.mktemp("log"))
    yield found
    found.released.set()
    found.grpc.close()


def test_a_canary_with_retries_and_an_authorisation_step(world: World, client: Any) -> None:
    """Parents are right, and tries are told apart: what a backend is told is the span of just that try."""
    trace, number = new_trace(), str(next(_numbers))
    fields = (sent(trace), ("tracestate", "vendor=1"), ("x-number", number), ("x-user", "ann"))
    found = world.ask(client, "/asked?card=4711", *fields)
    assert found.status == 200
    server, question, *tries = world.collector.of(trace, 5)
    assert (server.kind, server.parent, server.state) == (SERVER, "00f067aa0ba902b7", "vendor=1")
    assert (server.name, server.service) == ("GET /asked", "edge")
    expected = {
        "http.request.method": "GET",
        "http.route": "/asked",
        "http.response.status_code": 200,
        "url.path": "/asked",
        "url.scheme": "http",
        "server.address": HOST,
        "network.protocol.version": "2" if client is Http2 else "1.1",
        "sluicegate.route": "HTTPRoute/default/route",
        "user": "ann",
        "fleet": "one",
    }
    assert {key: server.attributes.get(key) for key in expected} == expected
    assert [name for name, _ in server.events] == ["policy.asked", "policy.answered", "policy.passed"]
    assert [each.kind for each in (question, *tries)] == [CLIENT] * 4
    assert {each.parent for each in (question, *tries)} == {server.id}
    assert question.attributes["sluicegate.policy"].startswith("externalAuth of ")
    assert (question.name, question.attributes["http.response.status_code"], question.failed) == ("GET", 200, False)
    assert [each.attributes["http.response.status_code"] for each in tries] == [503, 503, 200]
    assert [each.attributes.get("http.request.resend_count") for each in tries] == [None, 1, 2]
    assert [each.failed for each in tries] == [True, True, False]
    assert all(server.begun <= each.begun <= each.ended <= server.ended for each in (question, *tries))
    told = [request.header("traceparent") for request in world.canary.requests if request.header("x-number") == number]
    assert told == [f"00-{trace}-{each.id}-01" for each in tries]
    assert "4711" not in repr((server, tries))
    line = next(line for line in map(json.loads, world.log.read_text().splitlines()) if line["trace_id"] == trace)
    assert line["span_id"] == server.id


def test_a_split_is_seen_by_its_tries(world: World) -> None:
    """Who took a request of the canary's split is in the span of its try."""
    for _ in range(4):
        trace, number = new_trace(), str(next(_numbers))
        found = world.ask(Http1, "/canary", sent(trace), ("x-number", number))
        is_canary = found.echo["backend"] == "canary"
        server, *tries = world.collector.of(trace, 4 if is_canary else 2)
        ports = {each.attributes["server.port"] for each in tries}
        assert (world.canary.address[1] in ports) == is_canary
        assert found.sent("traceparent") == f"00-{trace}-{tries[-1].id}-01"
        assert server.attributes["http.route"] == "/canary"


def test_a_refusal_is_an_event(world: World, client: Any) -> None:
    trace = new_trace()
    assert world.ask(client, "/asked", sent(trace)).status == 403
    server, question = world.collector.of(trace, 2)
    assert [name for name, _ in server.events] == ["policy.asked", "policy.refused"]
    assert server.events[1][1]["error.type"] == "forbidden"
    assert (question.attributes["error.type"], question.failed) == ("403", True)


def test_over_grpc_with_the_policy_of_tls(world: World, client: Any) -> None:
    trace = new_trace()
    assert world.ask(client, "/app", sent(trace), port=GRPC_PORT).status == 200
    server, attempt = world.grpc.of(trace, 2)
    assert (server.kind, attempt.kind, attempt.parent) == (SERVER, CLIENT, server.id)
    assert world.grpc.asked[0]["authorization"] == "Bearer hush"


def test_a_secret_of_the_collector_is_shown_nowhere(world: World) -> None:
    world.ask(Http1, "/app", sent(trace := new_trace()))
    world.collector.of(trace, 2)
    assert world.collector.asked[0]["authorization"] == "Bearer hush"
    assert "hush" not in world.gateway.admin("/config") + world.gateway.admin("/metrics")


def test_who_is_believed_is_obeyed(world: World, client: Any) -> None:
    sampled, other = new_trace(), new_trace()
    found = world.ask(client, "/app", sent(other, "00"), port=BELIEVING_PORT)
    assert found.sent("traceparent").startswith(f"00-{other}-")
    assert found.sent("traceparent").endswith("-00")
    assert world.ask(client, "/app", port=BELIEVING_PORT).sent("traceparent").endswith("-00")
    assert world.ask(client, "/app", sent(sampled), port=BELIEVING_PORT).status == 200
    assert len(world.collector.of(sampled, 2)) == 2
    assert not [span for span in world.collector.spans if span.trace == other]


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["00"],
        ["00-0-0-01"],
        [f"00-{'0' * 32}-00f067aa0ba902b7-01"],
        [f"00-{'a' * 32}-{'0' * 16}-01"],
        [f"00-{'A' * 32}-00f067aa0ba902b7-01"],
        [f"ff-{'a' * 32}-00f067aa0ba902b7-01"],
        [f"00-{'a' * 32}-00f067aa0ba902b7-01-more"],
        [f"00-{'a' * 32}-00f067aa0ba902b7-01", f"00-{'b' * 32}-00f067aa0ba902b7-01"],
        ["x" * 8000],
        [f"00-{'a' * 31}%-00f067aa0ba902b7-01"],
    ],
    ids=range(11),
)
def test_a_hostile_context_begins_a_new_trace(world: World, client: Any, values: list[str]) -> None:
    fields = [("traceparent", value) for value in values]
    found = world.ask(client, "/app", *fields, ("tracestate", "vendor=1"))
    assert found.status == 200
    _, trace, span, flags = found.sent("traceparent").split("-")
    assert (len(trace), len(span), flags) == (32, 16, "01")
    assert trace not in "".join(values)
    assert found.sent("tracestate") is None
    server, attempt = world.collector.of(trace, 2)
    assert (server.parent, attempt.id) == ("", span)


@pytest.mark.parametrize(
    "state", ["a", "=", "a=1,a=2", "A=1", ",".join(f"k{at}=v" for at in range(40)), "a=" + "v" * 6000]
)
def test_a_hostile_state_goes_no_further(world: World, client: Any, state: str) -> None:
    trace = new_trace()
    found = world.ask(client, "/app", sent(trace), ("tracestate", state))
    assert trace in found.sent("traceparent")
    assert found.sent("tracestate") is None


@pytest.mark.parametrize("name", BAD)
def test_a_bad_collector_changes_nothing_for_clients(world: World, name: str) -> None:
    """Requests are served, while what becomes of their spans is counted."""
    each = Http1(world.gateway.address, BAD[name])
    for _ in range(20):
        assert each.request("GET", HOST, "/app", ()).status == 200
    each.close()
    if name == "stalls":  # nothing is known of it before its time is over
        return
    series = f'sluicegate_trace_spans_total{{policy="XTelemetryPolicy/default/{name}"'
    if name == "megabytes":  # an answer like any other, however long
        until(lambda: figure(world, f'{series},outcome="exported"}}') == 40, "spans are taken")
        return
    told = f"XTelemetryPolicy/default/{name}: "
    if not any(told in event.get("message", "") for event in world.gateway.seen):
        world.gateway.event(lambda event: told in event.get("message", ""))
    if name == "errors":  # a status that says that it never will be taken
        until(lambda: figure(world, f'{series},outcome="failed"}}') == 40, "spans are lost")


def figure(world: World, series: str) -> int:
    lines = world.gateway.admin("/metrics").splitlines()
    return next((int(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), -1)
