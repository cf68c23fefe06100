"""Traces on the real cluster: over gRPC to a collector of another namespace, of a canary that is tried again."""

from __future__ import annotations

import http.client
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from api import LIMIT, Api, Object
from backend_cases import UPSTREAM
from faults import Serving, remove_namespace, serving
from harness.network import NODE_ADDRESS
from policy_parts import GROUP, OWN, named, target
from policy_world import address_of, until
from system_backends import Backend, Received, echo, response
from system_otlp import CLIENT, SERVER, GrpcCollector

__all__ = ["serving"]

NAME, HOST = "traced", "traced.example.com"
PARENT = "00f067aa0ba902b7"


def behind(name: str, *ports: int, protocol: str = "http") -> Iterator[Object]:
    """A Service of the test's own servers."""
    yield named(name, "Service", "v1", {"ports": [{"port": 80, "appProtocol": protocol}]})
    for number, port in enumerate(ports):
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-{number}", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": "", "port": port, "protocol": "TCP"}],
        }


def conditions(item: Object) -> Mapping[str, tuple[str, str]]:
    """Status and reason of what a policy says of its one Gateway."""
    ancestors = item.get("status", {}).get("ancestors", [])
    return {found["type"]: (found["status"], found["reason"]) for each in ancestors for found in each["conditions"]}


def is_said(name: str, *wanted: str) -> Any:
    return lambda item: conditions(item).get(name) == wanted


class Canary:
    """Two endpoints: whichever is the first to be asked by a request has no time for it."""

    def __init__(self) -> None:
        self.failed = False
        places = [socket.create_server((NODE_ADDRESS, 0)) for _ in range(2)]
        self.endpoints = [Backend(self._answer, listener=place) for place in places]

    def _answer(self, request: Received) -> bytes | None:
        if not self.failed:
            self.failed = True
            return response(b"", "503 Service Unavailable")
        return echo("canary")(request)

    def told(self) -> dict[str, int]:
        """The port of who was told a parent."""
        return {str(it.header("traceparent")): each.address[1] for each in self.endpoints for it in each.requests}


@dataclass(frozen=True)
class Traced:
    """Everything but the grant that the policy needs."""

    address: str
    collector: GrpcCollector
    canary: Canary
    #: Of the collector.
    namespace: str


@pytest.fixture
def traced(api: Api, serving: Serving) -> Iterator[Traced]:
    collector, canary = GrpcCollector(address=NODE_ADDRESS), Canary()
    place = socket.create_server((NODE_ADDRESS, 0))
    auth = Backend(lambda it: response(b"", "200 OK" if it.header("x-user") else "403 Forbidden"), listener=place)
    namespace = f"collectors-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        api.apply(behind("collector", collector.address[1], protocol="grpc"), namespace)
        provider = {"backendRef": {"name": "collector", "namespace": namespace, "port": 80}}
        tracing = {"mode": "Enabled", "provider": provider, "samplingRate": {"numerator": 100}, "serviceName": "edge"}
        listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
        retry = {"codes": [503], "attempts": 2, "backoff": "10ms"}
        rule = {"backendRefs": [{"name": "canary", "port": 80}], "retry": retry}
        route = {"parentRefs": [{"name": NAME}], "hostnames": [HOST], "rules": [rule]}
        asked = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": {"allowedHeaders": ["x-user"]}}
        on_gateway, on_route = target("Gateway", NAME), target("HTTPRoute", NAME)
        found = [
            named(NAME, "Gateway", f"{GROUP}/v1", {"gatewayClassName": "sluicegate", "listeners": listeners}),
            named(NAME, "HTTPRoute", f"{GROUP}/v1", route),
            named(NAME, "AccessPolicy", OWN, {"targetRefs": [on_route], "external": asked}),
            named(NAME, "XTelemetryPolicy", UPSTREAM, {"targetRefs": [on_gateway], "tracing": tracing}),
            *behind("canary", *(each.address[1] for each in canary.endpoints)),
            *behind("auth", auth.address[1]),
        ]
        api.apply(found, serving.namespace)
        yield Traced(address_of(api, serving, NAME), collector, canary, namespace)
    finally:
        remove_namespace(api, namespace)
        collector.close()
        for each in (auth, *canary.endpoints):
            each.close()


def ask(traced: Traced, trace: str, **fields: str) -> int:
    """Status of a request that is a part of a trace; 0: nobody listens yet."""
    return status_of(traced.address, "/shop", {"Host": HOST, "traceparent": f"00-{trace}-{PARENT}-00", **fields})


def status_of(address: str, path: str, fields: dict[str, str]) -> int:
    """Status of a request; 0: nobody listens yet."""
    connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)
    try:
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        answer.read()
    except ConnectionRefusedError:
        return 0
    else:
        return answer.status
    finally:
        connection.close()


def grant(serving: Serving, kind: str = "XTelemetryPolicy", version: str = UPSTREAM) -> Object:
    """Lets policies of a kind, of the Gateway's namespace, name the collector."""
    whose = {"group": version.partition("/")[0], "kind": kind, "namespace": serving.namespace}
    spec = {"from": [whose], "to": [{"group": "", "kind": "Service", "name": "collector"}]}
    return named("telemetry", "ReferenceGrant", f"{GROUP}/v1", spec)


def test_a_canary_with_a_retry_and_an_authorisation_step(api: Api, serving: Serving, traced: Traced) -> None:
    """Nobody is refused for want of a collector; with one, each try has its own span, which its backend was told."""
    missing = ("False", "RefNotPermitted")
    api.until("XTelemetryPolicy", serving.namespace, NAME, is_said("ResolvedRefs", *missing))
    until(lambda: ask(traced, f"{1:032x}") == 403, "the authoriser is asked")
    assert not traced.canary.told()
    api.apply([grant(serving)], traced.namespace)
    api.until("XTelemetryPolicy", serving.namespace, NAME, is_said("ResolvedRefs", "True", "ResolvedRefs"))
    # The pod has it once a span of a request that is refused has come.
    until(lambda: ask(traced, f"{2:032x}") == 403 and bool(traced.collector.spans), "spans come")
    refused = traced.collector.spans[0]
    assert [name for name, _ in refused.events][-1] == "policy.refused"
    trace = secrets.token_hex(16)
    assert ask(traced, trace, **{"x-user": "ann"}) == 200
    server, question, *tries = traced.collector.of(trace, 4)
    assert (question.kind, question.parent) == (CLIENT, server.id)
    assert (server.kind, server.parent, server.service) == (SERVER, PARENT, "edge")
    assert server.attributes["sluicegate.route"] == f"HTTPRoute/{serving.namespace}/{NAME}"
    steps = {fields["sluicegate.policy"].partition(" of ")[2] for _, fields in server.events}
    assert steps == {f"AccessPolicy/{serving.namespace}/{NAME}"}
    assert [(each.kind, each.parent) for each in tries] == [(CLIENT, server.id)] * 2
    assert [each.attributes["http.response.status_code"] for each in tries] == [503, 200]
    assert [each.attributes.get("http.request.resend_count") for each in tries] == [None, 1]
    told = traced.canary.told()
    ports = [told[f"00-{trace}-{each.id}-01"] for each in tries]
    assert [each.attributes["server.port"] for each in tries] == ports
    assert {each.attributes["server.address"] for each in tries} == {NODE_ADDRESS}
    api.delete("XTelemetryPolicy", serving.namespace, NAME)
    until(lambda: ask(traced, trace, **{"x-user": "ann"}) == 200 and is_untold(traced, trace), "nothing is traced")


def is_untold(traced: Traced, trace: str) -> bool:
    """What a client sends goes on as it came."""
    return f"00-{trace}-{PARENT}-00" in traced.canary.told()
