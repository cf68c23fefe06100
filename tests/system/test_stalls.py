"""Three sides may stand still, each for its own time; what may be silent is not cut by the limits of the others."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.events
import pytest
from system_backends import Backend, Backend2, Received, read_fields, read_head, response, websocket_accept
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "stalls.test"
MEGABYTE = 1024 * 1024
WEBSOCKET = (
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


class Slow(Backend):
    """`/large`: more than anybody takes; `/stream`: a head and a first event, the next when it is told; `/poll`: all
    of it then; `/silent`: nothing; `/both`: a head at once, then the body is echoed; `/tunnel`: what comes is sent
    back."""

    def __init__(self) -> None:
        self.next, self.over = threading.Event(), threading.Event()
        self.large = response(bytes(64 * MEGABYTE))
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        received = read_head(connection)
        target = received.split(b" ")[1]
        if target == b"/large":
            connection.sendall(self.large)
        elif target == b"/stream":
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            self.next.wait(LIMIT)
            connection.sendall(b"4\r\nnext\r\n0\r\n\r\n")
        elif target == b"/poll":
            self.next.wait(LIMIT)
            connection.sendall(response(b"done"))
        elif target == b"/tunnel":
            fields = read_fields(io.BytesIO(received.partition(b"\r\n")[2]))
            connection.sendall(websocket_accept(Received("GET", "/tunnel", fields)))
            while data := connection.recv(65_536):
                connection.sendall(data)
        elif target == b"/both":
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            rest = received.partition(b"\r\n\r\n")[2]
            while not rest.endswith(b"0\r\n\r\n"):
                rest += connection.recv(65_536)
            connection.sendall(b"3\r\nbye\r\n0\r\n\r\n")
        else:
            self.over.wait(LIMIT)


class Quiet(Backend2):
    """gRPC that answers a stream of messages once it has ended."""

    def __init__(self) -> None:
        super().__init__(
            lambda _request: (
                [(":status", "200"), ("content-type", "application/grpc")],
                b"",
                [("grpc-status", "0")],
            )
        )


class World:
    def __init__(self, start: Any, folder: Path) -> None:
        self.slow, self.quiet = Slow(), Quiet()
        self.gateways: dict[str, Gateway] = {}
        for name in ("request_body_timeout_ms", "response_read_timeout_ms", "stall_timeout_ms"):
            settings = folder / f"{name}.toml"
            settings.write_text(f"[engine]\n{name} = 300\n")
            self.gateways[name] = start(
                gateway(),
                route(rule("/pkg.Service", "quiet"), rule("/", "slow")),
                *service("slow", self.slow.address),
                *service("quiet", self.quiet.address, protocol="kubernetes.io/h2c"),
                arguments=("--config", str(settings)),
            )


@pytest.fixture(scope="module")
def world(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(start, tmp_path_factory.mktemp("settings"))
    yield found
    found.slow.next.set()
    found.slow.over.set()
    found.slow.close()
    found.quiet.close()


def errors(found: Gateway, code: str) -> int:
    lines = found.admin("/metrics").splitlines()
    return int(next(line for line in lines if f'errors_total{{code="{code}"}}' in line).split()[1])


def stop_uploading(found: Gateway) -> None:
    """Half a body, until the gateway has had enough: it has waited for longer than its limit by then."""
    with socket.create_connection((found.address, PORT), LIMIT) as connection:
        connection.sendall(b"POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert connection.recv(12) == b"HTTP/1.1 408"


def stop_reading(found: Gateway) -> None:
    """A response that is not read, until the gateway has had enough."""
    before = errors(found, "response_not_read")
    with socket.create_connection((found.address, PORT), LIMIT) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: errors(found, "response_not_read") == before + 1, "the exchange ends")


def test_a_request_body_that_stops(world: World) -> None:
    found = world.gateways["request_body_timeout_ms"]
    stop_uploading(found)
    connection = Http2(found.address, PORT)
    stream = connection.open("POST", HOST, "/silent", (("content-length", "9"),), end=False)
    connection.send(stream, b"abc")
    assert connection.read(stream).status == 408
    connection.close()


def test_a_client_that_does_not_read(world: World) -> None:
    found = world.gateways["response_read_timeout_ms"]
    stop_reading(found)
    before = errors(found, "response_not_read")
    connection = Http2(found.address, PORT)
    connection.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    connection.flush()
    stream = connection.open("GET", HOST, "/large")
    assert connection.read(stream).body == b""
    assert errors(found, "response_not_read") == before + 1
    connection.close()


def test_a_backend_that_says_nothing(world: World, client: Any) -> None:
    connection = client(world.gateways["stall_timeout_ms"].address, PORT)
    assert connection.request("GET", HOST, "/silent").status == 504
    connection.close()


@pytest.mark.parametrize("name", ["request_body_timeout_ms", "response_read_timeout_ms"])
def test_quiet_streams_go_on(world: World, name: str) -> None:
    """Events, streams both ways and gRPC are silent for longer than the client may be."""
    found = world.gateways[name]
    world.slow.next.clear()
    events = Http1(found.address, PORT)
    events.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    both = Http1(found.address, PORT)
    both.send(b"POST /both HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    assert both.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
    multiplexed = Http2(found.address, PORT)
    stream = multiplexed.open("GET", HOST, "/stream")
    grpc = Http2(found.address, PORT)
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    call = grpc.open("POST", HOST, "/pkg.Service/Method", fields, end=False)
    for _ in range(2):
        # The clock: somebody else is cut by the very limit meanwhile.
        (stop_uploading if name == "request_body_timeout_ms" else stop_reading)(found)
    world.slow.next.set()
    assert events.read().body == b"firstnext"
    assert multiplexed.read(stream).body == b"firstnext"
    both.send(b"0\r\n\r\n")
    assert both.read().body == b"hellobye"
    grpc.send(call, b"", end=True)
    assert dict(grpc.read(call).trailers)["grpc-status"] == "0"
    for each in (events, multiplexed, both, grpc):
        each.close()


@pytest.mark.parametrize("name", ["request_body_timeout_ms", "response_read_timeout_ms"])
def test_long_polls_and_tunnels_go_on(world: World, client: Any, name: str) -> None:
    """An answer that takes its time, and a WebSocket on which nobody says anything."""
    found = world.gateways[name]
    world.slow.next.clear()
    poll, tunnel = client(found.address, PORT), client(found.address, PORT)
    if client is Http1:
        poll.send(b"GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
        assert tunnel.request("GET", HOST, "/tunnel", WEBSOCKET).status == 101
    else:
        polled = poll.open("GET", HOST, "/poll")
        opened = open_tunnel(tunnel)
    for _ in range(2):
        # The clock, as above.
        (stop_uploading if name == "request_body_timeout_ms" else stop_reading)(found)
    world.slow.next.set()
    if client is Http1:
        assert poll.read().body == b"done"
        tunnel.send(b"ping")
        assert tunnel.read_raw(4) == b"ping"
    else:
        assert poll.read(polled).body == b"done"
        tunnel.send(opened, b"ping", end=True)
        assert tunnel.read(opened).body == b"ping"
    poll.close()
    tunnel.close()


def open_tunnel(connection: Http2) -> int:
    """By extended CONNECT (RFC 8441), once the gateway has said that it takes that; returns the stream."""
    while connection.state.remote_settings.enable_connect_protocol != 1:
        connection.pump()
    stream: int = connection.state.get_next_available_stream_id()
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)]
    connection.state.send_headers(stream, [*fields, (":path", "/tunnel"), *WEBSOCKET[2:3]])
    connection.flush()
    while not any(isinstance(event, h2.events.ResponseReceived) for event in connection.events):
        connection.pump()
    return stream
