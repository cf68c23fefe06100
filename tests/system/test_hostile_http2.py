"""Hostile HTTP/2, frame by frame: the connection ends or the stream does, nothing reaches a backend, others go on."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.errors
import h2.events
import h2.settings
import hpack
import pytest
from system_backends import Backend, Received, response
from system_clients import Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "hostile.test"
MEGABYTE = 1024 * 1024

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
CANCEL, ENHANCE_YOUR_CALM = 8, 11
END_STREAM, END_HEADERS = 1, 4


@dataclass
class World:
    gateway: Gateway
    backend: Backend
    given_up: threading.Event

    def asked(self) -> int:
        """Requests for `/given-up` that have come to the backend."""
        return sum(request.target == "/given-up" for request in list(self.backend.requests))


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    release, given_up = threading.Event(), threading.Event()

    def answer(request: Received) -> bytes:
        if request.target == "/held":
            release.wait(LIMIT)
        if request.target == "/given-up":
            given_up.wait(LIMIT)
        return response(b"x" * (MEGABYTE if request.target == "/large" else 2))

    found = backend(answer)
    yield World(start(gateway(), route(rule("/", "app")), *service("app", found.address)), found, given_up)
    release.set()


class Raw:
    """An HTTP/2 connection whose frames are written by hand; a thread reads what comes.

    Attributes:
        judged: a stream was answered or reset, or the connection ended.
        goaways: codes of what GOAWAY frames said.
        echoed: released for each PING that came back, and at the end.
    """

    def __init__(self, address: str) -> None:
        self.socket = socket.create_connection((address, PORT), LIMIT)
        self.encoder = hpack.Encoder()
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
        self.judged = threading.Event()
        self.goaways: list[int] = []
        self.echoed = threading.Semaphore(0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        received = b""
        with contextlib.suppress(OSError):
            while data := self.socket.recv(65536):
                received += data
                while len(received) >= 9 and len(received) >= (end := 9 + int.from_bytes(received[:3], "big")):
                    if received[3] in {HEADERS, RST_STREAM, GOAWAY}:
                        self.judged.set()
                    if received[3] == GOAWAY:
                        self.goaways.append(int.from_bytes(received[13:17], "big"))
                    if received[3] == PING:
                        self.echoed.release()
                    received = received[end:]
        self.judged.set()
        self.echoed.release()

    def head(self, *fields: tuple[str, str], method: str = "POST", target: str = "/") -> bytes:
        """A header block."""
        first = [(":method", method), (":scheme", "http"), (":authority", HOST), (":path", target)]
        return bytes(self.encoder.encode([*first, *fields]))

    def send(self, data: bytes) -> bool:
        """Send; whether the gateway still takes it."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return self._reader.is_alive()

    def give_up(self, streams: range) -> bool:
        """Open streams, and reset them once the gateway has taken them; whether it still takes something."""
        block = self.head(method="GET", target="/given-up")
        heads = [frame(HEADERS, END_HEADERS | END_STREAM, stream, block) for stream in streams]
        if not self.send(b"".join(heads) + frame(PING, 0, 0, bytes(8))):
            return False
        assert self.echoed.acquire(timeout=LIMIT)
        return self.send(b"".join(frame(RST_STREAM, 0, stream, bytes([0, 0, 0, CANCEL])) for stream in streams))

    def ended(self) -> bool:
        """Wait for the end of the connection."""
        self._reader.join(LIMIT)
        return not self._reader.is_alive()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(LIMIT)
        self.socket.close()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@pytest.fixture
def raw(world: World) -> Iterator[Raw]:
    """Afterwards others must be served."""
    connection = Raw(world.gateway.address)
    yield connection
    connection.close()
    other = Http2(world.gateway.address, PORT)
    assert other.request("GET", HOST, "/").status == 200
    other.close()


def continuations(raw: Raw) -> Iterator[bytes]:
    """CVE-2024-27316: a header block without end."""
    yield frame(HEADERS, END_STREAM, 1, raw.head())
    while True:
        yield frame(CONTINUATION, 0, 1, b"\x40\x01x\x01y" * 100)


def empty_continuations(raw: Raw) -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, raw.head())
    while True:
        yield frame(CONTINUATION, 0, 1) * 100


def empty_data(raw: Raw) -> Iterator[bytes]:
    """CVE-2019-9518."""
    yield frame(HEADERS, END_HEADERS, 1, raw.head(target="/held"))
    while True:
        yield frame(DATA, 0, 1) * 100


def made_you_reset(raw: Raw) -> Iterator[bytes]:
    """CVE-2025-8671: the gateway is made to reset streams, which costs the client nothing."""
    for stream in range(1, 2**31, 2):
        yield frame(HEADERS, END_HEADERS, stream, raw.head(target="/held")) + frame(WINDOW_UPDATE, 0, stream, bytes(4))


def window_overflows(raw: Raw) -> Iterator[bytes]:
    """The same by windows that grow too far."""
    for stream in range(1, 2**31, 2):
        grown = frame(WINDOW_UPDATE, 0, stream, (2**31 - 1).to_bytes(4, "big"))
        yield frame(HEADERS, END_HEADERS, stream, raw.head(target="/held")) + grown


def rapid_reset(raw: Raw) -> Iterator[bytes]:
    """CVE-2023-44487."""
    for stream in range(1, 2**31, 2):
        head = frame(HEADERS, END_HEADERS | END_STREAM, stream, raw.head(method="GET", target="/held"))
        yield head + frame(RST_STREAM, 0, stream, bytes([0, 0, 0, 8]))


def settings(raw: Raw) -> Iterator[bytes]:
    """Each changes the size of the header table: work that is never acknowledged."""
    while True:
        yield frame(SETTINGS, 0, 0, bytes([0, 1, 0, 0, 0, 0]) + bytes([0, 1, 0, 0, 16, 0])) * 100


def unknown_frames(raw: Raw) -> Iterator[bytes]:
    while True:
        yield frame(0xEE, 0, 0, b"x") * 100


def resets_of_ended_streams(raw: Raw) -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, raw.head(method="GET"))
    while True:
        yield frame(RST_STREAM, 0, 1, bytes([0, 0, 0, CANCEL])) * 100


def window_updates(raw: Raw) -> Iterator[bytes]:
    while True:
        yield frame(WINDOW_UPDATE, 0, 0, bytes([0, 0, 0, 1])) * 100


FLOODS = [
    continuations,
    empty_continuations,
    empty_data,
    made_you_reset,
    window_overflows,
    rapid_reset,
    resets_of_ended_streams,
    settings,
    unknown_frames,
    window_updates,
]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_floods_end_the_connection(world: World, raw: Raw, flood: Callable[[Raw], Iterator[bytes]]) -> None:
    for number, data in enumerate(flood(raw)):
        if not raw.send(data):
            break
        assert number < 100_000, "the flood goes on and on"
    assert raw.ended()


@pytest.fixture
def given_up(world: World) -> Iterator[None]:
    """What clients gave up is let go afterwards."""
    world.given_up.clear()
    yield
    world.given_up.set()


@pytest.mark.usefixtures("given_up")
def test_resets_of_requests_under_way(world: World, raw: Raw) -> None:
    """As CVE-2023-44487, with time for each request to reach the backend: the limit is another, and it is told."""
    before = world.asked()
    rounds = 0
    while raw.give_up(range(rounds * 128 + 1, rounds * 128 + 129, 2)):
        rounds += 1
        assert rounds < 20, "the flood goes on and on"
    assert raw.ended()
    assert raw.goaways == [ENHANCE_YOUR_CALM]
    assert 0 < world.asked() - before < 600


@pytest.mark.usefixtures("given_up")
def test_whoever_leaves_a_page_stays_connected(world: World, raw: Raw) -> None:
    """200 requests are given up at once, and 40 in the same breath in which they are made."""
    assert raw.give_up(range(1, 201, 2))
    assert raw.give_up(range(201, 401, 2))
    block = raw.head(method="GET", target="/given-up")
    together = [
        frame(HEADERS, END_HEADERS | END_STREAM, stream, block) + frame(RST_STREAM, 0, stream, bytes([0, 0, 0, CANCEL]))
        for stream in range(401, 481, 2)
    ]
    assert raw.send(b"".join(together))
    raw.judged.clear()
    raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 481, raw.head(method="GET")))
    assert raw.judged.wait(LIMIT)
    assert raw.goaways == []


@pytest.mark.usefixtures("given_up")
@pytest.mark.parametrize("target", ["/given-up", "/large"])
def test_clients_with_deadlines_stay_connected(world: World, target: str) -> None:
    """Every other request is given up, or each of them once its response has begun: however many."""
    connection = Http2(world.gateway.address, PORT)
    connection.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2})
    for _ in range(400):
        stream = connection.open("GET", HOST, target)
        if target == "/given-up":
            assert connection.request("GET", HOST, "/").status == 200
        else:
            while not any(isinstance(event, h2.events.ResponseReceived) for event in connection.events):
                connection.pump()
        connection.state.reset_stream(stream, CANCEL)
        connection.flush()
        connection.events.clear()
    assert connection.request("GET", HOST, "/").status == 200
    assert connection.goaways == 0
    connection.close()


def bomb(raw: Raw, fields: list[tuple[str, str]]) -> bytes:
    """A head whose fields are one byte each on the wire: the table has them after the first."""
    block = raw.head(*fields, method="GET")
    parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
    frames = [frame(HEADERS, END_STREAM | (END_HEADERS if len(parts) == 1 else 0), 1, parts[0])]
    frames += [frame(CONTINUATION, 0, 1, part) for part in parts[1:-1]]
    return b"".join([*frames, *([frame(CONTINUATION, END_HEADERS, 1, parts[-1])] if len(parts) > 1 else [])])


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("cookie", "a=b")] * 30_000, id="crumbs"),
        pytest.param([("x", "")] * 30_000, id="empty fields"),
        pytest.param([("x", "y" * 3_000)] * 25, id="bytes"),
        pytest.param([("x", "y" * 3_900)] * 3_000, id="large fields of the table"),
        pytest.param([("cookie", "a=b")] * 300, id="more fields than are allowed"),
    ],
)
def test_header_bombs(world: World, raw: Raw, fields: list[tuple[str, str]]) -> None:
    """Fields count with 32 octets each (RFC 9113 section 10.5.1): refused, and nothing of it reaches a backend."""
    before = len(world.backend.requests)
    raw.send(bomb(raw, fields))
    assert raw.judged.wait(LIMIT)
    assert len(world.backend.requests) == before


def memory(process: int) -> int:
    """Resident bytes of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024


def test_a_bomb_behind_a_closed_window(world: World) -> None:
    """As many streams as are allowed, the largest heads that are, and no byte of an answer is taken."""
    before = memory(world.gateway.process.pid)
    connection = Http2(world.gateway.address, PORT)
    connection.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    connection.flush()
    connection.request("HEAD", HOST, "/")  # the settings are acknowledged
    fields = tuple((f"x-{number}", "y" * 400) for number in range(90))
    for _ in range(100):
        connection.open("GET", HOST, "/large", fields)
    until(lambda: sum(item.target == "/large" for item in world.backend.requests) >= 100, "100 requests at the backend")
    assert memory(world.gateway.process.pid) - before < 100 * MEGABYTE
    connection.close()


def test_answers_that_nobody_takes(world: World) -> None:
    """Windows as wide as they can be, and a client that reads nothing: each stream queues little for it."""
    before = memory(world.gateway.process.pid)
    connection = Http2(world.gateway.address, PORT)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    connection.state.increment_flow_control_window(2**31 - 1 - 65_535)
    connection.request("HEAD", HOST, "/")  # the settings are acknowledged
    asked = len(world.backend.requests)
    for _ in range(128):
        connection.open("GET", HOST, "/large")
    world.backend.wait(asked + 128)
    other = Http2(world.gateway.address, PORT)
    for _ in range(100):
        assert other.request("GET", HOST, "/").status == 200
    other.close()
    assert memory(world.gateway.process.pid) - before < 32 * MEGABYTE
    connection.close()


def test_refused_heads_are_not_kept(world: World) -> None:
    """Crumbs of cookies take many times their bytes: clients that take no answer do not make us hold them.

    Kept, these would take 400 MiB. What the allocator of each worker keeps for the next ones does not grow with them.
    """
    before = memory(world.gateway.process.pid)
    connections = [Raw(world.gateway.address) for _ in range(20)]
    for connection in connections:
        connection.send(frame(SETTINGS, 0, 0, bytes([0, 4, 0, 0, 0, 0])))
        block = connection.head(*[("cookie", "a=b")] * 1_500, method="GET")
        for stream in range(1, 256, 2):
            assert connection.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
        connection.send(frame(PING, 0, 0, bytes(8)))
        assert connection.echoed.acquire(timeout=LIMIT)
    until(lambda: memory(world.gateway.process.pid) - before < 128 * MEGABYTE, "the heads are let go")
    for connection in connections:
        connection.close()


def test_streams_beyond_the_limit_are_refused(world: World) -> None:
    """REFUSED_STREAM, so that clients may try again (RFC 9113 section 5.1.2); those within the limit go on."""
    connection = Http2(world.gateway.address, PORT)
    assert connection.request("GET", HOST, "/").status == 200
    limit = connection.state.remote_settings.max_concurrent_streams
    assert limit == 128
    connection.state.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 1_000
    connection.state.remote_settings.acknowledge()
    streams = [connection.open("POST", HOST, "/", end=False) for _ in range(limit + 5)]
    while len(found := resets(connection)) < 5:
        connection.pump()
    assert found == dict.fromkeys(streams[limit:], h2.errors.ErrorCodes.REFUSED_STREAM)
    for stream in streams[:limit]:
        connection.send(stream, b"", end=True)
    assert {connection.read(stream).status for stream in streams[:limit]} == {200}
    connection.close()


def resets(connection: Http2) -> dict[int, int]:
    return {
        event.stream_id: event.error_code
        for event in connection.events
        if isinstance(event, h2.events.StreamReset) and event.stream_id is not None
    }


PSEUDO = [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/")]
HEADS = {
    "upper case": [*PSEUDO, ("X-A", "1")],
    "a pseudo-field after others": [*PSEUDO[:3], ("x-a", "1"), PSEUDO[3]],
    "a pseudo-field twice": [*PSEUDO, (":path", "/other")],
    "an unknown pseudo-field": [*PSEUDO, (":forward", "1")],
    "a response's pseudo-field": [*PSEUDO, (":status", "200")],
    "no path": PSEUDO[:3],
    "an empty path": [*PSEUDO[:3], (":path", "")],
    "no method": PSEUDO[1:],
    "no scheme": [PSEUDO[0], *PSEUDO[2:]],
    "NUL in a value": [*PSEUDO, ("x-a", "a\0b")],
    "a line end in a value": [*PSEUDO, ("x-a", "a\r\nb: c")],
    "a line end in a path": [*PSEUDO[:3], (":path", "/ HTTP/1.1\r\nx: y")],
    "a space in a path": [*PSEUDO[:3], (":path", "/a b")],
    "a space in a name": [*PSEUDO, ("x a", "1")],
    "a colon in a name": [*PSEUDO, ("x:a", "1")],
    "an empty name": [*PSEUDO, ("", "1")],
    "a space in the method": [(":method", "GET /x HTTP/1.1\r\n"), *PSEUDO[1:]],
    "keep-alive": [*PSEUDO, ("keep-alive", "1")],
    "upgrade": [*PSEUDO, ("upgrade", "h2c")],
    "proxy-connection": [*PSEUDO, ("proxy-connection", "close")],
    "a path in the authority": [*PSEUDO[:2], (":authority", f"{HOST}/x"), PSEUDO[3]],
    "a signed length": [*PSEUDO, ("content-length", "+1")],
    "two lengths in one": [*PSEUDO, ("content-length", "0, 0")],
}


@pytest.mark.parametrize("fields", HEADS.values(), ids=HEADS.keys())
def test_malformed_heads(world: World, raw: Raw, fields: list[tuple[str, str]]) -> None:
    """Malformed (RFC 9113 section 8.1.1): 400, a reset or the end, and nothing reaches a backend."""
    before = len(world.backend.requests)
    raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, raw.encoder.encode(fields)))
    assert raw.judged.wait(LIMIT)
    assert len(world.backend.requests) == before


def test_a_fragment_never_reaches_a_backend(world: World) -> None:
    connection = Http2(world.gateway.address, PORT)
    before = len(world.backend.requests)
    for target in ("/a#b", "/a?b#c", "#a", "/a#"):
        with pytest.raises(ConnectionError, match=r"^stream reset: 1$"):
            connection.request("GET", HOST, target)
    assert connection.request("GET", HOST, "/after").status == 200
    connection.close()
    assert [item.target for item in world.backend.requests[before:]] == ["/after"]


@pytest.mark.parametrize("body", [b"abc", b"abcdefgh"], ids=["shorter", "longer"])
def test_a_body_of_another_length(world: World, raw: Raw, body: bytes) -> None:
    """Content-Length says five: the backend never sees a whole request."""
    before = len(world.backend.requests)
    raw.send(frame(HEADERS, END_HEADERS, 1, raw.head(("content-length", "5"))) + frame(DATA, END_STREAM, 1, body))
    assert raw.judged.wait(LIMIT)
    assert len(world.backend.requests) == before


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", id="a bad preface"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(DATA, 0, 1, b"x"), id="no SETTINGS first"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 1), id="SETTINGS of a stream"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff" + bytes(6), id="a frame too large"),
    ],
)
def test_bad_beginnings(world: World, data: bytes) -> None:
    with socket.create_connection((world.gateway.address, PORT), LIMIT) as connection:
        connection.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass


def test_what_is_no_http_at_all_is_not_answered(world: World) -> None:
    """The preface of another protocol: a clean end (RFC 9113 section 3.4), not the answer of a protocol it is not."""
    with socket.create_connection((world.gateway.address, PORT), LIMIT) as connection:
        connection.sendall(b"INVALID CONNECTION PREFACE\r\n\r\n")
        assert connection.recv(65536) == b""
    with socket.create_connection((world.gateway.address, PORT), LIMIT) as connection:
        connection.sendall(b"GET / HTTP1.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
