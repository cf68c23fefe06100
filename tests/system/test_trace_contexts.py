"""Contexts of traces in B3, which rules are traced, and what authorisers are told: on the wire."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from system_backends import Backend, response
from system_ext_authz import AuthorizationServer, CheckResponse
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    by,
    gateway,
    http_filter,
    listener,
    metadata,
    policy,
    route,
    rule,
    service,
    target,
)
from system_otlp import CLIENT, HttpCollector, Span

HOST = "traced.test"
#: Ports of Gateways: all is sampled, and told by W3C alone; nothing is, and all of B3 is told; clients are believed;
#: nothing is traced; the listener samples all.
PORT, B3_PORT, BELIEVING_PORT, UNTRACED_PORT, LISTENER_PORT = 8080, 8081, 8082, 8083, 8084
ALL, NONE = {"numerator": 1, "denominator": 1}, {"numerator": 0}
PARENT, GRANDPARENT = "00f067aa0ba902b7", "05e3ac9a4f6e3b90"
#: What clients may say of a trace.
B3 = ("b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags")
_numbers = itertools.count(0xABC0000)


def new_trace(digits: int = 32) -> str:
    return f"{next(_numbers):0{digits}x}"


def parent(trace: str, flags: str = "01") -> tuple[str, str]:
    return ("traceparent", f"00-{trace}-{PARENT}-{flags}")


def single(trace: str, state: str = "1") -> tuple[str, str]:
    return ("b3", f"{trace}-{PARENT}-{state}-{GRANDPARENT}")


def several(trace: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("X-B3-TraceId", trace), ("X-B3-SpanId", PARENT), ("X-B3-ParentSpanId", GRANDPARENT), *more)


def telemetry(name: str, **tracing: Any) -> Manifest:
    """A policy of the Gateway of that name."""
    return {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XTelemetryPolicy",
        "metadata": metadata(name),
        "spec": {
            "targetRefs": [target("Gateway", name)],
            "tracing": {
                "mode": "Enabled",
                "provider": {"backendRef": {"name": "collector", "port": 80}},
                "samplingRate": ALL,
                **tracing,
            },
        },
    }


class World:
    def __init__(self, start: Any, backend: Any) -> None:
        self.collector = HttpCollector()
        self.auth: Backend = backend(lambda _: response())
        self.calls = AuthorizationServer(lambda _: CheckResponse())
        app = backend("app").address
        filter_auth = {
            "protocol": "HTTP",
            "backendRef": {"name": "auth", "port": 80},
            "http": {"allowedHeaders": ["b3"]},
        }
        grpc_auth = {"protocol": "GRPC", "backendRef": {"name": "calls", "port": 80}, "grpc": {}}
        parents = [{"name": name} for name in ("gateway", "b3", "believing", "untraced", "sampled")]
        self.gateway: Gateway = start(
            gateway(),
            gateway(listener(port=B3_PORT), name="b3"),
            gateway(listener(port=BELIEVING_PORT), name="believing"),
            gateway(listener(port=UNTRACED_PORT), name="untraced"),
            gateway(listener(port=LISTENER_PORT, filters={"requests": by("always")}), name="sampled"),
            route(
                rule("/app", "app"),
                rule("/never", "app", filters=by("never")),
                rule("/always", "app", filters=by("always")),
                rule("/asked", "app", filters=[{"type": "ExternalAuth", "externalAuth": filter_auth}]),
                rule("/called", "app", filters=[{"type": "ExternalAuth", "externalAuth": grpc_auth}]),
                parents=parents,
            ),
            route(rule("/policy", "app"), name="policy", parents=parents),
            http_filter("never", telemetry={"sampling": NONE}),
            http_filter("always", telemetry={"sampling": ALL}),
            policy("ClientPolicy", "both", target("Gateway", "b3"), tracing={"propagation": ["B3", "B3Multi"]}),
            policy("ClientPolicy", "one", target("Gateway", "believing"), tracing={"propagation": ["B3"]}),
            policy("ClientPolicy", "idle", target("Gateway", "untraced"), tracing={"propagation": ["B3"]}),
            policy(
                "AccessPolicy",
                "asks",
                target("HTTPRoute", "policy"),
                external={"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}},
            ),
            telemetry("gateway"),
            telemetry("b3", samplingRate=NONE),
            telemetry("believing", samplingRate=NONE, parentBasedSampling={"mode": "Enabled"}),
            telemetry("sampled", samplingRate=NONE),
            *service("app", app),
            *service("auth", self.auth.address),
            *service("calls", self.calls.address, protocol="kubernetes.io/h2c"),
            *service("collector", backend(self.collector.answer).address, protocol="http"),
        )

    def ask(self, client: Any, path: str, *fields: tuple[str, str], port: int = PORT) -> Any:
        each = client(self.gateway.address, port)
        try:
            return each.request("GET", HOST, path, fields)
        finally:
            each.close()

    def question(self, trace: str) -> tuple[Span, Span]:
        """The question and the try of a request that came with its context."""
        _, question, attempt = self.collector.of(trace, 3)
        return question, attempt

    def asked(self, path: str) -> Any:
        """What the authoriser was last asked about a path."""
        return next(request for request in reversed(self.auth.requests) if request.target == path)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    found = World(start, backend)
    yield found
    found.calls.close()


def told(found: Any) -> dict[str, str]:
    """What a backend got of B3."""
    return {name: found.sent(name) for name in B3 if found.sent(name) is not None}


def test_a_context_of_b3_goes_on(world: World, client: Any) -> None:
    """By W3C alone, where nothing else is asked for."""
    for trace, fields in (
        (whole := new_trace(), (single(whole),)),
        (whole := new_trace(), several(whole, ("X-B3-Sampled", "0"))),
        (short := new_trace(16), (single(short, "0"),)),
        (short := new_trace(16), several(short, ("X-B3-Flags", "1"))),
        # One field says more than several.
        (whole := new_trace(), (single(whole), *several(new_trace()))),
    ):
        found = world.ask(client, "/app", *fields)
        padded = trace.rjust(32, "0")
        server, attempt = world.collector.of(padded, 2)
        assert (server.parent, attempt.kind) == (PARENT, CLIENT)
        assert found.sent("traceparent") == f"00-{padded}-{attempt.id}-01"
        assert told(found) == {}


def test_where_b3_is_asked_for(world: World, client: Any) -> None:
    """In both forms, whatever the client speaks; nothing that contradicts it goes along."""
    for trace, fields in (
        (new := new_trace(), (parent(new), ("b3", "0"), *several(new_trace(), ("X-B3-Flags", "1")))),
        (new := new_trace(), (single(new, "d"),)),
        (new := new_trace(), several(new)),
    ):
        found = world.ask(client, "/app", *fields, port=B3_PORT)
        _, of, span, flags = found.sent("traceparent").split("-")
        assert (of, flags) == (trace, "00")
        expected = {"b3": f"{trace}-{span}-0", "x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-sampled": "0"}
        assert told(found) == expected


def test_each_try_has_its_own_span(world: World, client: Any) -> None:
    found = world.ask(client, "/always", parent(trace := new_trace()), port=B3_PORT)
    _, attempt = world.collector.of(trace, 2)
    assert found.sent("traceparent") == f"00-{trace}-{attempt.id}-01"
    expected = f"{trace}-{attempt.id}-1"
    assert told(found) == {
        "b3": expected,
        "x-b3-traceid": trace,
        "x-b3-spanid": attempt.id,
        "x-b3-sampled": "1",
    }


@pytest.mark.parametrize(
    "fields",
    [
        [("b3", "")],
        [("b3", "2")],
        [("b3", "a" * 8000)],
        [("b3", f"{'a' * 32}-{PARENT}-1"), ("b3", f"{'a' * 32}-{PARENT}-1")],
        [("b3", f"{'A' * 32}-{PARENT}-1")],
        [("b3", f"{'a' * 32}-{'0' * 16}-1")],
        [("b3", f"{'0' * 32}-{PARENT}-1")],
        [("b3", f"{'a' * 32}-{PARENT}-1-{GRANDPARENT}-more")],
        [("x-b3-traceid", "a" * 32)],
        [("x-b3-traceid", "a" * 24), ("x-b3-spanid", PARENT)],
        [("x-b3-traceid", "a" * 32), ("x-b3-spanid", PARENT), ("x-b3-sampled", "yes")],
        [("x-b3-traceid", "a" * 32), ("x-b3-spanid", PARENT), ("x-b3-sampled", "0"), ("x-b3-sampled", "1")],
        [("traceparent", "00-0-0-01"), ("b3", f"{'a' * 32}-{PARENT}-1")],
    ],
    ids=range(13),
)
def test_a_hostile_context_begins_a_new_trace(world: World, client: Any, fields: list[tuple[str, str]]) -> None:
    found = world.ask(client, "/app", *fields, port=B3_PORT)
    assert found.status == 200
    _, trace, span, flags = found.sent("traceparent").split("-")
    assert flags == "00"
    assert trace not in {"a" * 32, "0" * 32}
    assert told(found)["b3"] == f"{trace}-{span}-0"


def test_who_is_believed(world: World, client: Any) -> None:
    """A client that samples or debugs is obeyed where the policy says so; one that leaves it to us has our rate."""
    for trace, fields, flag, state in (
        (new := new_trace(), (single(new),), "01", "1"),
        (new := new_trace(), (single(new, "0"),), "00", "0"),
        (new := new_trace(), (single(new, "d"),), "01", "d"),
        (new := new_trace(), several(new, ("x-b3-flags", "1"), ("x-b3-sampled", "0")), "01", "d"),
        (new := new_trace(), (("b3", f"{new}-{PARENT}"),), "00", "0"),
    ):
        found = world.ask(client, "/app", *fields, port=BELIEVING_PORT)
        _, of, span, flags = found.sent("traceparent").split("-")
        assert (of, flags) == (trace, flag), fields
        assert told(found) == {"b3": f"{trace}-{span}-{state}"}
    # Nothing but a word: of a trace that begins here.
    found = world.ask(client, "/app", ("b3", "1"), port=BELIEVING_PORT)
    _, trace, _, flags = found.sent("traceparent").split("-")
    server, _ = world.collector.of(trace, 2)
    assert (server.parent, flags) == ("", "01")
    assert world.ask(client, "/always", ("x-b3-sampled", "0"), port=BELIEVING_PORT).sent("traceparent").endswith("-00")


def test_nothing_is_touched_where_nothing_is_traced(world: World, client: Any) -> None:
    fields = (single(trace := new_trace()), *several(trace))
    found = world.ask(client, "/always", *fields, port=UNTRACED_PORT)
    assert found.sent("traceparent") is None
    assert told(found) == {name.lower(): value for name, value in fields}


def test_a_rule_has_its_own_share(world: World, client: Any) -> None:
    """In place of its listener's, and of the policy's; what is recorded, backends are told."""
    for path, port, sampled in (
        ("/app", PORT, True),
        ("/never", PORT, False),
        ("/always", PORT, True),
        ("/app", B3_PORT, False),
        ("/always", B3_PORT, True),
        ("/app", LISTENER_PORT, True),
        ("/never", LISTENER_PORT, False),
    ):
        found = world.ask(client, path, parent(trace := new_trace(), "00"), port=port)
        assert found.sent("traceparent").endswith("-01" if sampled else "-00"), (path, port)
        if sampled:
            assert world.collector.of(trace, 2)[0].attributes["http.route"] == path
    # What no rule takes is of the listener.
    assert world.ask(client, "/none", parent(trace := new_trace()), port=LISTENER_PORT).status == 404
    assert world.collector.of(trace, 1)[0].attributes["http.response.status_code"] == 404


@pytest.mark.parametrize("path", ["/asked", "/policy"])
def test_an_authoriser_is_told_of_the_trace(world: World, client: Any, path: str) -> None:
    """Its question is a span of its own, and nothing that the client says of a trace reaches it."""
    fields = (parent(trace := new_trace(), "00"), ("tracestate", "vendor=1"), ("b3", "0"))
    found = world.ask(client, path, *fields)
    question, attempt = world.question(trace)
    asked = world.asked(path)
    assert asked.header("traceparent") == f"00-{trace}-{question.id}-01"
    assert (asked.header("tracestate"), asked.header("b3")) == ("vendor=1", None)
    assert found.sent("traceparent") == f"00-{trace}-{attempt.id}-01"
    assert (question.name, question.kind, question.attributes["http.response.status_code"]) == ("GET", CLIENT, 200)
    assert question.attributes["server.port"] == world.auth.address[1]
    assert question.attributes["sluicegate.policy"].startswith("external")
    assert question.ended <= attempt.begun


def test_an_authoriser_of_grpc_is_told_by_metadata(world: World, client: Any) -> None:
    world.ask(client, "/called", parent(trace := new_trace()), ("b3", "0"))
    question, _ = world.question(trace)
    metadata_of = world.calls.metadata[-1]
    assert metadata_of["traceparent"] == f"00-{trace}-{question.id}-01"
    assert {"traceparent", "b3"}.isdisjoint(world.calls.asked[-1].request.http.headers)
    assert (question.name, question.attributes["rpc.grpc.status_code"], question.failed) == ("POST", 0, False)
    assert question.attributes["url.full"].endswith("/envoy.service.auth.v3.Authorization/Check")


def test_an_authoriser_hears_of_b3_where_backends_do(world: World, client: Any) -> None:
    """What is not recorded is told as it is, by the span of the request."""
    found = world.ask(client, "/asked", parent(trace := new_trace()), port=B3_PORT)
    asked = world.asked("/asked")
    assert asked.header("traceparent") == found.sent("traceparent")
    _, _, span, _ = found.sent("traceparent").split("-")
    assert asked.header("b3") == f"{trace}-{span}-0"


def test_an_authoriser_hears_nothing_where_nothing_is_traced(world: World, client: Any) -> None:
    world.ask(client, "/asked", parent(new_trace()), ("b3", "0"), port=UNTRACED_PORT)
    asked = world.asked("/asked")
    # What the filter allows goes on.
    assert (asked.header("traceparent"), asked.header("b3")) == (None, "0")
    world.ask(client, "/called", parent(new_trace()), port=UNTRACED_PORT)
    assert "traceparent" not in world.calls.metadata[-1]
