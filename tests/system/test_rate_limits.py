"""RateLimitPolicy on the wire: who is limited, what is told, and what all workers of a process share.

Periods are hours, so that nothing comes back while a test runs.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from system_backends import response
from system_certificates import Authority
from system_clients import LIMIT, Http1, Http2, Response, tls_context
from system_flows import TcpServer, UdpServer, is_reset, named
from system_gateway import Gateway, until
from system_manifests import (
    Manifest,
    gateway,
    grpc_route,
    grpc_rule,
    listener,
    metadata,
    opaque,
    route,
    rule,
    secret,
    service,
    target,
)
from system_manifests import policy as any_policy

PORT = 8080
HOST = "limit.test"
Start = Callable[..., Gateway]


def limit(requests: int = 3, **rest: Any) -> Manifest:
    return {"name": "limit", "requests": requests, "per": "1h", **rest}


def policy(
    *limits: Manifest, name: str = "limits", kind: str = "HTTPRoute", target: str = "route", **local: Any
) -> Any:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "RateLimitPolicy",
        "metadata": metadata(name),
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": kind, "name": target}],
            "local": {**({"limits": list(limits)} if limits else {}), **local},
        },
    }


def ask(gateway: Gateway, headers: tuple[tuple[str, str], ...] = (), target: str = "/", how: type = Http1) -> Response:
    """One request on a connection of its own: the system gives it to any of the workers."""
    with closing(how(gateway.address, PORT)) as connection:
        return connection.request("GET", HOST, target, headers)


def from_address(gateway: Gateway, address: str) -> int:
    """Status of a request from an address."""
    with socket.create_connection((gateway.address, PORT), LIMIT, source_address=(address, 0)) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split(b" ")[1])


def value(gateway: Gateway, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", gateway.admin("/metrics"), re.MULTILINE)
    assert found, series
    return float(found[1])


@pytest.fixture
def app(backend: Any) -> list[Manifest]:
    return service("app", backend(lambda _request: response(b"taken")).address)


@pytest.mark.parametrize("how", [Http1, Http2])
def test_all_workers_share_a_budget(start: Start, app: list[Manifest], how: type) -> None:
    """Each request on its own connection, so both workers are asked; exactly the budget passes."""
    world = start(gateway(), route(rule("/", "app")), *app, policy(limit(20)))
    found = [ask(world, how=how) for _ in range(60)]
    assert Counter(each.status for each in found) == {200: 20, 429: 40}
    assert found[0].header("ratelimit-policy") == '"limit";q=20;w=3600'
    assert found[0].header("ratelimit") == '"limit";r=19;t=180'
    refused = found[-1]
    assert refused.body.startswith(b"rate_limited: ")
    assert 0 < int(refused.header("retry-after") or 0) <= 180
    assert (refused.header("ratelimit") or "").startswith('"limit";r=0;t=')
    labels = 'policy="RateLimitPolicy/default/limits",limit="limit",mode="Enforce"'
    assert value(world, f"sluicegate_rate_limited_total{{{labels}}}") == 40
    assert value(world, 'sluicegate_errors_total{code="rate_limited"}') == 40


def test_clients_have_budgets_of_their_own(start: Start, app: list[Manifest]) -> None:
    limits = policy(limit(2, key=["client"]), exempt={"clients": ["127.9.0.0/16"]}, headers="None")
    world = start(gateway(), route(rule("/", "app")), *app, limits)
    for address, passed in (("127.8.0.1", 2), ("127.8.0.2", 2), ("127.9.0.1", 5)):
        assert [from_address(world, address) for _ in range(5)] == [200] * passed + [429] * (5 - passed), address
    assert ask(world).header("ratelimit") is None


def test_keys_scopes_and_the_status(start: Start, app: list[Manifest]) -> None:
    world = start(
        gateway(),
        route(rule("/a", "app"), rule("/b", "app")),
        *app,
        policy(
            limit(1, name="key", key=["header:x-key"], scope="Rule"),
            limit(5, name="all"),
            reject={"status": 503},
        ),
    )
    one, two = (("x-key", "1"),), (("x-key", "2"),)
    assert [ask(world, key, "/a").status for key in (one, one, two, two)] == [200, 503, 200, 503]
    # What `key` refused was not taken from `all`.
    assert [ask(world, key, "/b").status for key in (one, two, ())] == [200, 200, 200]
    refused = ask(world, (("x-key", "3"),), "/a")
    assert refused.status == 503
    assert (refused.header("ratelimit") or "").startswith('"all";r=0')


@pytest.mark.parametrize("how", [Http1, Http2])
def test_what_a_limit_by_user_refuses_is_taken_from_nobody(start: Start, app: list[Manifest], how: type) -> None:
    """Those that counted before anybody was known get it back: one user cannot use up what is everybody's."""
    credentials = target("HTTPRoute", "route")
    world = start(
        gateway(),
        route(rule("/", "app")),
        *app,
        opaque("keys", ann="ann-0123456789abcdef", bob="bob-0123456789abcdef"),
        any_policy("AccessPolicy", "keys", credentials, apiKey={"secretRefs": [{"name": "keys"}]}),
        policy(limit(2, name="each", key=["user"]), limit(5, name="all"), limit(9, name="seen", key=["client"])),
    )
    ann, bob = ((("x-api-key", f"{name}-0123456789abcdef"),) for name in ("ann", "bob"))
    found = [ask(world, ann, how=how) for _ in range(12)]
    assert [each.status for each in found] == [200] * 2 + [429] * 10
    assert found[1].header("ratelimit-policy") == '"all";q=5;w=3600, "seen";q=9;w=3600, "each";q=2;w=3600'
    for refused in found[2:]:
        assert refused.header("ratelimit-policy") == '"each";q=2;w=3600'
        assert (refused.header("ratelimit") or "").startswith('"each";r=0;t=')
    # Guessing is counted, and stays so.
    assert ask(world, how=how).status == 401
    assert [ask(world, bob, how=how).status for _ in range(2)] == [200] * 2
    assert (ask(world, bob, how=how).header("ratelimit") or "").startswith('"all";r=0')


def test_a_shadow_refuses_nothing(start: Start, app: list[Manifest]) -> None:
    world = start(gateway(), route(rule("/", "app")), *app, policy(limit(1, mode="Shadow")))
    assert [ask(world).status for _ in range(4)] == [200] * 4
    labels = 'policy="RateLimitPolicy/default/limits",limit="limit",mode="Shadow"'
    assert value(world, f"sluicegate_rate_limited_total{{{labels}}}") == 3
    assert ask(world).header("ratelimit") is None


def test_a_flood_of_keys_is_bounded_and_shares(start: Start, app: list[Manifest]) -> None:
    """10,000 invented keys: the table stays as large as it may be, and what finds no place is not let through."""
    world = start(gateway(), route(rule("/", "app")), *app, policy(limit(1, key=["header:x-key"]), maxKeys=500))
    with closing(Http1(world.address, PORT)) as connection:
        found = Counter(connection.request("GET", HOST, "/", (("x-key", str(key)),)).status for key in range(10_000))
    assert found[200] + found[429] == 10_000
    assert 500 <= found[200] <= 501
    assert value(world, "sluicegate_rate_limit_keys") == 500


def test_a_changed_policy_keeps_its_budgets(start: Start, app: list[Manifest]) -> None:
    objects = [gateway(), route(rule("/", "app")), *app]
    kept = limit(2, name="kept", key=["header:x-key"])
    world = start(*objects, policy(kept))
    key = (("x-key", "1"),)
    assert [ask(world, key).status for _ in range(3)] == [200, 200, 429]
    world.write(*objects, policy(limit(100, name="more"), kept, headers="None"))
    assert [ask(world, key).status, ask(world, (("x-key", "2"),)).status] == [429, 200]
    world.write(*objects, policy(limit(3, name="kept", key=["header:x-key"])))
    assert ask(world, key).status == 200


def test_gateways_defaults_and_what_replaces_them(start: Start, app: list[Manifest]) -> None:
    world = start(
        gateway(),
        route(rule("/inherits", "app"), name="inherits"),
        route(rule("/own", "app"), name="own"),
        route(rule("/free", "app"), name="free"),
        *app,
        policy(limit(1), name="of-gateway", kind="Gateway", target="gateway"),
        policy(limit(2), name="of-route", target="own"),
        policy(name="none", target="free", mode="Disabled"),
    )
    for path, passed in (("/inherits", 1), ("/own", 2), ("/free", 4)):
        assert [ask(world, target=path).status for _ in range(4)] == [200] * passed + [429] * (4 - passed), path


def test_grpc_calls_are_told_their_status(start: Start, app: list[Manifest]) -> None:
    world = start(gateway(), grpc_route(grpc_rule("app")), *app, policy(limit(1), kind="GRPCRoute"))
    fields = (("content-type", "application/grpc"), ("te", "trailers"))

    def call() -> Response:
        with closing(Http2(world.address, PORT)) as connection:
            return connection.request("POST", HOST, "/pkg.Service/Method", fields, b"")

    call()
    refused = call()
    assert (refused.status, refused.header("grpc-status")) == (200, "8")
    assert refused.header("retry-after") is not None


def test_connections_and_flows(start: Start) -> None:
    tcp, udp = TcpServer(named("tcp")), UdpServer("udp")
    try:
        listeners = [listener("tcp", 5000, "TCP"), listener("udp", 5001, "UDP")]
        routes = [
            {
                "apiVersion": "gateway.networking.k8s.io/v1alpha2",
                "kind": kind,
                "metadata": metadata(name),
                "spec": {
                    "parentRefs": [{"name": "gateway", "sectionName": name}],
                    "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
                },
            }
            for kind, name in (("TCPRoute", "tcp"), ("UDPRoute", "udp"))
        ]
        services = [item for name, each in (("tcp", tcp), ("udp", udp)) for item in service(name, each.address)]
        for item in services:
            for port in item.get("ports", []) + item.get("spec", {}).get("ports", []):
                port["protocol"] = item["metadata"]["name"].partition("-")[0].upper()
        limits = policy(limit(2, key=["client"]), kind="Gateway", target="gateway")
        world = start(gateway(*listeners), *routes, *services, limits)

        def connection(address: str) -> socket.socket:
            return socket.create_connection((world.address, 5000), LIMIT, source_address=(address, 0))

        opened = [connection("127.8.0.1") for _ in range(2)]
        assert [each.recv(3) for each in opened] == [b"tcp"] * 2
        # The reset may come before the system has told that the connection is there.
        with suppress(ConnectionResetError):
            assert is_reset(connection("127.8.0.1"))
        assert connection("127.8.0.2").recv(3) == b"tcp"

        def flow(address: str) -> socket.socket:
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.bind((address, 0))
            client.settimeout(LIMIT)
            client.sendto(b"hello", (world.address, 5001))
            return client

        refused = 'sluicegate_l4_failures_total{reason="rate_limited"}'
        # The address has no connections left, and no flows.
        before = value(world, refused)
        flow("127.8.0.1")
        until(lambda: value(world, refused) == before + 1, "the datagram is dropped")
        assert flow("127.8.0.3").recv(100) == b"udp hello"
    finally:
        tcp.close()
        udp.close()


def test_a_connection_counts_once_however_often_policies_are_asked(start: Start, authority: Authority) -> None:
    """Policies are asked before a handshake that is done here, and again when the certificate is known."""
    backend, pair = TcpServer(named("tcp")), authority.sign(HOST)
    try:
        tls = {"mode": "Terminate", "certificateRefs": [{"name": "certificate"}]}
        to_backend = {
            "apiVersion": "gateway.networking.k8s.io/v1alpha2",
            "kind": "TCPRoute",
            "metadata": metadata("route"),
            "spec": {
                "parentRefs": [{"name": "gateway"}],
                "rules": [{"backendRefs": [{"name": "app", "port": 80}]}],
            },
        }
        world = start(
            gateway(listener("tls", 5000, "TLS", tls=tls)),
            to_backend,
            *service("app", backend.address),
            secret("certificate", pair.certificate, pair.key),
            policy(limit(2, key=["client"]), kind="Gateway", target="gateway"),
        )

        def hello() -> bytes:
            with (
                socket.create_connection((world.address, 5000), LIMIT) as connection,
                tls_context(authority.pem).wrap_socket(connection, server_hostname=HOST) as secured,
            ):
                return secured.recv(3)

        assert [hello() for _ in range(2)] == [b"tcp"] * 2
        with pytest.raises(ConnectionResetError):
            hello()
    finally:
        backend.close()
