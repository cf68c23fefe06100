"""RateLimitPolicy on the wire: how much may be under way at once, and when that is over."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from system_backends import Received, response, websocket_accept
from system_clients import LIMIT, Http1, Http2
from system_flows import TcpServer, UdpServer, is_reset, named
from system_gateway import Gateway, until
from system_manifests import Manifest, gateway, listener, metadata, policy, route, rule, service, target

PORT = 8080
HOST = "limit.test"
Start = Callable[..., Gateway]
Client = type[Http1] | type[Http2]


def at_once(most: int, *, kind: str = "HTTPRoute", of: str = "route", **rest: Any) -> Manifest:
    limit = {"name": "at-once", "concurrent": most, "key": ["client"], **rest}
    return policy("RateLimitPolicy", "limits", target(kind, of), local={"limits": [limit]})


class World:
    """Each client may have two requests under way; the backend answers `/held` when it is told to."""

    def __init__(self, start: Start, backend: Any) -> None:
        self.released = threading.Semaphore(0)
        self.app = backend(self.answer)
        self.gateway = start(gateway(), route(rule("/", "app")), *service("app", self.app.address), at_once(2))

    def answer(self, request: Received) -> bytes | None:
        if request.header("upgrade"):
            return websocket_accept(request)
        if request.target == "/broken":
            return b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nnot all"
        if request.target == "/closed":
            return None
        if request.target == "/held":
            self.released.acquire(timeout=LIMIT)
        return response(b"done")

    def held(self) -> socket.socket:
        """A request that waits for its answer."""
        before = len(self.app.requests)
        connection = socket.create_connection((self.gateway.address, PORT), LIMIT)
        connection.sendall(f"GET /held HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        self.app.wait(before + 1)
        return connection

    def ask(self, client: Client, path: str = "/") -> int:
        with closing(client(self.gateway.address, PORT)) as connection:
            return connection.request("GET", HOST, path).status

    def until_free(self, places: int) -> None:
        """Wait until so many may be under way again, and no more."""
        until(lambda: self.keys() == (0 if places == 2 else 1), "the places are free")
        taken = [self.held() for _ in range(places)]
        assert self.ask(Http1) == 429
        self.release(taken)

    def release(self, connections: list[socket.socket]) -> None:
        self.released.release(len(connections))
        for each in connections:
            assert each.recv(12) == b"HTTP/1.1 200"
            each.close()

    def keys(self) -> int:
        found = re.search(r"^sluicegate_rate_limit_keys (\d+)$", self.gateway.admin("/metrics"), re.MULTILINE)
        assert found
        return int(found[1])


@pytest.fixture
def world(start: Start, backend: Any) -> World:
    return World(start, backend)


def test_so_many_at_once_of_each_client(world: World, client: Client) -> None:
    held = [world.held() for _ in range(2)]
    with closing(client(world.gateway.address, PORT)) as connection:
        for _ in range(3):
            refused = connection.request("GET", HOST, "/")
            assert (refused.status, refused.body.split(b":")[0]) == (429, b"rate_limited")
            # Nobody knows when another one ends.
            assert (refused.header("retry-after"), refused.header("ratelimit")) == (None, None)
    with socket.create_connection((world.gateway.address, PORT), LIMIT, source_address=("127.8.0.1", 0)) as other:
        other.sendall(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        assert other.recv(12) == b"HTTP/1.1 200"
    world.release(held[:1])
    until(lambda: world.ask(client) == 200, "a place is free")
    world.release(held[1:])
    world.until_free(2)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_place_is_free_however_a_request_ends(world: World) -> None:
    """Whole, refused, broken off by the backend or by the client, or as a tunnel."""
    for path, client in [(path, client) for path in ("/", "/broken", "/closed") for client in (Http1, Http2)]:
        with suppress(ConnectionError, AssertionError), closing(client(world.gateway.address, PORT)) as connection:
            connection.request("GET", HOST, path)
        until(lambda: world.keys() == 0, f"{path} has ended")
    for end in (reset, socket.socket.close):
        end(world.held())
        until(lambda: world.keys() == 0, "the client has gone")
        world.released.release()
    upgrade = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"))
    tunnel = Http1(world.gateway.address, PORT)
    found = tunnel.request("GET", HOST, "/", (*upgrade, ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")))
    assert (found.status, world.keys()) == (101, 1)
    tunnel.close()
    until(lambda: world.keys() == 0, "the tunnel has ended")
    world.until_free(2)


def test_a_stream_that_is_reset(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    before = len(world.app.requests)
    stream = connection.open("GET", HOST, "/held")
    world.app.wait(before + 1)
    assert world.keys() == 1
    connection.state.reset_stream(stream)
    connection.flush()
    until(lambda: world.keys() == 0, "the stream has ended")
    world.released.release()
    connection.close()


def l4_route(kind: str, name: str) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1alpha2",
        "kind": kind,
        "metadata": metadata(name),
        "spec": {
            "parentRefs": [{"name": "gateway", "sectionName": name}],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
        },
    }


@pytest.fixture
def flows() -> Iterator[tuple[TcpServer, UdpServer]]:
    tcp, udp = TcpServer(named("tcp")), UdpServer("udp")
    yield tcp, udp
    tcp.close()
    udp.close()


def test_connections_and_flows_at_once(start: Start, flows: tuple[TcpServer, UdpServer]) -> None:
    services = [item for name, each in zip(("tcp", "udp"), flows, strict=True) for item in service(name, each.address)]
    for item in services:
        for port in item.get("ports", []) + item.get("spec", {}).get("ports", []):
            port["protocol"] = item["metadata"]["name"].partition("-")[0].upper()
    world = start(
        gateway(listener("tcp", 5000, "TCP"), listener("udp", 5001, "UDP")),
        l4_route("TCPRoute", "tcp"),
        l4_route("UDPRoute", "udp"),
        *services,
        at_once(1, kind="Gateway", of="gateway"),
    )

    def connection(address: str) -> socket.socket:
        return socket.create_connection((world.address, 5000), LIMIT, source_address=(address, 0))

    first = connection("127.8.0.1")
    assert first.recv(3) == b"tcp"
    # The reset may come before the system has told that the connection is there.
    with suppress(ConnectionResetError):
        assert is_reset(connection("127.8.0.1"))
    assert connection("127.8.0.2").recv(3) == b"tcp"
    first.close()

    def is_served() -> bool:
        with suppress(ConnectionError), closing(connection("127.8.0.1")) as again:
            return again.recv(3) == b"tcp"
        return False

    until(is_served, "its place is free")

    def flow() -> socket.socket:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind(("127.8.0.9", 0))
        client.settimeout(LIMIT)
        client.sendto(b"hello", (world.address, 5001))
        return client

    def refused() -> int:
        pattern = r'^sluicegate_l4_failures_total\{reason="rate_limited"\} (\d+)$'
        found = re.search(pattern, world.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0

    before = refused()
    assert flow().recv(100) == b"udp hello"
    flow()
    until(lambda: refused() == before + 1, "the datagram is dropped")
