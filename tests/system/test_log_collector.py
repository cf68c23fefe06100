"""Lines of the access log for collectors: what they say, which there are; no collector changes anything else."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import Received, response
from system_certificates import Authority
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import (
    Manifest,
    backend_tls_policy,
    config_map,
    gateway,
    listener,
    metadata,
    policy,
    route,
    rule,
    service,
    target,
)
from system_otlp import GrpcLogCollector, LogCollector

HOST = "logged.test"
#: Ports of Gateways: one for each bad collector, and one that is traced as well.
PORT, TRACED = 8080, 8089
BAD = {"stalls": 8083, "closes": 8084, "errors": 8085, "megabytes": 8086, "garbage": 8087, "gone": 8088}
HEADERS = [{"name": "Authorization", "value": "Bearer hush"}]
_numbers = itertools.count(1)


def log_to(name: str, *targets: Manifest, collector: str, **more: Any) -> Manifest:
    to = {"backendRef": {"name": collector, "port": 80}, "headers": HEADERS}
    return policy("ClientPolicy", name, *targets, accessLog={"collector": to, **more})


class World:
    def __init__(self, start: Any, backend: Any, authority: Authority, folder: Path) -> None:
        self.collector, self.released = LogCollector(), threading.Event()
        pair = authority.sign("collector.test")
        self.grpc = GrpcLogCollector((pair.key, pair.certificate))
        self.log = folder / "access.log"
        gone = backend("gone")
        gone.close()
        answers = {
            "stalls": self.stall,
            "closes": lambda _: None,
            "errors": lambda _: response(b"no", "500 Internal Server Error"),
            "megabytes": lambda _: response(b"x" * 3_000_000),
            "garbage": lambda _: b"\x00\x01 this is no answer\r\n\r\n",
        }
        addresses = {name: backend(answer).address for name, answer in answers.items()} | {"gone": gone.address}
        traces = {
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
            "kind": "XTelemetryPolicy",
            "metadata": metadata("traces"),
            "spec": {
                "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "traced"}],
                "tracing": {
                    "mode": "Enabled",
                    "provider": {"backendRef": {"name": "gone", "port": 80}},
                    "samplingRate": {"numerator": 100},
                },
            },
        }
        self.gateway: Gateway = start(
            gateway(),
            gateway(listener(port=TRACED), name="traced"),
            *(gateway(listener(port=port), name=name) for name, port in BAD.items()),
            route(
                rule("/app", "app"),
                rule("/gone", "gone"),
                rule("/grpc", "app", name="grpc"),
                rule("/errors", "app", name="errors"),
                rule("/failing", "gone", name="failing"),
                rule("/none", "app", name="none"),
                rule("/sampled", "app", name="sampled"),
                parents=[{"name": name} for name in ("gateway", "traced", *BAD)],
            ),
            *service("app", backend("app").address),
            *service("http", backend(self.collector.answer).address, protocol="http"),
            *service("secure", self.grpc.address, protocol="grpc"),
            config_map("authority", authority.pem),
            backend_tls_policy("secure", "secure", "collector.test", "authority"),
            *(each for name in BAD for each in service(name, addresses[name], protocol="http")),
            log_to("all", target("Gateway", "gateway"), target("Gateway", "traced"), collector="http"),
            log_to("grpc", target("HTTPRoute", "route", "grpc"), collector="secure"),
            log_to(
                "errors-alone",
                target("HTTPRoute", "route", "errors"),
                target("HTTPRoute", "route", "failing"),
                collector="http",
                mode="Errors",
            ),
            policy("ClientPolicy", "none", target("HTTPRoute", "route", "none"), accessLog={"mode": "Disabled"}),
            log_to("none-of-them", target("HTTPRoute", "route", "sampled"), collector="http", sample={"numerator": 0}),
            *(log_to(name, target("Gateway", name), collector=name) for name in BAD),
            traces,
            arguments=("--access-log", str(self.log)),
        )

    def stall(self, _: Received) -> bytes | None:
        self.released.wait(60)
        return None

    def ask(self, client: Any, path: str, *fields: tuple[str, str], port: int = PORT, method: str = "GET") -> Any:
        each = client(self.gateway.address, port)
        try:
            return each.request(method, HOST, path, fields)
        finally:
            each.close()

    def counted(self, name: str, outcome: str) -> int:
        series = f'sluicegate_log_records_total{{policy="ClientPolicy/default/{name}/accessLog",outcome="{outcome}"}} '
        found = [line for line in self.gateway.admin("/metrics").splitlines() if line.startswith(series)]
        return int(found[0].rpartition(" ")[2]) if found else -1


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: Any) -> Iterator[World]:
    found = World(start, backend, authority, tmp_path_factory.mktemp("log"))
    yield found
    found.released.set()
    found.grpc.close()


def new(path: str) -> str:
    return f"{path}/{next(_numbers)}"


def test_a_line_has_what_the_log_has(world: World, client: Any) -> None:
    """In the names of OpenTelemetry, beside the line of the process's own log."""
    path = new("/app")
    agent = ("user-agent", "probe")
    assert world.ask(client, f"{path}?colour=red", agent, ("x-request-id", "r-1"), method="PUT").status == 200
    found = world.collector.of(path)
    assert (found.severity, found.body, found.service) == ("INFO", f"PUT {path} 200", "sluicegate")
    assert (found.trace, found.span) == ("", "")
    expected = {
        "http.request.method": "PUT",
        "http.response.status_code": 200,
        "http.route": "/app",
        "url.scheme": "http",
        "url.query": "colour=red",
        "server.address": HOST,
        "network.protocol.version": "2" if client is Http2 else "1.1",
        "user_agent.original": "probe",
        "sluicegate.request_id": "r-1",
        "sluicegate.route": "HTTPRoute/default/route",
        "sluicegate.backend": "default/app:80",
        "sluicegate.retries": 0,
    }
    assert {key: found.attributes.get(key) for key in expected} == expected
    assert "error.type" not in found.attributes

    def own() -> list[Any]:
        lines = map(json.loads, world.log.read_text().splitlines())
        return [line for line in lines if line["path"].startswith(f"{path}?")]

    until(own, "the line in the log of the process")
    [line] = own()
    assert abs(line["time"] * 1e9 - found.begun) < 1e6
    assert line["duration_ms"] == found.attributes["sluicegate.duration_ms"]
    assert line["endpoint"] == found.attributes["sluicegate.endpoint"]


def test_what_failed_is_a_warning(world: World, client: Any) -> None:
    path = new("/gone")
    assert world.ask(client, path).status == 503
    found = world.collector.of(path)
    assert found.severity == "WARN"
    assert found.attributes["error.type"] == found.attributes["sluicegate.error"] == "upstream_connect"


def test_a_request_without_a_route_has_a_line(world: World, client: Any) -> None:
    path = new("/nowhere")
    assert world.ask(client, path).status == 404
    found = world.collector.of(path)
    assert (found.severity, found.attributes["sluicegate.error"]) == ("INFO", "no_route")
    assert "http.route" not in found.attributes


def test_a_line_names_its_trace(world: World, client: Any) -> None:
    path = new("/app")
    _, trace, _, _ = world.ask(client, path, port=TRACED).sent("traceparent").split("-")
    found = world.collector.of(path)
    assert found.trace == trace
    assert len(found.span) == 16


def test_over_grpc_with_the_policy_of_tls(world: World, client: Any) -> None:
    """A rule has its own collector, in place of that of its Gateway."""
    path = new("/grpc")
    assert world.ask(client, path).status == 200
    assert world.grpc.of(path).attributes["http.route"] == "/grpc"
    assert world.grpc.asked[0]["authorization"] == "Bearer hush"
    assert not [line for line in world.collector.lines if line.attributes["url.path"] == path]


def test_a_secret_of_the_collector_is_shown_nowhere(world: World) -> None:
    world.ask(Http1, path := new("/app"))
    world.collector.of(path)
    assert world.collector.asked[0]["authorization"] == "Bearer hush"
    assert "hush" not in world.gateway.admin("/config") + world.gateway.admin("/metrics")


def test_modes(world: World, client: Any) -> None:
    """What has no line in the log has none at a collector."""
    fine, wrong, none, sampled = (new(path) for path in ("/errors", "/failing", "/none", "/sampled"))
    for path in (fine, none, sampled):
        assert world.ask(client, path).status == 200
    assert world.ask(client, wrong).status == 503
    world.collector.of(wrong)
    world.ask(client, last := new("/app"))
    world.collector.of(last)
    until(lambda: world.counted("errors-alone", "exported") >= 1, "it is counted")
    paths = {line.attributes["url.path"] for line in world.collector.lines}
    assert not paths & {fine, none, sampled}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_collector_changes_nothing_for_clients(world: World, client: Any, name: str) -> None:
    """Requests are served, while what becomes of their lines is counted."""
    before = max(world.counted(name, "exported"), 0) + max(world.counted(name, "failed"), 0)
    each = client(world.gateway.address, BAD[name])
    for _ in range(20):
        assert each.request("GET", HOST, "/app", ()).status == 200
    each.close()
    if name == "stalls":  # nothing is known of it before its time is over
        return
    if name == "megabytes":  # an answer like any other, however long
        until(lambda: world.counted(name, "exported") == before + 20, "lines are taken")
        return
    told = f"ClientPolicy/default/{name}/accessLog: "
    if not any(told in event.get("message", "") for event in world.gateway.seen):
        world.gateway.event(lambda event: told in event.get("message", ""))
    if name == "errors":  # a status that says that it never will be taken
        until(lambda: world.counted(name, "failed") == before + 20, "lines are lost")


def test_without_a_log_of_the_process(start: Any, backend: Any) -> None:
    """A collector takes lines where nothing else does."""
    collector = LogCollector()
    found: Gateway = start(
        gateway(),
        route(rule("/app", "app")),
        *service("app", backend("app").address),
        *service("http", backend(collector.answer).address, protocol="http"),
        log_to("all", target("Gateway", "gateway"), collector="http"),
    )
    client = Http1(found.address, PORT)
    assert client.request("GET", HOST, "/app/only").status == 200
    client.close()
    assert collector.of("/app/only").attributes["http.response.status_code"] == 200
