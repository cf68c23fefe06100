"""Limits of a connection: each timer closes what it is there for, and nothing else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.events
import h2.settings
import pytest
from system_backends import Received, response, websocket_accept
from system_certificates import Authority
from system_clients import Http1, Http2, tls_context
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, https, listener, route, rule, secret, service

PORT, SECURE = 8080, 8443
HOST = "limits.test"
MEGABYTE = 1024 * 1024
#: Every limit is far below the one that a test would wait for in vain.
SETTINGS = """
[engine]
head_timeout_ms = 400
idle_timeout_ms = 400
request_body_timeout_ms = 400
response_read_timeout_ms = 400
stall_timeout_ms = 400
handshake_timeout_ms = 400
l4_idle_timeout_ms = 400
"""


@pytest.fixture(scope="module")
def world(
    start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway without patience, and backends that answer at once, at length, or never."""
    release = threading.Event()
    # Made before anybody waits for it: a backend that is busy making it looks like one that says nothing.
    large = response(b"x" * (64 * MEGABYTE))

    def answer(request: Received) -> bytes:
        if request.header("upgrade"):
            return websocket_accept(request)
        if request.target == "/never":
            release.wait(LIMIT)
        return large if request.target == "/large" else response(b"x")

    settings = tmp_path_factory.mktemp("settings") / "sluicegate.toml"
    settings.write_text(SETTINGS)
    pair = authority.sign(HOST)
    yield start(
        gateway(listener(), https(secret="pair")),
        route(rule("/", "app")),
        *service("app", backend(answer).address),
        secret("pair", pair.certificate, pair.key),
        arguments=("--config", str(settings)),
    )
    release.set()


@pytest.fixture(autouse=True)
def _unharmed(world: Gateway) -> Iterator[None]:
    """Others are served all the same."""
    yield
    connection = Http1(world.address, PORT)
    assert connection.request("GET", HOST, "/").status == 200
    connection.close()


def ends(connection: socket.socket) -> bytes:
    """All that comes until the gateway closes; it fails where it does not."""
    connection.settimeout(LIMIT)
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
#: HEADERS of stream 1 without END_HEADERS, so that CONTINUATION has to follow.
OPEN_HEADERS = bytes([0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82])


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(b"", b"", id="silent"),
        pytest.param(b"\r\n", b"", id="an empty line"),
        pytest.param(b"GET / HTTP/1.1\r\nHo", b"HTTP/1.1 408 ", id="half a head"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 408 ", id="half a body"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 ", id="idle after a request"),
        pytest.param(PREFACE[:10], b"", id="half a preface"),
        pytest.param(PREFACE, b"\x00", id="a preface without SETTINGS"),
        pytest.param(PREFACE + SETTINGS_FRAME, b"\x00", id="HTTP/2 without a stream"),
        pytest.param(PREFACE + SETTINGS_FRAME + OPEN_HEADERS, b"\x00", id="half a header block"),
    ],
)
def test_silence_is_not_waited_for(world: Gateway, sent: bytes, answer: bytes) -> None:
    with socket.create_connection((world.address, PORT), LIMIT) as connection:
        connection.sendall(sent)
        found = ends(connection)
        assert found.startswith(answer)
        assert found == b"" or answer


def test_a_silent_websocket(world: Gateway) -> None:
    """It was open; it ends on both sides after the idle time of connections that are not HTTP."""
    connection = Http1(world.address, PORT)
    fields = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
    assert connection.request("GET", HOST, "/", fields).status == 101
    connection.send(b"ping")
    assert connection.read_raw(4) == b"ping"
    assert connection.at_end()
    connection.close()


def test_a_silent_websocket_over_http2(world: Gateway) -> None:
    """Its stream is reset."""
    connection = Http2(world.address, PORT)
    assert connection.request("GET", HOST, "/").status == 200
    stream = connection.state.get_next_available_stream_id()
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", HOST)]
    connection.state.send_headers(stream, [*fields, (":path", "/")])
    connection.send(stream, b"ping")
    found = connection.read(stream)
    assert (found.status, found.body) == (200, b"ping")
    assert any(isinstance(event, h2.events.StreamReset) for event in connection.events)
    connection.close()


@pytest.mark.parametrize("part", [0.0, 0.5], ids=["nothing", "half a ClientHello"])
def test_half_done_handshakes(world: Gateway, part: float) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        handshake.do_handshake()
    hello = outgoing.read()
    with socket.create_connection((world.address, SECURE), LIMIT) as connection:
        connection.sendall(hello[: int(len(hello) * part)])
        assert ends(connection) == b""


def test_silence_after_a_handshake(world: Gateway, authority: Authority) -> None:
    for protocol in ("h2", "http/1.1"):
        connection = Http1(world.address, SECURE, tls_context(authority.pem, protocol), HOST)
        connection.socket.settimeout(LIMIT)
        while connection.socket.recv(65536):
            pass
        connection.close()


def test_a_client_that_does_not_read(world: Gateway) -> None:
    """The response is broken off: much less than all of it comes."""
    before = finished(world)
    with socket.create_connection((world.address, PORT), LIMIT) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: finished(world) > before, "the exchange ends")
        assert len(ends(connection)) < 64 * MEGABYTE


def test_a_stream_without_a_window(world: Gateway) -> None:
    """It is reset; the connection goes on for others."""
    connection = Http2(world.address, PORT)
    connection.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    connection.flush()
    stream = connection.open("GET", HOST, "/large")
    found = connection.read(stream)
    assert found.status == 200
    assert found.body == b""
    connection.close()


def finished(world: Gateway) -> int:
    """Exchanges that have ended, as the metrics count them."""
    lines = world.admin("/metrics").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("sluicegate_request_duration_seconds_count{"))


def active(world: Gateway) -> int:
    metrics = world.admin("/metrics")
    line = next(line for line in metrics.splitlines() if line.startswith("sluicegate_connections_active "))
    return int(line.split()[1])


def test_a_backend_that_says_nothing(world: Gateway, client: Any) -> None:
    connection = client(world.address, PORT)
    assert connection.request("GET", HOST, "/never").status == 504
    connection.close()


def test_a_request_body_that_stops_over_http2(world: Gateway) -> None:
    connection = Http2(world.address, PORT)
    stream = connection.open("POST", HOST, "/", (("content-length", "9"),), end=False)
    connection.send(stream, b"abc")
    assert connection.read(stream).status == 408
    assert connection.request("GET", HOST, "/").status == 200
    connection.close()


def test_more_connections_than_the_limit_wait(start: Any, backend: Any, tmp_path: Path) -> None:
    """One too many is served when another one ends."""
    settings = tmp_path / "sluicegate.toml"
    settings.write_text("workers = 1\n[engine]\nmax_connections = 2\n")
    found = start(
        gateway(),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        arguments=("--config", str(settings), "--workers", "1"),
    )
    held = [Http1(found.address, PORT) for _ in range(2)]
    for connection in held:
        assert connection.request("GET", HOST, "/").status == 200
    waiting = Http1(found.address, PORT)
    waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for connection in held:
        assert connection.request("GET", HOST, "/").status == 200
    assert active(found) == 2
    held.pop().close()
    assert waiting.read().status == 200
    for connection in (*held, waiting):
        connection.close()


def test_a_head_above_what_is_read_at_once(start: Any, backend: Any, tmp_path: Path) -> None:
    """`max_head_bytes` may be more than the 64 KiB that one read takes."""
    settings = tmp_path / "sluicegate.toml"
    settings.write_text("[engine]\nmax_head_bytes = 262144\n")
    found = start(
        gateway(),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        arguments=("--config", str(settings)),
    )
    for size, status in [(200_000, b"HTTP/1.1 200 "), (300_000, b"HTTP/1.1 431 ")]:
        with socket.create_connection((found.address, PORT), LIMIT) as connection:
            fields = "".join(f"x-{number}: {'y' * (size // 50)}\r\n" for number in range(50))
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n".encode())
            assert connection.recv(65_536).startswith(status), size


@pytest.mark.parametrize(("sent", "answer"), [(b"P", b"HTTP/1.1 408 "), (b"PO", b"HTTP/1.1 408 "), (PREFACE[:-1], b"")])
def test_a_head_that_begins_as_the_preface_of_http2(
    start: Any, backend: Any, tmp_path: Path, sent: bytes, answer: bytes
) -> None:
    """Whether it is one or not, it has the time of a head, not that of an idle connection."""
    settings = tmp_path / "sluicegate.toml"
    settings.write_text("[engine]\nhead_timeout_ms = 400\nidle_timeout_ms = 3600000\n")
    app = backend("app").address
    found = start(gateway(), route(rule("/", "app")), *service("app", app), arguments=("--config", str(settings)))
    with socket.create_connection((found.address, PORT), LIMIT) as connection:
        connection.sendall(sent)
        assert ends(connection)[:13] == answer
