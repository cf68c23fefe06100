"""BackendPolicy on the wire: endpoints are asked whether they do well, and what becomes of those that do not."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_backends import Received, echo, echo2, response
from system_certificates import Authority
from system_gateway import Gateway, until
from system_manifests import backend_policy, backend_tls_policy, config_map, gateway, route, rule, service

PORT = 8080
HOST = "health.test"
QUICK = {"interval": "100ms", "timeout": "1s", "unhealthyThreshold": 2, "healthyThreshold": 2}


def server_context(folder: Path, authority: Authority, *alpn: str) -> ssl.SSLContext:
    """What endpoints of a Service with TLS present, and what they speak."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("app.test").write(folder, "app"))
    context.set_alpn_protocols(list(alpn))
    return context


class Asked:
    """What an endpoint answers to questions and to requests, and who asked what."""

    def __init__(self, name: str) -> None:
        self.ill = threading.Event()
        self.questions: list[Received] = []
        self._echo = echo(name)

    def __call__(self, request: Received) -> bytes:
        if not request.target.startswith("/healthz"):
            return self._echo(request)
        self.questions.append(request)
        return response(b"", "503 Ill") if self.ill.is_set() else response(b"", "204 No Content")


def start_with(
    start: Any, addresses: list[tuple[str, int]], *more: Any, protocol: str | None = None, **health: Any
) -> Gateway:
    objects = [gateway(), route(rule("/", "app")), *service("app", *addresses, protocol=protocol), *more]
    running: Gateway = start(*objects, backend_policy("policy", "app", health=health), arguments=("--workers", "2"))
    return running


def served_by(client: Any, count: int = 12) -> set[object]:
    """Which backends answer; None: an answer of the gateway."""
    found = [client.request("GET", HOST, "/") for _ in range(count)]
    return {each.echo["backend"] if each.status == 200 else None for each in found}


def told(text: str) -> Callable[[dict[str, Any]], bool]:
    """The log says it of the backend."""
    return lambda event: text in str(event) and "default/app:80" in str(event)


def endpoints(running: Gateway, health: str) -> int:
    wanted = f'sluicegate_upstream_checked_endpoints{{backend="default/app:80",health="{health}"}} '
    lines = running.admin("/metrics").splitlines()
    return next((int(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), -1)


def test_an_endpoint_that_does_badly_gets_nothing_until_it_does_well_again(
    start: Any, backend: Any, client: Any
) -> None:
    ill, well = Asked("ill"), Asked("well")
    addresses = [backend(each).address for each in (ill, well)]
    http = {"path": "/healthz?deep=1", "host": "probe.test"}
    running = start_with(start, addresses, active={"type": "HTTP", "http": http, **QUICK})
    each = client(running.address, PORT)
    until(lambda: ill.questions and well.questions, "both were asked")
    assert served_by(each) == {"ill", "well"}
    assert {(question.method, question.target, question.header("host")) for question in ill.questions} == {
        ("GET", "/healthz?deep=1", "probe.test")
    }
    ill.ill.set()
    until(lambda: endpoints(running, "unhealthy") == 1, "it is found to do badly")
    assert endpoints(running, "healthy") == 1
    assert served_by(each) == {"well"}
    running.event(told("does badly, asked by HTTP: status 503"))
    ill.ill.clear()
    until(lambda: served_by(each) == {"ill", "well"}, "it is used again")
    running.event(told("does well again"))
    each.close()


@pytest.mark.parametrize(("threshold", "expected"), [(50, {"one", "two"}), (0, {None})])
def test_where_none_does_well_all_are_used_or_none(
    start: Any, backend: Any, client: Any, threshold: int, expected: set[object]
) -> None:
    asked = [Asked("one"), Asked("two")]
    for item in asked:
        item.ill.set()
    addresses = [backend(item).address for item in asked]
    active = {"type": "HTTP", "http": {"path": "/healthz"}, **QUICK}
    running = start_with(start, addresses, active=active, panicThreshold=threshold)
    until(lambda: endpoints(running, "unhealthy") == 2, "both do badly")
    each = client(running.address, PORT)
    assert served_by(each) == expected
    if None in expected:
        found = each.request("GET", HOST, "/")
        assert (found.status, found.body.partition(b":")[0]) == (503, b"no_endpoint")
    each.close()


def test_a_connection_is_enough_where_the_policy_says_so(start: Any, backend: Any, client: Any) -> None:
    gone, well = backend("gone"), backend("well")
    addresses = [gone.address, well.address]
    running = start_with(start, addresses, active={"type": "TCP", **QUICK})
    each = client(running.address, PORT)
    assert served_by(each) == {"gone", "well"}
    gone.close()
    until(lambda: endpoints(running, "unhealthy") == 1, "nobody listens there")
    assert served_by(each) == {"well"}
    each.close()


@pytest.mark.parametrize("secured", [False, True])
def test_grpc_has_its_own_protocol_over_tls_too(
    start: Any, backend2: Any, client: Any, authority: Authority, tmp_path: Path, secured: bool
) -> None:
    state = {"ill": b"\x01", "well": b"\x01"}
    questions: list[Received] = []

    def answering(name: str) -> Callable[[Received], Any]:
        answer = echo2(name)

        def answered(request: Received) -> Any:
            if request.target != "/grpc.health.v1.Health/Check":
                return answer(request)
            questions.append(request)
            message = b"\0\0\0\0\x02\x08" + state[name]
            return [(":status", "200"), ("content-type", "application/grpc")], message, [("grpc-status", "0")]

        return answered

    rest: dict[str, Any] = {"tls": server_context(tmp_path, authority, "h2")} if secured else {}
    addresses = [backend2(answering(name), **rest).address for name in state]
    more = [backend_tls_policy("tls", "app", "app.test", "ca"), config_map("ca", authority.pem)] if secured else []
    active = {"type": "GRPC", "grpc": {"service": "shop.Cart"}, **QUICK}
    running = start_with(start, addresses, *more, protocol="kubernetes.io/h2c", active=active)
    each = client(running.address, PORT)
    until(lambda: questions, "it was asked")
    assert questions[0].body == b"\0\0\0\0\x0b\x0a\x09shop.Cart"
    assert served_by(each) == {"ill", "well"}
    state["ill"] = b"\x02"
    until(lambda: endpoints(running, "unhealthy") == 1, "it does not serve")
    assert served_by(each) == {"well"}
    each.close()


def test_endpoints_that_leave_are_not_asked_any_more(start: Any, backend: Any) -> None:
    leaving, staying = Asked("leaving"), Asked("staying")
    addresses = [backend(item).address for item in (leaving, staying)]
    active = {"type": "HTTP", "http": {"path": "/healthz"}, **QUICK}
    running = start_with(start, addresses, active=active)
    until(lambda: leaving.questions and staying.questions, "both were asked")
    objects = [gateway(), route(rule("/", "app")), *service("app", addresses[1])]
    running.write(*objects, backend_policy("policy", "app", health={"active": active}))
    until(lambda: endpoints(running, "healthy") == 1, "one is left")
    before, others = len(leaving.questions), len(staying.questions)
    until(lambda: len(staying.questions) > others + 5, "the other one is asked on")
    # One may have been on its way.
    assert len(leaving.questions) <= before + 1


def test_a_connection_carries_as_many_requests_as_the_policy_lets_it(start: Any, backend: Any, client: Any) -> None:
    answering = backend("one")
    objects = [gateway(), route(rule("/", "app")), *service("app", answering.address)]
    policy = backend_policy("policy", "app", connection={"maxRequests": 3, "keepalive": {"idle": "30s"}})
    running: Gateway = start(*objects, policy, arguments=("--workers", "1"))
    each = client(running.address, PORT)
    for _ in range(9):
        assert each.request("GET", HOST, "/").status == 200
    assert answering.connections == 3
    each.close()


@pytest.mark.parametrize(
    ("versions", "status"), [({"minVersion": "1.3"}, 503), ({"maxVersion": "1.2"}, 200), ({}, 200)]
)
def test_versions_of_tls_towards_endpoints(
    start: Any, backend: Any, client: Any, authority: Authority, tmp_path: Path, versions: dict[str, str], status: int
) -> None:
    context = server_context(tmp_path, authority, "http/1.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    secured = backend("secured", tls=context)
    objects = [gateway(), route(rule("/", "app")), *service("app", secured.address)]
    tls = [backend_tls_policy("tls", "app", "app.test", "ca"), config_map("ca", authority.pem)]
    running: Gateway = start(*objects, *tls, backend_policy("policy", "app", tls=versions))
    each = client(running.address, PORT)
    assert each.request("GET", HOST, "/").status == status
    each.close()
