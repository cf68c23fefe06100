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
from system_clients import LIMIT, Http2, Response, tls_context
from system_flows import TcpServer, UdpServer, is_reset, named
from system_gateway import Gateway, resident, until
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
PROXIES = {"trustedProxies": ["127.0.0.0/8"]}
#: MiB that the gateway may grow by while clients come: pools that were not in use before.
GROWTH = 10.0


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


def ask(
    gateway: Gateway, how: type, headers: tuple[tuple[str, str], ...] = (), target: str = "/", source: str = ""
) -> Response:
    """One request on a connection of its own: the system gives it to any of the workers."""
    with closing(how(gateway.address, PORT, source=source)) as connection:
        return connection.request("GET", HOST, target, headers)


def value(gateway: Gateway, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", gateway.admin("/metrics"), re.MULTILINE)
    assert found, series
    return float(found[1])


@pytest.fixture
def app(backend: Any) -> list[Manifest]:
    return service("app", backend(lambda _request: response(b"taken")).address)


def test_all_workers_share_a_budget(start: Start, app: list[Manifest], client: type) -> None:
    """Each request on its own connection, so both workers are asked; exactly the budget passes."""
    world = start(gateway(), route(rule("/", "app")), *app, policy(limit(20)))
    found = [ask(world, client) for _ in range(60)]
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


def test_clients_have_budgets_of_their_own(start: Start, app: list[Manifest], client: type) -> None:
    limits = policy(limit(2, key=["client"]), exempt={"clients": ["127.9.0.0/16"]}, headers="None")
    world = start(gateway(), route(rule("/", "app")), *app, limits)
    for address, passed in (("127.8.0.1", 2), ("127.8.0.2", 2), ("127.9.0.1", 5)):
        assert [ask(world, client, source=address).status for _ in range(5)] == [200] * passed + [429] * (5 - passed), (
            address
        )
    assert ask(world, client).header("ratelimit") is None


def test_keys_scopes_and_the_status(start: Start, app: list[Manifest], client: type) -> None:
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
    assert [ask(world, client, key, "/a").status for key in (one, one, two, two)] == [200, 503, 200, 503]
    # What `key` refused was not taken from `all`.
    assert [ask(world, client, key, "/b").status for key in (one, two, ())] == [200, 200, 200]
    refused = ask(world, client, (("x-key", "3"),), "/a")
    assert refused.status == 503
    assert (refused.header("ratelimit") or "").startswith('"all";r=0')


def test_what_a_limit_by_user_refuses_is_taken_from_nobody(start: Start, app: list[Manifest], client: type) -> None:
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
    found = [ask(world, client, ann) for _ in range(12)]
    assert [each.status for each in found] == [200] * 2 + [429] * 10
    assert found[1].header("ratelimit-policy") == '"all";q=5;w=3600, "seen";q=9;w=3600, "each";q=2;w=3600'
    for refused in found[2:]:
        assert refused.header("ratelimit-policy") == '"each";q=2;w=3600'
        assert (refused.header("ratelimit") or "").startswith('"each";r=0;t=')
    # Guessing is counted, and stays so.
    assert ask(world, client).status == 401
    assert [ask(world, client, bob).status for _ in range(2)] == [200] * 2
    assert (ask(world, client, bob).header("ratelimit") or "").startswith('"all";r=0')


def test_who_guesses_is_limited(start: Start, app: list[Manifest], client: type) -> None:
    """A limit by address is looked at before credentials are: a wrong one is no more looked at than a right one."""
    world = start(
        gateway(),
        route(rule("/", "app")),
        *app,
        opaque("keys", ann="ann-0123456789abcdef"),
        any_policy("AccessPolicy", "keys", target("HTTPRoute", "route"), apiKey={"secretRefs": [{"name": "keys"}]}),
        policy(limit(2, key=["client"])),
    )
    right, wrong = ((("x-api-key", key),) for key in ("ann-0123456789abcdef", "eve-0123456789abcdef"))
    assert [ask(world, client, wrong).status for _ in range(4)] == [401, 401, 429, 429]
    assert ask(world, client, right).status == 429
    assert ask(world, client, right, source="127.8.0.1").status == 200


def test_a_shadow_refuses_nothing(start: Start, app: list[Manifest], client: type) -> None:
    world = start(gateway(), route(rule("/", "app")), *app, policy(limit(1, mode="Shadow")))
    assert [ask(world, client).status for _ in range(4)] == [200] * 4
    labels = 'policy="RateLimitPolicy/default/limits",limit="limit",mode="Shadow"'
    assert value(world, f"sluicegate_rate_limited_total{{{labels}}}") == 3
    assert ask(world, client).header("ratelimit") is None


@pytest.mark.parametrize("key", ["header:x-key", "client"])
def test_a_flood_of_keys_is_bounded_and_shares(start: Start, app: list[Manifest], client: type, key: str) -> None:
    """10,000 clients, invented or not: the table stays as large as it may be; who finds no place is not let through."""
    proxies = any_policy("ClientPolicy", "proxies", target("Gateway", "gateway"), clientAddress=PROXIES)
    world = start(gateway(), route(rule("/", "app")), *app, policy(limit(1, key=[key]), maxKeys=500), proxies)
    assert ask(world, client, (("x-key", "first"), ("x-forwarded-for", "192.0.2.1"))).status == 200
    before, found = resident(world.process.pid), Counter[int]()
    for first in range(0, 10_000, 250):
        with closing(client(world.address, PORT)) as connection:
            for number in range(first, first + 250):
                sent = (("x-key", str(number)), ("x-forwarded-for", f"10.0.{number // 250}.{number % 250}"))
                found[connection.request("GET", HOST, "/", sent).status] += 1
    assert found[200] + found[429] == 10_000
    assert 499 <= found[200] <= 500
    assert value(world, "sluicegate_rate_limit_keys") == 500
    assert resident(world.process.pid) - before < GROWTH
    # Who had a budget has it still.
    assert ask(world, client, (("x-key", "first"), ("x-forwarded-for", "192.0.2.1"))).status == 429


def test_a_changed_policy_keeps_its_budgets(start: Start, app: list[Manifest], client: type) -> None:
    objects = [gateway(), route(rule("/", "app")), *app]
    kept = limit(2, name="kept", key=["header:x-key"])
    world = start(*objects, policy(kept))
    key = (("x-key", "1"),)
    assert [ask(world, client, key).status for _ in range(3)] == [200, 200, 429]
    world.write(*objects, policy(limit(100, name="more"), kept, headers="None"))
    assert [ask(world, client, key).status, ask(world, client, (("x-key", "2"),)).status] == [429, 200]
    world.write(*objects, policy(limit(3, name="kept", key=["header:x-key"])))
    assert ask(world, client, key).status == 200


def test_gateways_defaults_and_what_replaces_them(start: Start, app: list[Manifest], client: type) -> None:
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
        found = [ask(world, client, target=path).status for _ in range(4)]
        assert found == [200] * passed + [429] * (4 - passed), path


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
