"""Clients of HTTP/1.1 that leave while a backend works on their request: the backend is told at once."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import h2.events
import pytest
from system_backends import Backend, Backend2, read_request, response
from system_certificates import Authority
from system_clients import connect, tls_context
from system_gateway import LIMIT, Gateway
from system_manifests import gateway, https, listener, route, rule, secret, service

PORT, SECURE = 8080, 8443
HOST = "gone.test"


class Thinking(Backend):
    """Thinks about `/slow` until its connection ends, answers everything else at once.

    Attributes:
        thinking: released for each request that is thought about.
        ended: released for each one that nobody waits for any more.
    """

    protocol: str | None = None

    def __init__(self) -> None:
        self.thinking, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        super().__init__(lambda _request: response(b"done"))

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while (request := read_request(stream, connection)) is not None:
            if request.target.startswith("/slow"):
                if request.target == "/slow-body":
                    connection.sendall(response(b"half", headers=(("content-length", "9"),), length=False))
                self.thinking.release()
                assert stream.read(1) == b""
                self.ended.release()
                return
            self.remember(request)
            connection.sendall(self.answer(request) or b"")


class Thinking2(Backend2):
    """The same over HTTP/2, where streams end."""

    protocol = "kubernetes.io/h2c"

    def __init__(self) -> None:
        self.thinking, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        super().__init__(lambda _request: ([(":status", "200")], b"done", []))

    def _event(self, state: Any, event: Any, open_requests: Any, connection: socket.socket) -> None:
        if isinstance(event, h2.events.StreamReset):
            self.ended.release()
        elif isinstance(event, h2.events.StreamEnded) and open_requests[event.stream_id].target.startswith("/slow"):
            if open_requests.pop(event.stream_id).target == "/slow-body":
                state.send_headers(event.stream_id, [(":status", "200")])
                state.send_data(event.stream_id, b"half")
            self.thinking.release()
        else:
            super()._event(state, event, open_requests, connection)


@pytest.fixture(scope="module", params=[Thinking, Thinking2], ids=["http1-backend", "http2-backend"])
def world(request: pytest.FixtureRequest, start: Any, authority: Authority) -> Iterator[tuple[Gateway, Any]]:
    app = request.param()
    pair = authority.sign(HOST)
    found = start(
        gateway(listener(), https(secret="pair")),
        route(rule("/slow-retried", "app", retry={"codes": [503], "attempts": 2}), rule("/", "app")),
        *service("app", app.address, protocol=app.protocol),
        secret("pair", pair.certificate, pair.key),
    )
    yield found, app
    app.close()


REQUESTS = {
    "get": "GET {target} HTTP/1.1\r\nHost: g.test\r\n\r\n",
    "length": "POST {target} HTTP/1.1\r\nHost: g.test\r\nContent-Length: 6\r\n\r\nprompt",
    "chunked": "POST {target} HTTP/1.1\r\nHost: g.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nprompt\r\n0\r\n\r\n",
    "pipelined": "GET {target} HTTP/1.1\r\nHost: g.test\r\n\r\nGET /next HTTP/1.1\r\nHost: g.test\r\n\r\n",
}


@pytest.mark.parametrize("target", ["/slow", "/slow-body", "/slow-retried"])
@pytest.mark.parametrize("leaves", ["fin", "rst", "tls"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_a_client_that_leaves(
    world: tuple[Gateway, Any], authority: Authority, kind: str, leaves: str, target: str
) -> None:
    found, app = world
    tls = tls_context(authority.pem, "http/1.1") if leaves == "tls" else None
    connection = connect(found.address, SECURE if tls else PORT, tls, HOST if tls else None)
    connection.sendall(REQUESTS[kind].format(target=target).encode())
    assert app.thinking.acquire(timeout=LIMIT)
    if leaves == "rst":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert app.ended.acquire(timeout=LIMIT), "the backend works for nobody"


def test_a_client_that_closes_one_half(world: tuple[Gateway, Any]) -> None:
    """It still gets its answer from a backend that is not slow."""
    with socket.create_connection((world[0].address, PORT), LIMIT) as connection:
        connection.sendall(REQUESTS["get"].format(target="/").encode())
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65_536):
            received += data
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"done" in received


def test_requests_that_come_ahead_of_the_answer(world: tuple[Gateway, Any]) -> None:
    """What is read while the backend works is the next request, whole."""
    with socket.create_connection((world[0].address, PORT), LIMIT) as connection:
        count, size = 200, 1000
        request = f"POST /echo HTTP/1.1\r\nHost: gone.test\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(size)
        writer = threading.Thread(target=connection.sendall, args=(request * count,))
        writer.start()
        received = b""
        while received.count(b"done") < count:
            data = connection.recv(65_536)
            assert data, received[-200:]
            received += data
        writer.join()
        assert received.count(b"HTTP/1.1 200 ") == count
