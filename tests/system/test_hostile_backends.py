"""Backends that send what no backend should: a client gets an error or what is unambiguous, nobody another's answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import h2.events
import pytest
from system_backends import Backend, Backend2, read_request, response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "backends.test"

#: Each is ambiguous or malformed (RFC 9112 sections 2.2, 4, 5, 6.3).
HEADS = {
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "a hex length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "bare line ends": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "one bare line end": b"HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 3\r\n\r\nabc",
    "a folded field": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 3\r\n\r\nabc",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 3\r\n\r\nabc",
    "a bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 3\r\n\r\nabc",
    "a status of two digits": b"HTTP/1.1 99 OK\r\nContent-Length: 3\r\n\r\nabc",
    "a status below 100": b"HTTP/1.1 020 OK\r\nContent-Length: 3\r\n\r\nabc",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "a switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "early hints without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 1_000,
}


class Scripted(Backend):
    """Sends the bytes named by the path, and keeps the connection open.

    Attributes:
        targets: of the requests of each connection.
    """

    def __init__(self, script: dict[str, bytes]) -> None:
        self.script = script
        self.targets: list[list[str]] = []
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        targets: list[str] = []
        self.targets.append(targets)
        while request := read_request(stream, connection):
            targets.append(request.target)
            connection.sendall(self.script.get(request.target[1:], response(b"fine")))


@pytest.fixture(scope="module")
def scripted() -> Iterator[Scripted]:
    found = Scripted({str(number): data for number, data in enumerate(HEADS.values())})
    yield found
    found.close()


@pytest.fixture(scope="module")
def world(start: Any, scripted: Scripted) -> Gateway:
    return start(gateway(), route(rule("/", "app")), *service("app", scripted.address))  # type: ignore[no-any-return]


@pytest.mark.parametrize("number", range(len(HEADS)), ids=HEADS.keys())
def test_ambiguous_answers_are_refused(world: Gateway, scripted: Scripted, client: Any, number: int) -> None:
    """502, and that connection to the backend carries nothing more."""
    connection = client(world.address, PORT)
    assert connection.request("GET", HOST, f"/{number}").status == 502
    assert connection.request("GET", HOST, "/").body == b"fine"
    connection.close()
    assert all(f"/{number}" not in targets[:-1] for targets in scripted.targets)


class Reusing(Backend):
    """Answers `/surplus` with more than one response and `/early` before the body is here.

    Attributes:
        seen: the connection and the target of each request.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        number = self.connections
        stream = connection.makefile("rb")
        while line := stream.readline():
            target = line.decode().split(" ")[1]
            length = 0
            while (field := stream.readline().strip()) != b"":
                if field.lower().startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            self.seen.append((number, target))
            if target == "/early":
                connection.sendall(response(b"early"))
                stream.read(length)
                continue
            stream.read(length)
            if target == "/surplus":
                connection.sendall(response(b"own") + response(b"stolen"))
            else:
                connection.sendall(response(target.encode()))


@pytest.fixture
def reusing() -> Iterator[Reusing]:
    found = Reusing()
    yield found
    found.close()


def test_surplus_bytes_are_nobodys_answer(start: Any, reusing: Reusing, client: Any) -> None:
    found = start(gateway(), route(rule("/", "app")), *service("app", reusing.address), arguments=("--workers", "1"))
    connection = client(found.address, PORT)
    assert connection.request("GET", HOST, "/surplus").body == b"own"
    for number in range(3):
        assert connection.request("GET", HOST, f"/{number}").body == f"/{number}".encode()
    connection.close()
    first, *rest = (number for number, _ in reusing.seen)
    assert first not in rest


def test_an_early_answer_leaves_no_body_for_the_next_request(start: Any, reusing: Reusing) -> None:
    """The backend answers before the body is here: its connection is not used again, whatever the client does."""
    found = start(gateway(), route(rule("/", "app")), *service("app", reusing.address), arguments=("--workers", "1"))
    body = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    connection = Http1(found.address, PORT)
    connection.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1) + body)
    assert connection.read().body == b"early"
    other = Http1(found.address, PORT)
    assert other.request("GET", HOST, "/other").body == b"/other"
    connection.send(b"!GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert connection.read().body == b"/next"
    other.close()
    connection.close()
    early = next(number for number, target in reusing.seen if target == "/early")
    assert [target for number, target in reusing.seen if number == early] == ["/early"]
    assert all(target != "/smuggled" for _, target in reusing.seen)


class Unchecked(Backend2):
    """An HTTP/2 backend whose fields nobody looks at before they are sent."""

    validates = False


#: Beside `:status` (RFC 9113 sections 8.1.1, 8.2, 8.3.2, 8.6).
HEADS2 = {
    "two equal lengths": [("content-length", "2"), ("content-length", "2")],
    "two lengths": [("content-length", "2"), ("content-length", "3")],
    "a signed length": [("content-length", "+2")],
    "a list of lengths": [("content-length", "2, 2")],
    "a length of more": [("content-length", "3")],
    "a length of less": [("content-length", "1")],
    "a coding": [("transfer-encoding", "chunked")],
    "a field of the connection": [("connection", "close")],
    "keep-alive": [("keep-alive", "timeout=5")],
    "an upgrade": [("upgrade", "h2c")],
    "upper case": [("X-A", "1")],
    "a line end in a value": [("x-a", "1\r\nx-b: 2")],
    "another status": [(":status", "404")],
}


@pytest.mark.parametrize("fields", HEADS2.values(), ids=HEADS2.keys())
def test_malformed_answers_over_http2(start: Any, client: Any, fields: list[tuple[str, str]]) -> None:
    """No field of such an answer reaches a client, and no whole message that is none."""
    assert status_of(start, client, [(":status", "200"), *fields]) in {0, 502}


def test_a_switch_over_http2_reaches_nobody(start: Any, client: Any) -> None:
    """101 has no meaning there (RFC 9113 section 8.6); a client of HTTP/1.1 would believe it."""
    assert status_of(start, client, [(":status", "101")]) == 502


def status_of(start: Any, client: Any, fields: list[tuple[str, str]]) -> int:
    """What a client gets when an HTTP/2 backend sends this head and two octets; 0: a response that is broken off."""
    peer = Unchecked(lambda _request: (fields, b"ok", []))
    found = start(gateway(), route(rule("/", "app")), *service("app", peer.address, protocol="kubernetes.io/h2c"))
    connection = client(found.address, PORT)
    try:
        answer = connection.request("GET", HOST, "/")
    except ConnectionError:
        return 0
    finally:
        connection.close()
        peer.close()
    length = answer.header("content-length")
    broken = len(answer.body) < int(length or 0) if client is Http1 else is_reset(connection)
    return 0 if broken else answer.status


def is_reset(connection: Http2) -> bool:
    return any(isinstance(event, h2.events.StreamReset) for event in connection.events)
