"""Rows of the table of hostile HTTP/1.1 that need a backend which writes down its bytes, or settings of their own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1
from system_gateway import LIMIT, Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HEAD = b"POST / HTTP/1.1\r\nHost: wire.test\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Recorder:
    """A backend that writes down what each connection brings, to its end, and answers what it is told.

    Attributes:
        connections: the bytes of each connection; changed under `changed`.
        answer: what it says once a connection brought something.
    """

    def __init__(self) -> None:
        self.connections: list[bytes] = []
        self.changed = threading.Condition()
        self.ended = threading.Semaphore(0)
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections.append(b"")
                self.changed.notify_all()
            number = len(self.connections) - 1
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                with self.changed:
                    self.connections[number] += data
                    self.changed.notify_all()
                if self.answer:
                    connection.sendall(self.answer)
        self.ended.release()

    def wait(self, holds: Callable[[list[bytes]], bool]) -> None:
        """Wait until it holds for the bytes of the connections."""
        with self.changed:
            assert self.changed.wait_for(lambda: holds(self.connections), LIMIT), self.connections

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    yield found
    found.close()


@pytest.fixture
def world(start: Any, recorder: Recorder) -> Gateway:
    return start(gateway(), route(rule("/", "app")), *service("app", recorder.address))  # type: ignore[no-any-return]


def send(found: Gateway, data: bytes) -> Http1:
    connection = Http1(found.address, PORT)
    connection.send(data)
    return connection


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"3\r\nabc\r\nZZ\r\n", id="no size"),
        pytest.param(b"3\r\nabcdef\r\n", id="longer than it says"),
        pytest.param(b"3\r\nabc\n", id="a bare line end"),
        pytest.param(b"3;" + b"x" * 10_000 + b"\r\nabc\r\n", id="an endless extension"),
        pytest.param(b"3\r\nabc\r\n0\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(2_000)), id="too many trailers"),
        pytest.param(b"3\r\nabc\r\n0\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", id="too large trailers"),
        pytest.param(b"3\r\nabc\r\n0\r\nx y: 1\r\n\r\n", id="a malformed trailer"),
        pytest.param(b"-1\r\nabc\r\n0\r\n\r\n", id="a negative size"),
        pytest.param(b"+3\r\nabc\r\n0\r\n\r\n", id="a signed size"),
        pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", id="a hex prefix"),
        pytest.param(b"10000000000000003\r\nabc\r\n0\r\n\r\n", id="a size that wraps around"),
        pytest.param(b" 3\r\nabc\r\n0\r\n\r\n", id="a space before the size"),
    ],
)
def test_a_chunked_body_that_breaks(world: Gateway, recorder: Recorder, rest: bytes) -> None:
    """400 and close; the backend's connection is cut, and what it got is no whole message."""
    connection = send(world, CHUNKED + rest)
    found = connection.read()
    assert (found.status, found.header("connection")) == (400, "close")
    assert connection.at_end()
    connection.close()
    if recorder.connections:
        assert recorder.ended.acquire(timeout=LIMIT)
    for seen in recorder.connections:
        assert not seen.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("head", [CHUNKED + b"3\r\nabc\r\n", HEAD + b"Content-Length: 9\r\n\r\nabc"])
def test_a_client_that_leaves_in_the_middle(world: Gateway, recorder: Recorder, head: bytes) -> None:
    connection = send(world, head)
    recorder.wait(lambda connections: any(b"abc" in seen for seen in connections))
    connection.close()
    assert recorder.ended.acquire(timeout=LIMIT)
    [seen] = recorder.connections
    assert seen.endswith(b"abc\r\n" if b"chunked" in head else b"abc")


def test_chunks_are_framed_anew(world: Gateway, recorder: Recorder) -> None:
    """Extensions are dropped, and so are trailers that would mean something else; sizes are written one way."""
    recorder.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    rest = b'003;a="b"\r\nabc\r\n0000;x\r\nx-sum: 1\r\nHost: evil\r\nTransfer-Encoding: x\r\nAuthorization: x\r\n\r\n'
    connection = send(world, CHUNKED + rest)
    assert connection.read().status == 200
    connection.close()
    recorder.wait(lambda connections: connections[0].endswith(b"\r\n\r\n"))
    assert recorder.connections[0].partition(b"\r\n\r\n")[2] == b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"


UPGRADE = b"GET /ws HTTP/1.1\r\nHost: wire.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
UPGRADE += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


def test_bytes_behind_an_upgrade_are_held_back(world: Gateway, recorder: Recorder) -> None:
    """Nothing but the head reaches the backend before its 101."""
    connection = send(world, UPGRADE + b"early bytes")
    recorder.wait(lambda connections: any(b"\r\n\r\n" in seen for seen in connections))
    other = send(world, b"GET /other HTTP/1.1\r\nHost: wire.test\r\n\r\n")
    recorder.wait(lambda connections: len(connections) == 2)
    assert recorder.connections[0].endswith(b"\r\n\r\n")
    connection.close()
    other.close()


def test_a_connection_that_was_to_be_upgraded_is_not_pooled(world: Gateway, recorder: Recorder) -> None:
    """Who knows what the backend makes of what comes next on it."""
    recorder.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
    connection = send(world, UPGRADE)
    assert connection.read().body == b"no"
    connection.send(b"GET /next HTTP/1.1\r\nHost: wire.test\r\n\r\n")
    assert connection.read().body == b"no"
    connection.close()
    assert [seen.split(b" ")[1] for seen in recorder.connections] == [b"/ws", b"/next"]


@pytest.mark.parametrize(
    ("trusted", "sent", "seen"),
    [
        ([], "6.6.6.6", "127.0.0.1"),
        (["10.0.0.0/8"], "6.6.6.6", "127.0.0.1"),
        (["127.0.0.0/8"], "6.6.6.6", "6.6.6.6, 127.0.0.1"),
        (["127.0.0.0/8"], "", "127.0.0.1"),
    ],
)
def test_forwarding_fields_of_trusted_proxies(
    start: Any, backend: Any, tmp_path: Path, trusted: list[str], sent: str, seen: str
) -> None:
    settings = tmp_path / "sluicegate.toml"
    settings.write_text(f"[engine]\ntrusted_proxies = {trusted}\n")
    objects = [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]
    found = start(*objects, arguments=("--config", str(settings)))
    fields = (("x-forwarded-for", sent),) if sent else ()
    fields += (("x-forwarded-proto", "https"), ("x-forwarded-host", "outside.test"))
    # Nobody writes it like that, a trusted proxy neither.
    fields += (("x.forwarded.for", "7.7.7.7"), ("x_forwarded.host", "forged.test"))
    connection = Http1(found.address, PORT)
    answer = connection.request("GET", "wire.test", "/", fields)
    connection.close()
    believed = trusted == ["127.0.0.0/8"]
    assert answer.sent("x-forwarded-for") == seen
    assert answer.sent("x-forwarded-proto") == ("https" if believed else "http")
    assert answer.sent("x-forwarded-host") == ("outside.test" if believed else "wire.test")
    assert "7.7.7.7" not in str(answer.echo["headers"])
    assert "forged.test" not in str(answer.echo["headers"])
