"""Responses reach a client that reads them whole, however its connection ends; else it can tell."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import h2.events
import h2.settings
import pytest
from system_backends import Backend, read_request, response
from system_certificates import Authority
from system_clients import Http2, tls_context
from system_gateway import LIMIT, Gateway, until, until_refused
from system_manifests import gateway, https, listener, route, rule, secret, service

PORT, SECURE = 8080, 8443
HOST = "whole.test"
MEGABYTE = 1024 * 1024
#: More than the sockets between gateway and client hold, so that their buffers are full at the end of it.
LARGE = 32 * MEGABYTE
#: Bytes of `/paced`, and seconds between them: it takes longer than a client that has left is waited with.
PACED, PACE = 10, 0.4
#: Bytes of `/middle`: they fit into the gateway's socket.
MIDDLE = 300_000
#: Bytes of `/tiny`, each in a chunk of its own.
TINY = 20_000


class Talking(Backend):
    """`/large`, `/middle`; `/paced`: a byte now and then; `/tiny`: chunks of a byte; `/broken`: chunks with no end."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        chunked = (("transfer-encoding", "chunked"),)
        while (request := read_request(stream, connection)) is not None:
            if request.target == "/large":
                connection.sendall(response(bytes(LARGE)))
            elif request.target == "/middle":
                connection.sendall(response(bytes(MIDDLE)))
            elif request.target == "/tiny":
                connection.sendall(response(b"1\r\nx\r\n" * TINY + b"0\r\n\r\n", headers=chunked, length=False))
            elif request.target == "/broken":
                connection.sendall(response(b"4\r\nhalf\r\n", headers=chunked, length=False))
                return
            else:
                connection.sendall(response(headers=(("content-length", str(PACED)),), length=False))
                for _ in range(PACED):
                    self.closed.wait(PACE)
                    connection.sendall(b"x")

    def close(self) -> None:
        self.closed.set()
        super().close()


@pytest.fixture(scope="module")
def talking() -> Iterator[Talking]:
    found = Talking()
    yield found
    found.close()


@pytest.fixture
def begin(start: Any, talking: Talking, authority: Authority) -> Any:
    """Starts a gateway."""
    pair = authority.sign(HOST)

    def begin(*arguments: str) -> Gateway:
        found: Gateway = start(
            gateway(listener(), https(secret="pair")),
            route(rule("/", "app")),
            *service("app", talking.address),
            secret("pair", pair.certificate, pair.key),
            arguments=arguments,
        )
        return found

    return begin


@pytest.fixture(scope="module")
def world(start: Any, talking: Talking) -> Gateway:
    found: Gateway = start(gateway(), route(rule("/", "app")), *service("app", talking.address))
    return found


def open_windows(client: Http2) -> None:
    """The gateway may send everything at once."""
    client.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: LARGE})
    client.state.increment_flow_control_window(LARGE)
    client.flush()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65_536):
        received += data
    return received


def take(client: Http2, size: int) -> int:
    """Read so much of a response, and say so after each read; how much it was."""
    while True:
        data = [event for event in client.events if isinstance(event, h2.events.DataReceived)]
        if (taken := sum(len(event.data) for event in data)) >= size:
            return taken
        client.pump()
        client.state.increment_flow_control_window(1024)
        client.flush()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_drain_in_the_middle_of_a_response_over_http2(begin: Any, authority: Authority, tls: bool) -> None:
    """What the gateway has written stands in sockets still when it has nothing more to do, and the client sends
    `WINDOW_UPDATE` for what it reads."""
    found = begin("--drain", str(int(LIMIT)))
    context = tls_context(authority.pem, "h2") if tls else None
    client = Http2(found.address, SECURE if tls else PORT, context, HOST, room=65_536)
    open_windows(client)
    client.open("GET", HOST, "/large")
    assert take(client, 1) < LARGE
    found.send_signal(signal.SIGTERM)
    while not client.goaways:
        client.pump()
    assert take(client, LARGE) == LARGE
    client.close()
    assert found.stop() == 0


def test_a_client_that_closes_one_half_reads_on(world: Gateway) -> None:
    """As long as it is given something it has not left."""
    with socket.create_connection((world.address, PORT), LIMIT) as connection:
        connection.sendall(f"GET /paced HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        received = read_all(connection)
    assert received.partition(b"\r\n\r\n")[2] == b"x" * PACED


def test_requests_behind_the_last_one(world: Gateway) -> None:
    """A connection that closes on requests that nobody reads is reset, but not before its last response is through."""
    with socket.create_connection((world.address, PORT), LIMIT) as connection:
        last = f"GET /large HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
        more = f"GET /tiny HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 10_000
        writer = threading.Thread(target=connection.sendall, args=(last + more,))
        writer.start()
        received = 0
        while data := connection.recv(65_536):
            received += len(data)
        writer.join()
    assert received > LARGE


def test_http_1_0_can_tell_a_response_that_is_not_whole(world: Gateway) -> None:
    """Its end is the end of the connection, so a connection that ends in order says that it is."""
    with socket.create_connection((world.address, PORT), LIMIT) as connection:
        connection.sendall(f"GET /broken HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            read_all(connection)


def test_tiny_chunks_are_joined(world: Gateway) -> None:
    """A frame costs the gateway hundreds of bytes while it waits for a client that does not read."""
    client = Http2(world.address, PORT)
    open_windows(client)
    stream = client.open("GET", HOST, "/tiny")
    assert client.read(stream).body == b"x" * TINY
    frames = [event for event in client.events if isinstance(event, h2.events.DataReceived)]
    assert len(frames) < TINY / 100
    client.close()


def completed(found: Gateway) -> int:
    """Requests that are over, as far as the gateway is concerned."""
    lines = found.admin("/metrics").splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("sluicegate_requests_total{"))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("late", ["a line", "a request"])
def test_a_client_that_says_something_late(
    begin: Any, authority: Authority, tls: bool, version: str, late: str
) -> None:
    """All of a response stands in the gateway's socket when its connection is to close; what the client sends then must
    not have the system drop it."""
    found = begin("--drain", str(int(LIMIT)))
    before = completed(found)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(LIMIT)
    plain.connect((found.address, SECURE if tls else PORT))
    client = tls_context(authority.pem, "http/1.1").wrap_socket(plain, server_hostname=HOST) if tls else plain
    request = f"GET /middle HTTP/{version}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    client.sendall(request)
    until(lambda: completed(found) > before, "the response is written")
    client.sendall(b"\r\n" if late == "a line" else request)
    head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) == MIDDLE
    client.close()


def test_a_drain_waits_for_what_is_on_its_way(begin: Any) -> None:
    """A kept connection whose response stands in the gateway's socket, and the next request, which comes too late."""
    found = begin("--drain", str(int(LIMIT)))
    before = completed(found)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(LIMIT)
    client.connect((found.address, PORT))
    request = f"GET /middle HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    client.sendall(request)
    until(lambda: completed(found) > before, "the response is written")
    found.send_signal(signal.SIGTERM)
    until_refused(found.address, PORT)
    client.sendall(request)
    head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body[:MIDDLE] == bytes(MIDDLE)
    client.close()
