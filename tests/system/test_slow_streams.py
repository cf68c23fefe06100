"""Streams that stand still, as clients or backends do not read: who shares a connection with them goes on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from system_backends import Backend
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "slow.test"

#: Bytes of a message of `/tiny`: many more frames than bytes.
TINY = 10

#: Bytes that a stream may be ahead: of the gateway (`http2_stream_window`), of the backend.
WINDOW, BACKEND_WINDOW = 262_144, 65_535


class Standing(Backend):
    """HTTP/2. `/large` and `/tiny` are answers without end, in large and small frames. Of a body to `/unread` it takes
    what the stream's window lets it, and gives back the connection's; of one to `/kept` not even that. All else is
    answered once it is whole.

    Attributes:
        standing: answers that have no window left, and bodies that have used theirs.
    """

    def __init__(self) -> None:
        self.standing: set[tuple[int, int]] = set()
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        state.initiate_connection()
        state.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 10_000})
        connection.sendall(state.data_to_send())
        number, endless, unread, kept = self.connections, {}, {}, set()
        while data := connection.recv(65_536):
            for event in state.receive_data(data):
                stream = getattr(event, "stream_id", None)
                if isinstance(event, h2.events.RequestReceived):
                    target = dict(event.headers)[":path"]
                    if target in {"/unread", "/kept"}:
                        unread[stream] = 0
                        kept.update([stream] if target == "/kept" else [])
                    elif target != "/":
                        state.send_headers(stream, [(":status", "200")])
                        endless[stream] = TINY if target == "/tiny" else state.max_outbound_frame_size
                elif isinstance(event, h2.events.DataReceived):
                    if stream in unread:
                        unread[stream] += event.flow_controlled_length
                        if stream not in kept:
                            state.increment_flow_control_window(event.flow_controlled_length)
                        if unread[stream] == BACKEND_WINDOW:
                            self.standing.add((number, stream))
                    else:
                        state.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamReset):
                    endless.pop(stream, None)
                elif isinstance(event, h2.events.StreamEnded) and stream not in endless:
                    state.send_headers(stream, [(":status", "200")])
                    state.send_data(stream, b"ok", end_stream=True)
            for stream, size in endless.items():
                with contextlib.suppress(h2.exceptions.FlowControlError):
                    while True:
                        state.send_data(stream, b"x" * (min(size, state.local_flow_control_window(stream)) or 1))
                self.standing.add((number, stream))
            connection.sendall(state.data_to_send())


@pytest.fixture
def world(start: Any) -> Iterator[tuple[Gateway, Standing]]:
    """One worker: all its clients share its connections."""
    backend = Standing()
    objects = [gateway(), route(rule("/", "app")), *service("app", backend.address, protocol="kubernetes.io/h2c")]
    yield start(*objects, arguments=("--workers", "1")), backend
    backend.close()


@pytest.fixture
def clients(world: tuple[Gateway, Standing]) -> Iterator[Any]:
    """Opens connections whose streams have no window."""
    opened: list[Http2] = []

    def open_one() -> Http2:
        client = Http2(world[0].address, PORT)
        client.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.flush()
        opened.append(client)
        return client

    yield open_one
    for each in opened:
        each.close()


def answered(client: Http1 | Http2, body: bytes | None = None) -> None:
    found = client.request("GET" if body is None else "POST", HOST, "/", (), body)
    assert (found.status, found.body) == (200, b"ok")
    client.close()


@pytest.mark.parametrize(
    ("count", "target", "connections"),
    [
        pytest.param(4, "/large", 1, id="4"),
        pytest.param(16, "/large", 1, id="16"),
        pytest.param(64, "/large", 1, id="64"),
        pytest.param(140, "/large", 2, id="more than one connection carries"),
        pytest.param(4, "/tiny", 1, id="4 of small messages"),
    ],
)
def test_slow_readers_of_one_backend(
    world: tuple[Gateway, Standing], clients: Any, count: int, target: str, connections: int
) -> None:
    """They hold the windows of their own streams of the connection to the backend, and no others."""
    found, backend = world
    answered(Http1(found.address, PORT))
    for _ in range(count):
        clients().open("GET", HOST, target)
    until(lambda: len(backend.standing) == count, f"{count} answers stand still")
    for _ in range(3):
        answered(Http1(found.address, PORT))
        answered(Http2(found.address, PORT), b"x" * 100_000)
    assert backend.connections == connections


@pytest.mark.parametrize("count", [4, 16, 64])
def test_slow_readers_of_one_connection(world: tuple[Gateway, Standing], clients: Any, count: int) -> None:
    """Streams of one client: those that have a window get their answers."""
    found, backend = world
    client = clients()
    for _ in range(count):
        client.open("GET", HOST, "/large")
    until(lambda: len(backend.standing) == count, f"{count} answers stand still")
    stream = client.open("GET", HOST, "/")
    client.state.increment_flow_control_window(10, stream)
    client.flush()
    assert client.read(stream).body == b"ok"
    answered(Http1(found.address, PORT))


@pytest.mark.parametrize("count", [4, 16, 64])
@pytest.mark.parametrize("shared", [True, False], ids=["one connection", "connections"])
def test_uploads_that_nobody_reads(world: tuple[Gateway, Standing], clients: Any, count: int, shared: bool) -> None:
    """Each has used its windows. Others of the same connection, and over the same one to the backend, go on."""
    found, backend = world
    client = clients()
    for _ in range(count):
        uploader = client if shared else clients()
        stream = uploader.open("POST", HOST, "/unread", end=False)
        uploader.send(stream, b"x" * WINDOW)
    until(lambda: len(backend.standing) == count, f"{count} uploads stand still")
    stream = client.open("POST", HOST, "/", end=False)
    client.state.increment_flow_control_window(10, stream)
    client.send(stream, b"x" * 100_000, end=True)
    assert client.read(stream).body == b"ok"
    answered(Http2(found.address, PORT), b"x" * 100_000)
    assert backend.connections == 1


def test_a_backend_that_lets_one_upload_take_the_whole_window(world: tuple[Gateway, Standing], clients: Any) -> None:
    """As those do that give windows back only for what is read: others go over another connection."""
    found, backend = world
    client = clients()
    client.send(client.open("POST", HOST, "/kept", end=False), b"x" * WINDOW)
    until(lambda: backend.standing, "the upload stands still")

    def moved_on() -> bool:
        answered(Http1(found.address, PORT))
        return backend.connections == 2

    until(moved_on, "a second connection")
    for _ in range(3):
        answered(Http2(found.address, PORT), b"x" * 100_000)
    assert backend.connections == 2
