"""Load: clients that ask at a steady rate and cost little, so that the machine is left to the gateway.

What is sent is written once; of what comes back only statuses are looked at.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, TypeAlias

import hpack

#: Seconds until a connection that says nothing counts as broken.
LIMIT = 30.0
CLIENTS = 8

Fields: TypeAlias = Sequence[tuple[str, str]]
#: The fields of each kind of request, all of them `GET /`.
Kinds: TypeAlias = Mapping[str, Fields]
#: A kind of request and the status that it was answered.
Answer: TypeAlias = tuple[str, int]


class Connection(Protocol):
    """One connection; `each`: requests that are under way on it at once."""

    each: int

    def ask(self, kinds: Sequence[str]) -> list[Answer]:
        """Send requests of these kinds together, and wait for all answers.

        Raises:
            OSError: the connection or one of the requests was broken off.
        """

    def is_ended(self) -> bool:
        """Whether the gateway takes no further requests on it."""

    def close(self) -> None: ...


class Load1:
    """HTTP/1.1: one request after the other."""

    each = 1

    def __init__(self, address: str, port: int, host: str, kinds: Kinds) -> None:
        self._socket = socket.create_connection((address, port), LIMIT)
        self._ended = False
        self._requests: dict[str, bytes] = {}
        for kind, fields in kinds.items():
            lines = [f"GET / HTTP/1.1\r\nHost: {host}\r\n", *(f"{name}: {value}\r\n" for name, value in fields), "\r\n"]
            self._requests[kind] = "".join(lines).encode()

    def ask(self, kinds: Sequence[str]) -> list[Answer]:
        [kind] = kinds
        self._socket.sendall(self._requests[kind])
        received = b""
        while b"\r\n\r\n" not in received:
            received += some(self._socket)
        head, _, body = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += some(self._socket)
        self._ended = fields.get(b"connection") == b"close"
        return [(kind, int(head.split(b" ", 2)[1]))]

    def is_ended(self) -> bool:
        return self._ended

    def close(self) -> None:
        self._socket.close()


DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
#: What a connection may be sent in all, beside the 65,535 octets that it begins with (RFC 9113 section 6.9.1).
WINDOW = (1 << 31) - 1 - 65_535


class Load2:
    """HTTP/2: several streams at once, each a request of its own."""

    each = 4

    def __init__(self, address: str, port: int, host: str, kinds: Kinds) -> None:
        self._socket = socket.create_connection((address, port), LIMIT)
        self._decoder, self._received, self._ended, self._next = hpack.Decoder(), b"", False, 1
        fixed = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", host)]
        # Never indexed: each is the same on every stream.
        self._requests = {
            kind: hpack.Encoder().encode(
                [hpack.NeverIndexedHeaderTuple(name.lower(), value) for name, value in (*fixed, *fields)]
            )
            for kind, fields in kinds.items()
        }
        update = frame(WINDOW_UPDATE, 0, 0, WINDOW.to_bytes(4, "big"))
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"") + update)

    def ask(self, kinds: Sequence[str]) -> list[Answer]:
        streams = {self._next + 2 * place: kind for place, kind in enumerate(kinds)}
        self._next += 2 * len(kinds)
        sent = [frame(HEADERS, END_STREAM | END_HEADERS, stream, self._requests[streams[stream]]) for stream in streams]
        self._socket.sendall(b"".join(sent))
        statuses: dict[int, int] = {}
        left = set(streams)
        while left:
            kind, flags, stream, payload = self._frame()
            if kind == HEADERS:
                fields = dict(self._decoder.decode(payload))
                statuses.setdefault(stream, int(fields.get(":status", 0)))
            if kind in {HEADERS, DATA} and flags & END_STREAM:
                left.discard(stream)
            elif kind == RESET:
                raise OSError(f"a stream was reset: {int.from_bytes(payload, 'big')}")
            elif kind == GOAWAY:
                self._ended = True
            elif kind in {SETTINGS, PING} and not flags & ACK:
                self._socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        return [(streams[stream], status) for stream, status in statuses.items()]

    def _frame(self) -> tuple[int, int, int, bytes]:
        """The next frame: type, flags, stream, payload."""
        while len(self._received) < 9 or len(self._received) < 9 + int.from_bytes(self._received[:3], "big"):
            self._received += some(self._socket)
        end = 9 + int.from_bytes(self._received[:3], "big")
        head, payload, self._received = self._received[:9], self._received[9:end], self._received[end:]
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def is_ended(self) -> bool:
        return self._ended

    def close(self) -> None:
        self._socket.close()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise OSError("the connection ended")
    return data


class Asking:
    """Clients that ask at a steady rate, all kinds in turn, each over a connection that it keeps.

    Attributes:
        counted: answers by kind and status.
        broken: what was broken off, by what it says.
    """

    def __init__(self, connect: Callable[[], Connection], kinds: Sequence[str], rate: float) -> None:
        self._connect, self._kinds, self._rate = connect, kinds, rate
        self.counted: Counter[Answer] = Counter()
        self.broken: Counter[str] = Counter()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def total(self) -> int:
        with self._lock:
            return sum(self.counted.values())

    def _ask(self, number: int) -> None:
        connection: Connection | None = None
        due, turn = time.monotonic() + number / self._rate, number
        while not self._stop.wait(max(due - time.monotonic(), 0.0)):
            try:
                connection = connection or self._connect()
                kinds = [self._kinds[(turn + place) % len(self._kinds)] for place in range(connection.each)]
                turn, due = turn + connection.each, due + connection.each * CLIENTS / self._rate
                answers = connection.ask(kinds)
                if connection.is_ended():
                    connection.close()
                    connection = None
                with self._lock:
                    self.counted.update(answers)
            except OSError as error:
                with self._lock:
                    self.broken[str(error)] += 1
                connection = None
        if connection is not None:
            connection.close()
