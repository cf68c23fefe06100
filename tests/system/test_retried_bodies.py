"""Requests with a body whose first try fails: the whole body is sent again, or the first failure is the answer.

Never may a part of a body pass for all of it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h2.connection
import h2.events
import pytest
from system_backends import Backend, Backend2, Received, read_request, response
from system_clients import Http1, Http2, Response
from system_gateway import LIMIT, Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "retried.test"

#: What a gateway keeps for a retry; more is sent once.
KEPT = 65_536
#: The setting, and what it is then; 0 keeps nothing.
BUFFERS = {"default": KEPT, "500000": 500_000, "0": 0}
#: Time of a try: the first one waits for it, the second one has to be through within it, on a busy machine too.
TRY_TIME = "3s"
FAILURES = {"status": 503, "reset": 502, "timeout": 504}


def body_of(size: int) -> bytes:
    """Bytes that show where they belong."""
    return bytes(number * 31 % 251 for number in range(1009))[: min(size, 1009)] * (size // 1009) + bytes(size % 1009)


class Store:
    """What backends remember: the first try of each target fails as its path says, later ones are stored.

    Attributes:
        stored: the bodies that were taken, by target.
        tries: how many octets each try of a target had.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stored: dict[str, list[bytes]] = {}
        self.tries: dict[str, list[int]] = {}

    def take(self, request: Received) -> str | None:
        """How to fail; None: the body is stored."""
        with self.lock:
            tries = self.tries.setdefault(request.target, [])
            tries.append(len(request.body))
            if len(tries) == 1:
                return request.target.split("/")[2]
            self.stored.setdefault(request.target, []).append(request.body)
            return None


class Store1(Backend):
    """Over HTTP/1.1."""

    def __init__(self, store: Store) -> None:
        self.store = store
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while (request := read_request(stream, connection)) is not None:
            match self.store.take(request):
                case None:
                    connection.sendall(response(b"stored", "201 Created"))
                case "status":
                    connection.sendall(response(b"busy", "503 Service Unavailable"))
                case "reset":
                    return
                case "timeout":
                    assert stream.read(1) == b"", "the gateway leaves when its time is over"
                    return


class Store2(Backend2):
    """Over HTTP/2."""

    def __init__(self, store: Store) -> None:
        self.store = store
        super().__init__(lambda _request: ([], b"", []))

    def _event(self, state: Any, event: Any, open_requests: Any, connection: socket.socket) -> None:
        if not isinstance(event, h2.events.StreamEnded):
            return super()._event(state, event, open_requests, connection)
        match self.store.take(open_requests.pop(event.stream_id)):
            case None:
                state.send_headers(event.stream_id, [(":status", "201")], end_stream=True)
            case "status":
                state.send_headers(event.stream_id, [(":status", "503")], end_stream=True)
            case "reset":
                state.reset_stream(event.stream_id, 2)
            case "timeout":
                pass
        return None


class World:
    def __init__(self, start: Any, folder: Path) -> None:
        self.store = Store()
        self.backends = [Store1(self.store), Store2(self.store)]
        retry = {"codes": [503], "attempts": 2, "backoff": "1ms"}
        objects = (
            gateway(),
            route(
                rule("/h1/timeout", "h1", retry=retry, timeouts={"backendRequest": TRY_TIME}),
                rule("/h2/timeout", "h2", retry=retry, timeouts={"backendRequest": TRY_TIME}),
                rule("/h1/limited", "h1", retry=retry, timeouts={"request": "500ms"}),
                rule("/h2/limited", "h2", retry=retry, timeouts={"request": "500ms"}),
                rule("/h1", "h1", retry=retry),
                rule("/h2", "h2", retry=retry),
            ),
            *service("h1", self.backends[0].address),
            *service("h2", self.backends[1].address, protocol="kubernetes.io/h2c"),
        )
        self.gateways: dict[str, Gateway] = {}
        for name, size in BUFFERS.items():
            settings = folder / f"{name}.toml"
            settings.write_text("" if name == "default" else f"[engine]\nretry_buffer_bytes = {size}\n")
            self.gateways[name] = start(*objects, arguments=("--config", str(settings)))


@pytest.fixture(scope="module")
def world(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(start, tmp_path_factory.mktemp("settings"))
    yield found
    for each in found.backends:
        each.close()


def send(found: Gateway, how: str, method: str, target: str, body: bytes) -> Response:
    """One request on a connection of its own; the framing is `how`."""
    address = found.address
    connection = Http2(address, PORT) if how == "http2" else Http1(address, PORT)
    try:
        if isinstance(connection, Http2):
            stream = connection.open(method, HOST, target, end=False)
            connection.send(stream, body, end=True)
            return connection.read(stream)
        if how == "length":
            return connection.request(method, HOST, target, (), body)
        head = f"{method} {target} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        pieces = [body[at : at + 16_000] for at in range(0, len(body), 16_000)]
        connection.send(head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
        return connection.read(method)
    finally:
        connection.close()


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("backend_protocol", ["h1", "h2"])
@pytest.mark.parametrize("how", ["length", "chunked", "http2"])
@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_first_try_that_fails(world: World, buffer: str, how: str, backend_protocol: str, failure: str) -> None:
    methods, kept = ("PUT", "DELETE", "GET"), BUFFERS[buffer]

    def one(case: tuple[str, int]) -> tuple[str, int, int, list[bytes], list[int]]:
        method, size = case
        target = f"/{backend_protocol}/{failure}/{buffer}/{how}/{method}/{size}"
        status = send(world.gateways[buffer], how, method, target, body_of(size)).status
        return method, size, status, world.store.stored.get(target, []), world.store.tries[target]

    sizes = {0, 1, max(kept - 1, 0), kept, kept + 1, 300_000, 2_000_000}
    cases = [("PUT", size) for size in sizes] + [(method, 300_000) for method in methods[1:]]
    with ThreadPoolExecutor(len(cases)) as pool:
        for method, size, status, stored, tries in pool.map(one, cases):
            if size <= kept:
                assert (status, stored, tries) == (201, [body_of(size)], [size, size]), (method, size, tries)
            else:
                assert (status, stored, tries) == (FAILURES[failure], [], [size]), (method, size, tries)


class Refusing(Backend):
    """Answers 503 as soon as it has the head of a first try, and reads no further; stores the second one."""

    def __init__(self) -> None:
        self.tries = 0
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        self.tries += 1
        if self.tries == 1:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(1024)
            connection.sendall(response(b"busy", "503 Service Unavailable"))
            # Read on, as slowly as a backend that thinks of something else: an orderly end, not a reset.
            while connection.recv(65_536):
                pass
            return
        request = read_request(connection.makefile("rb"), connection)
        assert request is not None
        self.remember(request)
        connection.sendall(response(str(len(request.body)).encode(), "201 Created"))


@pytest.mark.parametrize("size", [40_000, 2_000_000])
def test_a_refusal_before_the_body_has_been_read(start: Any, size: int) -> None:
    """Whole or not at all, wherever the upload stands when the answer comes."""
    app = Refusing()
    retry = {"codes": [503], "attempts": 1, "backoff": "1ms"}
    found = start(gateway(), route(rule("/", "app", retry=retry)), *service("app", app.address))
    client = Http1(found.address, PORT)
    body = body_of(size)
    answer = client.request("PUT", HOST, "/", (), body)
    client.close()
    if answer.status == 201:
        assert [request.body for request in app.requests] == [body]
    else:
        assert (answer.status, answer.body, app.requests) == (503, b"busy", [])
        assert size > KEPT
    app.close()


def test_many_small_pieces_are_kept(world: World) -> None:
    """1,000 chunks of a byte are a small body still."""
    target = "/h1/status/small-chunks"
    client = Http1(world.gateways["default"].address, PORT)
    client.send(f"PUT {target} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    for number in range(1000):
        client.send(b"1\r\n%c\r\n" % (97 + number % 26))
    client.send(b"0\r\n\r\n")
    assert client.read().status == 201
    client.close()
    assert world.store.stored[target] == [bytes(97 + number % 26 for number in range(1000))]


@pytest.mark.parametrize("backend_protocol", ["h1", "h2"])
@pytest.mark.parametrize("how", ["length", "chunked", "http2"])
def test_the_time_of_a_rule_goes_on_while_a_body_comes(world: World, how: str, backend_protocol: str) -> None:
    """What is kept for a retry is waited for no longer than anything else."""
    address, target = world.gateways["default"].address, f"/{backend_protocol}/limited"
    client: Http1 | Http2
    if how == "http2":
        client = Http2(address, PORT)
        stream = client.open("PUT", HOST, target, end=False)
        client.send(stream, b"begun")
        found = client.read(stream)
    else:
        client = Http1(address, PORT)
        rest = (
            "content-length: 9\r\n\r\nbegun" if how == "length" else "transfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n"
        )
        client.send(f"PUT {target} HTTP/1.1\r\nhost: {HOST}\r\n{rest}".encode())
        found = client.read("PUT")
    client.close()
    assert (found.status, found.body.partition(b":")[0]) == (504, b"request_timeout")


@pytest.mark.parametrize("refused", [False, True], ids=["taken", "refused"])
@pytest.mark.parametrize("how", ["http1", "http2"])
def test_a_client_that_waits_for_100_continue(start: Any, backend: Any, how: str, refused: bool) -> None:
    """A rule with retries asks nothing of the body before the backend has asked for it."""
    app = Asking(refused)
    retry = {"codes": [503], "attempts": 2, "backoff": "1ms"}
    found = start(gateway(), route(rule("/", "app", retry=retry)), *service("app", app.address))
    wanted = 401 if refused else 200
    fields = (("expect", "100-continue"), ("content-length", "5"))
    if how == "http1":
        client = Http1(found.address, PORT)
        head = "".join(f"{name}: {value}\r\n" for name, value in (("host", HOST), *fields))
        client.send(f"PUT / HTTP/1.1\r\n{head}\r\n".encode())
        client.socket.settimeout(LIMIT)
        first = client.socket.recv(25, socket.MSG_PEEK)
        if not refused:
            assert first.startswith(b"HTTP/1.1 100 ")
            client.send(b"hello")
        assert client.read().status == wanted
        client.close()
    else:
        client2 = Http2(found.address, PORT)
        stream = client2.open("PUT", HOST, "/", fields, end=False)
        if not refused:
            while not any(isinstance(event, h2.events.InformationalResponseReceived) for event in client2.events):
                client2.pump()
            client2.send(stream, b"hello", end=True)
        assert client2.read(stream).status == wanted
        client2.close()
    app.close()


class Asking(Backend):
    """Asks for the body (100), or refuses it without having seen it."""

    def __init__(self, refused: bool) -> None:
        self.refused = refused
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        if self.refused:
            connection.recv(65_536)
            connection.sendall(response(b"no", "401 Unauthorized"))
            return
        request = read_request(connection.makefile("rb"), connection)
        assert request is not None
        assert request.body == b"hello"
        connection.sendall(response(b"yes"))
