"""Clients of HTTP/1.1 that leave while a backend works on their request: the backend is told at once."""

from __future__ import annotations

import select
import socket
import ssl
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
from system_manifests import Manifest, gateway, https, listener, metadata, route, rule, secret, service

PORT, SECURE, FLOWS, SECURE_FLOWS = 8080, 8443, 5000, 5443
HOST = "gone.test"
MEGABYTE = 1024 * 1024


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
        elif isinstance(event, h2.events.DataReceived) and open_requests[event.stream_id].target == "/slow-upload":
            # Its window stays as it is.
            self.thinking.release()
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


class Deaf(Backend):
    """Reads the head of a request, or of a flow nothing, and no octet more before it is told to.

    Attributes:
        listens: a connection has come that far; released for each.
        reads: lets one connection read all that comes.
        ended: released for each connection whose end was told though nobody read.
        received: what one had read when its end came in order; `None`: that it was broken off.
    """

    def __init__(self) -> None:
        self.listens, self.reads, self.ended = (threading.Semaphore(0) for _ in range(3))
        self.received: list[int | None] = []
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        super().__init__(lambda _request: None, listener=listener)

    def begin(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if b"pgrade:" in head:
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")

    def serve(self, connection: socket.socket) -> None:
        self.begin(connection)
        self.listens.release()
        told = select.poll()
        told.register(connection, select.POLLRDHUP)
        while not told.poll(10) and not self.reads.acquire(blocking=False):
            pass
        count = 0
        try:
            while data := connection.recv(1024 * 1024):
                count += len(data)
            self.received.append(count)
        except ConnectionResetError:
            self.received.append(None)
        self.ended.release()


class DeafFlow(Deaf):
    def begin(self, connection: socket.socket) -> None:
        pass


def flow_route(kind: str, name: str, **spec: Any) -> Manifest:
    spec = {"parentRefs": [{"name": "gateway", "sectionName": name}], **spec}
    spec["rules"] = [{"backendRefs": [{"name": "flow", "port": 80}]}]
    version = "gateway.networking.k8s.io/v1alpha2"
    return {"apiVersion": version, "kind": kind, "metadata": metadata(name), "spec": spec}


@pytest.fixture(scope="module")
def deaf(start: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """A gateway that takes four connections, before backends that do not read."""
    app, flow, pair = Deaf(), DeafFlow(), authority.sign(HOST)
    ends = {"mode": "Terminate", "certificateRefs": [{"name": "pair"}]}
    settings = tmp_path_factory.mktemp("settings") / "settings.toml"
    settings.write_text("[engine]\nmax_connections = 4\n")
    found = start(
        gateway(
            listener(),
            https(secret="pair"),
            listener("tcp", FLOWS, "TCP"),
            listener("tls", SECURE_FLOWS, "TLS", hostname=HOST, tls=ends),
        ),
        route(rule("/", "app")),
        flow_route("TCPRoute", "tcp"),
        flow_route("TLSRoute", "tls", hostnames=[HOST]),
        *service("app", app.address),
        *service("flow", flow.address),
        secret("pair", pair.certificate, pair.key),
        arguments=("--config", str(settings), "--workers", "1"),
    )
    yield found, app, flow
    app.close()
    flow.close()


BEGINNINGS = {
    "upload": b"POST / HTTP/1.1\r\nHost: gone.test\r\nContent-Length: 90000000\r\n\r\n",
    "chunked": b"POST / HTTP/1.1\r\nHost: gone.test\r\nTransfer-Encoding: chunked\r\n\r\n55d4a80\r\n",
    "pipelined": b"GET / HTTP/1.1\r\nHost: gone.test\r\n\r\n",
    "tunnel": b"GET / HTTP/1.1\r\nHost: gone.test\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n",
    "flow": b"",
}


def fill(connection: socket.socket) -> int:
    """Send until nobody takes more; how much was."""
    connection.setblocking(False)
    sent, chunk = 0, bytes(65_536)
    while True:
        try:
            sent += connection.send(chunk)
        except (BlockingIOError, ssl.SSLWantWriteError):
            if not select.select([], [connection], [], 0.3)[1]:
                return sent


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("leaves", ["fin", "rst"])
@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_client_that_leaves_while_what_it_sent_stands_still(
    deaf: tuple[Any, ...], authority: Authority, kind: str, leaves: str, secure: bool
) -> None:
    """It is noticed without a read. Only tunnels and flows may be closed by halves: all that was sent arrives."""
    found, app, flow = deaf
    app = flow if kind == "flow" else app
    tls = tls_context(authority.pem, "http/1.1") if secure else None
    port = (SECURE_FLOWS if secure else FLOWS) if kind == "flow" else (SECURE if secure else PORT)
    connection = connect(found.address, port, tls, HOST if tls else None)
    connection.sendall(BEGINNINGS[kind])
    assert app.listens.acquire(timeout=LIMIT)
    if kind == "tunnel":
        assert b" 101 " in connection.recv(65_536)
    if kind == "pipelined":
        connection.sendall(BEGINNINGS[kind] * 1000)
        sent = 0
    elif leaves == "fin" and kind in ("upload", "chunked"):
        # No more than there is room for: an end that stands behind octets of the client's own reaches nobody.
        connection.sendall(bytes(MEGABYTE))
        sent = MEGABYTE
    else:
        sent = fill(connection)
    if leaves == "rst":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    else:
        connection.shutdown(socket.SHUT_WR)
    keeps = leaves == "fin" and kind in ("tunnel", "flow")
    if keeps:
        app.reads.release()
    assert app.ended.acquire(timeout=LIMIT), "the backend is connected for nobody"
    received = app.received.pop()
    connection.close()
    if keeps:
        # Of TLS a record may have left in part, or not be counted yet.
        assert received is not None
        assert sent <= received <= sent + 65_536
    elif kind == "pipelined":
        assert received == 0
    else:
        assert received is None, "an end in order stands behind bytes that nobody takes"


@pytest.mark.parametrize("kind", ["upload", "flow"])
def test_places_of_clients_that_left_come_free(deaf: tuple[Any, ...], kind: str) -> None:
    """All four are taken, by clients whose bytes stand still; and by others once these have left."""
    found, app, flow = deaf
    app, port = (flow, FLOWS) if kind == "flow" else (app, PORT)
    for _ in range(2):
        clients = [connect(found.address, port, first=BEGINNINGS[kind]) for _ in range(4)]
        for client in clients:
            assert app.listens.acquire(timeout=LIMIT)
            fill(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for client in clients:
            client.close()
        for _client in clients:
            assert app.ended.acquire(timeout=LIMIT)
    assert app.received[-8:] == [None] * 8


@pytest.mark.parametrize("world", [Thinking2], indirect=True)
def test_an_upload_that_a_window_holds_up(world: tuple[Gateway, Any]) -> None:
    """A backend of HTTP/2 that gives no window has the stream reset."""
    found, app = world
    connection = connect(found.address, PORT)
    connection.sendall(b"POST /slow-upload HTTP/1.1\r\nHost: g.test\r\nContent-Length: 90000000\r\n\r\n")
    fill(connection)
    assert app.thinking.acquire(timeout=LIMIT)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert app.ended.acquire(timeout=LIMIT), "the backend works for nobody"
