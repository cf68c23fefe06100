"""WebSockets to backends that speak HTTP/2: by extended CONNECT (RFC 8441), for clients of either version."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import queue
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest
from system_backends import Backend2, Received, echo2
from system_certificates import Authority
from system_clients import Http1, Http2
from system_gateway import LIMIT, until
from system_manifests import backend_tls_policy, config_map, gateway, route, rule, service

PORT = 8080
HOST = "ws.test"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
#: RFC 6455 section 1.3.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#: Silence that ends a tunnel.
IDLE_MS = 2500

_numbers = itertools.count()


class Tunnels(Backend2):
    """Takes extended CONNECT and echoes.

    `/refused/<status>` does not switch, `/held` says nothing, `/bye` says `bye` and ends, `/broken` says `bye` and
    resets where it is answered.

    Attributes:
        ends: how each of its tunnels ended for it, by target: `ended`, or the code of a reset.
    """

    def __init__(self, **rest: Any) -> None:
        super().__init__(echo2("tunnels"), **rest)
        self.ends: dict[str, queue.Queue[str | int]] = collections.defaultdict(queue.Queue)

    def serve(self, connection: socket.socket) -> None:
        configuration = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        state = h2.connection.H2Connection(configuration)
        codes = h2.settings.SettingCodes
        own = {codes.ENABLE_CONNECT_PROTOCOL: 1, codes.MAX_CONCURRENT_STREAMS: 100}
        state.local_settings = h2.settings.Settings(client=False, initial_values=own)
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        waiting: dict[int, bytes] = {}
        ending: set[int] = set()
        tunnels: dict[int, str] = {}
        others: dict[int, Received] = {}
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                stream = getattr(event, "stream_id", 0)
                if isinstance(event, h2.events.RequestReceived) and dict(event.headers)[":method"] == "CONNECT":
                    fields = dict(event.headers)
                    rest = [pair for pair in event.headers if pair[0] not in (":method", ":path")]
                    self.remember(Received(fields[":method"], fields[":path"], rest, version="2"))
                    tunnels[stream] = fields[":path"]
                    self.answer_tunnel(state, stream, fields[":path"].partition("?")[0])
                elif stream not in tunnels:
                    self._event(state, event, others, connection)
                elif isinstance(event, h2.events.DataReceived):
                    state.acknowledge_received_data(event.flow_controlled_length, stream)
                    if "/broken" in tunnels[stream]:
                        state.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                    elif "/bye" not in tunnels[stream]:
                        waiting[stream] = waiting.get(stream, b"") + event.data
                elif isinstance(event, h2.events.StreamEnded):
                    self.ends[tunnels[stream]].put("ended")
                    if "/bye" not in tunnels[stream]:
                        ending.add(stream)
                elif isinstance(event, h2.events.StreamReset):
                    self.ends[tunnels[stream]].put(int(event.error_code))
                    waiting.pop(stream, None)
                    ending.discard(stream)
            self.give(state, waiting, ending)
            connection.sendall(state.data_to_send())

    def answer_tunnel(self, state: Any, stream: int, path: str) -> None:
        if path.endswith("/held"):
            return
        if "/refused/" in path:
            state.send_headers(stream, [(":status", path.rpartition("/")[2])])
            state.send_data(stream, b"not switched", end_stream=True)
            return
        fields = [(":status", "200"), ("sec-websocket-protocol", "chat"), ("sec-websocket-accept", "nonsense")]
        state.send_headers(stream, fields)
        if path.endswith(("/bye", "/broken")):
            state.send_data(stream, b"bye", end_stream=path.endswith("/bye"))

    @staticmethod
    def give(state: Any, waiting: dict[int, bytes], ending: set[int]) -> None:
        """As much of the echo as the windows take."""
        for stream in list(waiting.keys() | ending):
            with contextlib.suppress(h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError):
                while waiting.get(stream):
                    room = min(state.local_flow_control_window(stream), state.max_outbound_frame_size)
                    if room <= 0:
                        break
                    part, waiting[stream] = waiting[stream][:room], waiting[stream][room:]
                    state.send_data(stream, part)
                if stream in ending and not waiting.get(stream):
                    ending.discard(stream)
                    state.end_stream(stream)


class World:
    def __init__(self, start: Any, tunnels: Tunnels, folder: Path, *others: Any) -> None:
        settings = folder / "sluicegate.toml"
        settings.write_text(f"[engine]\nl4_idle_timeout_ms = {IDLE_MS}\n")
        self.tunnels = tunnels
        limited = {"timeouts": {"request": "500ms"}}
        objects = [
            gateway(),
            route(rule("/limited", "app", **limited), rule("/secure", "secure"), rule("/", "app")),
            *service("app", tunnels.address, protocol="kubernetes.io/h2c"),
            *others,
        ]
        self.gateway = start(*objects, arguments=("--workers", "1", "--config", str(settings)))

    def open(self, kind: Any, path: str) -> Socket1 | Socket2:
        """Ask for a WebSocket at a target of its own."""
        target = f"{path}?{next(_numbers)}"
        return (Socket1 if kind is Http1 else Socket2)(kind(self.gateway.address, PORT), target)

    def ended(self, target: str) -> str | int:
        """How a tunnel ended for the backend."""
        return self.tunnels.ends[target].get(timeout=LIMIT)


class Socket1:
    """A WebSocket over HTTP/1.1, or what came in its place."""

    opened = 101

    def __init__(self, client: Http1, path: str, key: str | None = KEY, protocol: str = "websocket") -> None:
        self.client, self.target = client, path
        fields = [("connection", "Upgrade"), ("upgrade", protocol), ("sec-websocket-version", "13")]
        self.response = client.request("GET", HOST, path, (*fields, *([("Sec-WebSocket-Key", key)] if key else [])))
        self.status = self.response.status

    def send(self, data: bytes) -> None:
        self.client.send(data)

    def end(self) -> None:
        self.client.socket.shutdown(socket.SHUT_WR)

    def read(self, size: int) -> bytes:
        return self.client.read_raw(size)

    def is_over(self) -> bool:
        return self.client.at_end()

    def break_off(self) -> None:
        self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    def close(self) -> None:
        self.client.close()


class Socket2:
    """As `Socket1`, over HTTP/2."""

    opened = 200

    def __init__(self, client: Http2, path: str) -> None:
        self.client, self.target = client, path
        client.read(client.open("GET", HOST, "/before"))
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)]
        self.stream = client.state.get_next_available_stream_id()
        client.state.send_headers(self.stream, [*fields, (":path", path), ("sec-websocket-version", "13")])
        client.flush()
        until(lambda: self.of(h2.events.ResponseReceived, h2.events.StreamReset) or client.pump(), "an answer")
        fields = dict(self.of(h2.events.ResponseReceived)[0].headers)
        self.status = int(fields[":status"])
        self.response = client.read(self.stream) if self.status != self.opened else None
        self.headers = fields
        self.taken = 0

    def of(self, *kinds: Any) -> list[Any]:
        return [each for each in self.client.events if isinstance(each, kinds) and each.stream_id == self.stream]

    def send(self, data: bytes) -> None:
        self.client.send(self.stream, data)

    def end(self) -> None:
        self.client.state.end_stream(self.stream)
        self.client.flush()

    def received(self) -> bytes:
        return b"".join(event.data for event in self.of(h2.events.DataReceived))

    def read(self, size: int) -> bytes:
        until(lambda: len(self.received()) >= self.taken + size or self.client.pump(), f"{size} bytes")
        self.taken += size
        return self.received()[self.taken - size : self.taken]

    def is_over(self) -> bool:
        until(lambda: self.of(h2.events.StreamEnded, h2.events.StreamReset) or self.client.pump(), "the end")
        return len(self.received()) == self.taken

    def break_off(self) -> None:
        self.client.state.reset_stream(self.stream, h2.errors.ErrorCodes.CANCEL)
        self.client.flush()

    def close(self) -> None:
        self.client.close()


@pytest.fixture(scope="module")
def world(start: Any, authority: Authority, tmp_path_factory: Any) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("inside.test").write(tmp_path_factory.mktemp("certificates"), "backend"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    tunnels, secure = Tunnels(), Tunnels(tls=context)
    others = [
        *service("secure", secure.address, protocol="kubernetes.io/h2c"),
        config_map("authority", authority.pem),
        backend_tls_policy("secure", "secure", "inside.test", "authority"),
    ]
    yield World(start, tunnels, tmp_path_factory.mktemp("settings"), *others)
    tunnels.close()
    secure.close()


def test_both_ways_and_the_end_of_each(world: World, client: Any) -> None:
    found = world.open(client, "/echo")
    assert found.status == found.opened
    fields = dict(found.response.headers) if isinstance(found, Socket1) else found.headers
    # HTTP/2 knows neither key nor answer; what the backend says of them means nothing.
    expected = (ACCEPT, "websocket", "upgrade") if client is Http1 else (None, None, None)
    assert tuple(fields.get(name) for name in ("sec-websocket-accept", "upgrade", "connection")) == expected
    assert fields["sec-websocket-protocol"] == "chat"
    for size in (1, 10, 3_000_000):
        data = hashlib.shake_128(str(size).encode()).digest(size)
        sent = send_aside(found, data)
        assert found.read(size) == data
        sent()
    found.end()
    assert world.ended(found.target) == "ended"
    assert found.is_over()
    found.close()
    got = [each for each in world.tunnels.requests if each.method == "CONNECT"][-1]
    assert got.target == found.target
    names = (
        ":protocol",
        ":scheme",
        ":authority",
        "sec-websocket-version",
        "sec-websocket-key",
        "upgrade",
        "connection",
    )
    assert [got.header(name) for name in names] == ["websocket", "http", HOST, "13", None, None, None]
    assert got.header("x-forwarded-proto") == "http"


def send_aside(found: Any, data: bytes) -> Any:
    """Send while the test reads: more than all that stands between holds. HTTP/2 reads while it sends."""
    if isinstance(found, Socket2):
        found.send(data)
        return lambda: None
    sender = threading.Thread(target=found.send, args=(data,))
    sender.start()
    return sender.join


def test_over_tls(world: World, client: Any) -> None:
    found = world.open(client, "/secure")
    assert found.status == found.opened
    found.send(b"hello")
    assert found.read(5) == b"hello"
    found.close()


@pytest.mark.parametrize("status", [302, 403, 426, 500])
def test_a_backend_that_does_not_switch(world: World, client: Any, status: int) -> None:
    found = world.open(client, f"/refused/{status}")
    assert (found.status, found.response.body) == (status, b"not switched")
    found.close()


def test_the_backend_ends_first(world: World, client: Any) -> None:
    found = world.open(client, "/bye")
    assert (found.status, found.read(3)) == (found.opened, b"bye")
    # Its own direction only: what the client still has to say arrives.
    found.send(b"and you")
    found.end()
    assert found.is_over()
    assert world.ended(found.target) == "ended"
    found.close()


def test_the_backend_breaks_off(world: World, client: Any) -> None:
    found = world.open(client, "/broken")
    assert found.status == found.opened
    assert found.read(3) == b"bye"
    found.send(b"and you")
    assert found.is_over()
    if isinstance(found, Socket2):
        [reset] = found.of(h2.events.StreamReset)
        assert reset.error_code == h2.errors.ErrorCodes.CANCEL
    found.close()


def test_the_client_breaks_off(world: World, client: Any) -> None:
    found = world.open(client, "/echo")
    found.send(b"hello")
    assert found.read(5) == b"hello"
    found.break_off()
    assert world.ended(found.target) == h2.errors.ErrorCodes.CANCEL
    found.close()


def test_silence_ends_a_tunnel(world: World, client: Any) -> None:
    found = world.open(client, "/echo")
    assert found.status == found.opened
    assert found.is_over()
    assert world.ended(found.target) == h2.errors.ErrorCodes.CANCEL
    found.close()


def test_the_time_limit_holds_until_the_tunnel_is_open(world: World, client: Any) -> None:
    found = world.open(client, "/limited/held")
    assert found.status == 504
    assert found.response.body.startswith(b"request_timeout: ")
    found.close()
    assert world.ended(found.target) == h2.errors.ErrorCodes.CANCEL
    # And no longer: silence alone ends an open one.
    found = world.open(client, "/limited/echo")
    assert found.is_over()
    assert world.ended(found.target) == h2.errors.ErrorCodes.CANCEL
    found.close()


def test_a_client_that_leaves_before_the_answer(world: World) -> None:
    connection = Http1(world.gateway.address, PORT)
    before = len(world.tunnels.requests)
    target = f"/held?{next(_numbers)}"
    head = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    connection.send(f"{head}Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    world.tunnels.wait(before + 1)
    connection.close()
    assert world.ended(target) == h2.errors.ErrorCodes.CANCEL


@pytest.mark.parametrize(("key", "protocol", "status"), [(None, "websocket", 400), ("short", "WebSocket", 400)])
def test_no_key_no_websocket(world: World, key: str | None, protocol: str, status: int) -> None:
    """Nobody but the gateway could answer the key (RFC 6455 section 4.2.2)."""
    found = Socket1(Http1(world.gateway.address, PORT), "/echo", key, protocol)
    assert found.status == status
    found.close()


def test_other_protocols_have_no_way(world: World) -> None:
    found = Socket1(Http1(world.gateway.address, PORT), "/echo", KEY, "chat")
    assert found.status == 502
    assert found.response.body.startswith(b"upstream_no_upgrade: ")
    found.close()


def test_many_tunnels_over_one_connection(world: World, client: Any) -> None:
    before = world.tunnels.connections
    found = [world.open(client, "/echo") for _ in range(8)]
    for number, each in enumerate(found):
        each.send(b"%04d" % number)
    assert [each.read(4) for each in found] == [b"%04d" % number for number in range(8)]
    for each in found:
        each.end()
        assert each.is_over()
        each.close()
    assert {world.ended(each.target) for each in found} == {"ended"}
    assert world.tunnels.connections - before <= 1
