"""Peers that do not read: every connection ends at its limit, whatever it is in the middle of, and so does a drain."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import h2.config
import h2.connection
import h2.settings
import pytest
from system_backends import Backend, Received, read_head, response, websocket_accept
from system_certificates import Authority
from system_clients import tls_context
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, https, listener, route, rule, secret, service

PORT, SECURE = 8080, 8443
HOST = "endings.test"
MEGABYTE = 1024 * 1024
#: The default of the drain is shorter than a test waits: this one is over only when the last connection is.
SETTINGS = """
drain = 3600
[engine]
head_timeout_ms = 400
idle_timeout_ms = 400
request_body_timeout_ms = 400
response_read_timeout_ms = 400
stall_timeout_ms = 400
handshake_timeout_ms = 400
l4_idle_timeout_ms = 400
"""


class Talking(Backend):
    """`/large`: more than anybody takes; `/early`: an answer before the body; an upgrade: endless bytes."""

    def __init__(self) -> None:
        # Made before anybody waits for it.
        self.large = response(bytes(64 * MEGABYTE))
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        received = read_head(connection)
        target = received.split(b" ")[1]
        if b"upgrade: websocket" in received.lower():
            lines = received.decode("latin-1").split("\r\n")[1:]
            fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines) if name]
            connection.sendall(websocket_accept(Received("GET", "/", fields)))
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(bytes(MEGABYTE))
        elif target == b"/early":
            connection.sendall(response(b"enough", "413 Content Too Large"))
            with contextlib.suppress(OSError):
                connection.recv(1)
        else:
            with contextlib.suppress(OSError):
                connection.sendall(self.large)


def connect(address: str, authority: Authority, *, tls: bool, alpn: str = "http/1.1") -> socket.socket:
    """A connection whose client has room for little."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(LIMIT)
    plain.connect((address, SECURE if tls else PORT))
    return tls_context(authority.pem, alpn).wrap_socket(plain, server_hostname=HOST) if tls else plain


def fill(connection: socket.socket, data: bytes) -> None:
    """Send the same again and again, until nobody takes any more."""
    connection.setblocking(False)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            connection.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            if not select.select([], [connection], [], 0.2)[1]:
                return
        except OSError:
            return
    raise AssertionError("everything was taken")


def head(target: str, *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]).encode()


UPGRADE = (
    "Connection: upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)

Peer = Callable[[str, Authority, bool], socket.socket]


def http1(sent: bytes, *, again: bool = False) -> Peer:
    """Sends, once or for as long as it is taken, and reads nothing."""

    def peer(address: str, authority: Authority, tls: bool) -> socket.socket:
        connection = connect(address, authority, tls=tls)
        if again:
            fill(connection, sent)
        else:
            connection.sendall(sent)
        return connection

    return peer


def http2(target: str, *, window: int = 0, method: str = "GET", tunnel: bool = False, count: int = 1) -> Peer:
    """Opens streams with such a window, and reads nothing."""

    def peer(address: str, authority: Authority, tls: bool) -> socket.socket:
        connection = connect(address, authority, tls=tls, alpn="h2")
        state = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        state.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        state.initiate_connection()
        state.increment_flow_control_window(2**31 - 1 - 65_535)
        fields = [(":method", method), (":scheme", "https" if tls else "http"), (":authority", HOST), (":path", target)]
        if tunnel:
            fields = [(":method", "CONNECT"), (":protocol", "websocket"), *fields[1:]]
        for _ in range(count):
            state.send_headers(state.get_next_available_stream_id(), fields, end_stream=not tunnel)
        connection.sendall(state.data_to_send())
        return connection

    return peer


WIDE = 2**31 - 1
PEERS: dict[str, Peer] = {
    "http1-forwarded": http1(head("/large")),
    "http1-local-replies": http1(head("/nope") * 100, again=True),
    "http1-bad-requests": http1(b"GET /\r\n\r\n" * 100),
    "http1-upgrade": http1(head("/large", *UPGRADE)),
    "http1-closing": http1(head("/large", "Connection: close")),
    "http1-early-answer": http1(head("/early", "Content-Length: 100000", method="POST") + bytes(99_999)),
    "http1-early-answer-large": http1(head("/early", "Content-Length: 9000000", method="POST") + bytes(2_000_000)),
    "http1-local-reply-to-upload": http1(head("/nope", "Content-Length: 100000", method="POST") + bytes(99_999)),
    "http2-forwarded": http2("/large"),
    "http2-local-reply": http2("/nope"),
    "http2-bad-request": http2("/%zz"),
    "http2-upgrade": http2("/large", tunnel=True),
    "http2-forwarded-unread": http2("/large", window=WIDE),
    "http2-local-replies-unread": http2("/nope", window=WIDE, count=100),
    "http2-upgrade-unread": http2("/large", window=WIDE, tunnel=True),
}


@pytest.fixture(scope="module")
def begin(
    start: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Gateway]]:
    """Start gateways without patience."""
    app = Talking()
    pair = authority.sign(HOST)
    settings = tmp_path_factory.mktemp("settings") / "sluicegate.toml"
    settings.write_text(SETTINGS)

    def begin_one() -> Gateway:
        found: Gateway = start(
            gateway(listener(), https(secret="pair")),
            route(rule("/large", "app"), rule("/early", "app")),
            *service("app", app.address),
            secret("pair", pair.certificate, pair.key),
            arguments=("--config", str(settings), "--drain", "3600"),
        )
        return found

    yield begin_one
    app.close()


@pytest.fixture(scope="module")
def world(begin: Callable[[], Gateway]) -> Gateway:
    return begin()


def active(world: Gateway) -> int:
    lines = world.admin("/metrics").splitlines()
    return int(next(line for line in lines if line.startswith("sluicegate_connections_active ")).split()[1])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", PEERS)
def test_every_connection_ends(world: Gateway, authority: Authority, name: str, tls: bool) -> None:
    until(lambda: active(world) == 0, "nobody is left from before")
    connection = PEERS[name](world.address, authority, tls)
    # The peer is there to the end: nothing but the gateway ends its connection.
    until(lambda: active(world) == 0, f"{name} ends")
    connection.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_drain_ends(begin: Callable[[], Gateway], authority: Authority, tls: bool) -> None:
    """Although its own limit is an hour: no peer keeps it."""
    found = begin()
    connections = [peer(found.address, authority, tls) for peer in PEERS.values()]
    assert found.stop() == 0
    for connection in connections:
        connection.close()


def test_an_early_answer_says_that_it_is_the_last_one(world: Gateway) -> None:
    """Nobody knows whether a backend that has answered reads the rest of the request."""
    with socket.create_connection((world.address, PORT), LIMIT) as connection:
        connection.sendall(head("/early", "Content-Length: 100000", method="POST") + b"begun")
        received = b""
        while data := connection.recv(65_536):
            received += data
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nconnection: close\r\n" in received.lower()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("target", "status"), [("/nope", b"404"), ("/early", b"413")], ids=["ours", "the backend's"])
def test_an_early_answer_is_seen_by_who_writes_first(
    world: Gateway, authority: Authority, target: str, status: bytes, tls: bool
) -> None:
    """The rest of 20 MB is read and dropped, so that the client comes to read."""
    with connect(world.address, authority, tls=tls) as connection:
        connection.sendall(head(target, f"Content-Length: {20 * MEGABYTE}", method="POST") + bytes(20 * MEGABYTE))
        assert connection.recv(12) == b"HTTP/1.1 " + status
