"""Mirrors get every body whole, once, or it is counted why not; one that is away costs the request next to nothing."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from system_backends import Backend, Backend2, Received, read_request, response, websocket_accept
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import by, gateway, http_filter, route, rule, service

PORT = 8080
HOST = "mirrored.test"
MEGABYTE = 1024 * 1024


class Counting(Backend):
    """Reads bodies as fast as it can and remembers their size, for both kinds of framing."""

    def __init__(self) -> None:
        super().__init__(lambda _request: response(b"counted"))

    def remember(self, request: Received) -> None:
        request.body = str(len(request.body)).encode()
        super().remember(request)


class Counting2(Backend2):
    def __init__(self) -> None:
        super().__init__(lambda _request: ([(":status", "200")], b"counted", []))

    def remember(self, request: Received) -> None:
        request.body = str(len(request.body)).encode()
        super().remember(request)


class Deaf(Backend):
    """Takes a connection and reads nothing."""

    def __init__(self) -> None:
        self.over = threading.Event()
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        self.over.wait(LIMIT)


class Refusing(Backend):
    """Answers 503 to the first try, once it has the body, and takes the second one."""

    def __init__(self) -> None:
        self.tries = 0
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while read_request(stream, connection) is not None:
            self.tries += 1
            refused = self.tries % 2 == 1
            connection.sendall(response(b"", "503 Service Unavailable" if refused else "200 OK"))


def mirror(name: str) -> dict[str, Any]:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}}}


class World:
    def __init__(self, start: Any) -> None:
        self.main, self.copy, self.copy2, self.deaf = Counting(), Counting(), Counting2(), Deaf()
        self.refusing = Refusing()
        self.sockets = Backend(lambda request: websocket_accept(request) if request.header("upgrade") else response())
        retry = {"codes": [503], "attempts": 1, "backoff": "1ms"}
        self.gateway: Gateway = start(
            gateway(),
            route(
                rule("/both", "main", filters=[mirror("copy"), mirror("copy2")]),
                rule("/large", "main", filters=[mirror("copy"), mirror("copy")]),
                rule("/deaf", "main", filters=[mirror("deaf")]),
                rule("/gone", "main", filters=[mirror("gone")]),
                rule("/empty", "main", filters=[mirror("empty")]),
                rule("/retried", "refusing", filters=[mirror("copy")], retry=retry),
                rule("/socket", "sockets", filters=[mirror("copy")]),
            ),
            *service("main", self.main.address),
            *service("copy", self.copy.address),
            *service("copy2", self.copy2.address, protocol="kubernetes.io/h2c"),
            *service("deaf", self.deaf.address),
            *service("gone", ("127.0.0.1", 9)),
            *service("empty"),
            *service("refusing", self.refusing.address),
            *service("sockets", self.sockets.address),
        )

    @property
    def backends(self) -> list[Backend]:
        return [self.main, self.copy, self.copy2, self.deaf, self.refusing, self.sockets]

    def failures(self, reason: str) -> int:
        found = re.search(
            rf'^sluicegate_mirror_failures_total{{reason="{reason}"}} (\d+)$', self.gateway.admin("/metrics"), re.M
        )
        assert found is not None
        return int(found[1])


@pytest.fixture(scope="module")
def world(start: Any) -> Iterator[World]:
    found = World(start)
    yield found
    found.deaf.over.set()
    for each in found.backends:
        each.close()


def send(world: World, how: str, target: str, body: bytes) -> int:
    """POST a body with such a framing; returns the status."""
    connection = (Http2 if how == "http2" else Http1)(world.gateway.address, PORT)
    try:
        if isinstance(connection, Http2):
            stream = connection.open("POST", HOST, target, end=False)
            connection.send(stream, body, end=True)
            return connection.read(stream).status
        if how == "length":
            return connection.request("POST", HOST, target, (), body).status
        head = f"POST {target} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        pieces = [body[at : at + 16_000] for at in range(0, len(body), 16_000)]
        connection.send(head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
        return connection.read("POST").status
    finally:
        connection.close()


def sizes(backend: Backend, target: str, count: int) -> list[bytes]:
    """The sizes of the bodies that a backend got for a target; waits for so many."""
    with backend.changed:
        found = lambda: [each.body for each in backend.requests if each.target == target]  # noqa: E731
        assert backend.changed.wait_for(lambda: len(found()) >= count, LIMIT), (target, found())
        return found()


@pytest.mark.parametrize("size", [0, 1, 10_000, 100_000, 150_000, MEGABYTE])
@pytest.mark.parametrize("how", ["length", "chunked", "http2"])
def test_bodies_arrive_whole(world: World, how: str, size: int) -> None:
    target = f"/both/{how}/{size}"
    assert send(world, how, target, bytes(size)) == 200
    for copy in (world.copy, world.copy2):
        assert sizes(copy, target, 1) == [str(size).encode()]


@pytest.mark.parametrize("how", ["length", "chunked", "http2"])
def test_a_body_that_no_queue_could_hold_arrives_whole(world: World, how: str) -> None:
    """Twice, at mirrors that are as fast as the backend."""
    target, size = f"/large/{how}", 8 * MEGABYTE
    assert send(world, how, target, bytes(size)) == 200
    assert sizes(world.copy, target, 2) == [str(size).encode()] * 2


@pytest.mark.parametrize("how", ["length", "chunked", "http2"])
def test_a_mirror_that_reads_nothing(world: World, how: str) -> None:
    """It is given up, and the request has lost no time worth speaking of."""
    before = world.failures("slow")
    started = time.monotonic()
    assert send(world, how, "/deaf", bytes(20 * MEGABYTE)) == 200
    assert time.monotonic() - started < LIMIT / 2
    until(lambda: world.failures("slow") == before + 1, "it is counted as too slow")


@pytest.mark.parametrize(("target", "reason"), [("/gone", "connect"), ("/empty", "no_endpoint")])
def test_mirrors_that_are_not_there(world: World, target: str, reason: str) -> None:
    before = world.failures(reason)
    assert send(world, "length", target, bytes(2 * MEGABYTE)) == 200
    until(lambda: world.failures(reason) == before + 1, f"it is counted: {reason}")


@pytest.mark.parametrize("how", ["length", "chunked", "http2"])
def test_what_a_retry_sends_again_is_mirrored_once(world: World, how: str) -> None:
    target = f"/retried/{how}"
    connection = (Http2 if how == "http2" else Http1)(world.gateway.address, PORT)
    assert connection.request("PUT", HOST, target, (), bytes(50_000)).status == 200
    connection.close()
    assert sizes(world.copy, target, 1) == [b"50000"]


def test_upgrades_are_mirrored_as_plain_requests(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    fields = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
    assert connection.request("GET", HOST, "/socket", fields).status == 101
    connection.close()
    assert sizes(world.copy, "/socket", 1) == [b"0"]
    assert all(each.header("upgrade") is None for each in world.copy.requests)


@pytest.mark.parametrize("method", ["POST", "QUERY"])
def test_copies_are_what_their_filter_says(start: Any, backend: Any, client: Any, method: str) -> None:
    """Another host and no body (`mirror` of an HTTPFilter); the request has its own."""
    app, copies = backend("app"), backend("copies")
    running: Gateway = start(
        gateway(),
        route(rule("/", "app", filters=by("named", "bare"))),
        http_filter("named", mirror={"backendRef": {"name": "copies", "port": 80}, "hostname": "Copies.test:8080"}),
        http_filter("bare", mirror={"backendRef": {"name": "copies", "port": 80}, "body": "None"}),
        *service("app", app.address),
        *service("copies", copies.address),
    )
    connection = client(running.address, PORT)
    found = connection.request(method, HOST, "/a?b=c", (("x-a", "1"),), b"whole")
    connection.close()
    assert (found.status, found.sent("host")) == (200, HOST)
    until(lambda: len(copies.requests) == 2, "both copies have come")
    bare, named = sorted(copies.requests, key=lambda each: len(each.body))
    assert [(each.method, each.target, each.header("x-a")) for each in (bare, named)] == [(method, "/a?b=c", "1")] * 2
    assert (named.header("host"), named.body, named.header("x-forwarded-host")) == ("copies.test:8080", b"whole", HOST)
    assert (bare.header("host"), bare.body, bare.header("transfer-encoding")) == (HOST, b"", None)
    assert bare.header("content-length") == ("0" if method == "POST" else None)
    assert app.requests[0].body == b"whole"
