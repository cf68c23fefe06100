"""What policies stand on goes away and comes back under load: only the documented answers, nobody without his policy.

`TEST_OUTAGE=60 TEST_OUTAGE_RATE=2000` has it last longer (`make outage`).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from system_backends import Answer, Backend, Received, echo, response
from system_gateway import Gateway, resident, until
from system_manifests import gateway, policy, route, rule, service, target
from system_tokens import ISSUER, Issuer, bearer, key_set

PORT, HOST = 8080, "outage.test"
SECONDS = float(os.environ.get("TEST_OUTAGE", "8"))
RATE = float(os.environ.get("TEST_OUTAGE_RATE", "200"))
CLIENTS = 8
LIMIT = 30.0
#: MiB that the gateway may grow by: pools and tables that were not in use before.
GROWTH = 10.0
#: What each kind of request may be answered, whatever is away. 502: an endpoint went while it answered.
ANSWERS = {"good": {200, 502, 503}, "refused": {403, 503}, "forged": {401}, "nobody": {401}}


class Part:
    """A backend that goes and comes back at its address."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: list[Received] = []
        self.backend = Backend(self._remembered)
        self.address = self.backend.address

    def _remembered(self, request: Received) -> bytes | None:
        self.seen.append(request)
        return self.answer(request)

    def leave(self) -> None:
        self.backend.close()

    def come_back(self) -> None:
        self.backend = Backend(self._remembered, listener=socket.create_server(self.address))


def authorise(request: Received) -> bytes:
    return response(b"", "200 OK" if request.header("x-group") == "staff" else "403 Forbidden")


class World:
    def __init__(self, start: Callable[..., Gateway]) -> None:
        self.issuer = Issuer("one")
        self.login = Part(lambda _: response(key_set(self.issuer.jwk())))
        self.authoriser = Part(authorise)
        self.apps = [Part(echo("one")), Part(echo("two"))]
        keys = {"backendRef": {"name": "login", "port": 80}, "path": "/keys", "refresh": "1m"}
        provider = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": keys}
        external = {
            "protocol": "HTTP",
            "backendRef": {"name": "authoriser", "port": 80},
            "http": {"allowedHeaders": ["x-group"]},
            "timeout": "1s",
        }
        self.gateway = start(
            gateway(),
            route(rule("/", "app"), name="r"),
            policy("AccessPolicy", "p", target("HTTPRoute", "r"), jwt={"providers": [provider]}, external=external),
            *service("app", *(app.address for app in self.apps)),
            *service("login", self.login.address),
            *service("authoriser", self.authoriser.address),
        )
        good, forged = bearer(self.issuer.token()), bearer(Issuer("one").token())
        staff, other = ("X-Group", "staff"), ("X-Group", "other")
        fields = {"good": (good, staff), "refused": (good, other), "forged": (forged, staff), "nobody": (staff,)}
        self.requests = {
            kind: "".join(
                [f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Kind: {kind}\r\n", *(f"{n}: {v}\r\n" for n, v in found), "\r\n"]
            ).encode()
            for kind, found in fields.items()
        }

    def parts(self) -> list[Part]:
        """Those that go, one after the other: half of the endpoints."""
        return [self.login, self.authoriser, self.apps[0]]

    def close(self) -> None:
        for part in (*self.parts(), self.apps[1]):
            part.leave()


class Asking:
    """Clients that ask at a steady rate, each over a connection that it keeps."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counted: Counter[tuple[str, int]] = Counter()
        self.broken: Counter[str] = Counter()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def total(self) -> int:
        with self._lock:
            return sum(self.counted.values())

    def _ask(self, number: int) -> None:
        kinds, each = list(self.world.requests), CLIENTS / RATE
        due, turn, connection = time.monotonic() + number * each / CLIENTS, number, None
        while not self._stop.wait(max(due - time.monotonic(), 0.0)):
            kind = kinds[turn % len(kinds)]
            turn, due = turn + 1, due + each
            try:
                if connection is None:
                    connection = socket.create_connection((self.world.gateway.address, PORT), LIMIT)
                connection.sendall(self.world.requests[kind])
                status, closes = read(connection)
                if closes:
                    connection.close()
                    connection = None
                with self._lock:
                    self.counted[kind, status] += 1
            except OSError as error:
                with self._lock:
                    self.broken[f"{kind}: {error}"] += 1
                connection = None
        if connection is not None:
            connection.close()


def read(connection: socket.socket) -> tuple[int, bool]:
    """Status of a response, and whether the connection ends with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields.get(b"content-length", b"0")):
        body += some(connection)
    return int(head.split(b" ", 2)[1]), fields.get(b"connection") == b"close"


def some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise OSError("the connection ended")
    return data


def wait_for(seconds: float, asking: Asking) -> None:
    """Let so many seconds' worth of requests be answered."""
    count = asking.total() + seconds * RATE
    until(lambda: asking.total() >= count, "requests are answered")


@pytest.fixture
def world(start: Any) -> Any:
    found = World(start)
    yield found
    found.close()


def test_services_go_and_come_back(world: World) -> None:
    phase = SECONDS / 8
    with Asking(world) as asking:
        until(lambda: asking.counted["good", 200] > 0, "the keys are there")
        wait_for(phase, asking)
        before = resident(world.gateway.process.pid)
        for part in world.parts():
            part.leave()
            wait_for(phase, asking)
            part.come_back()
            wait_for(phase, asking)
        # All at once.
        for part in world.parts():
            part.leave()
        wait_for(phase, asking)
        for part in world.parts():
            part.come_back()
        passed = asking.counted["good", 200]
        until(lambda: asking.counted["good", 200] > passed, "all is well again")
    assert not asking.broken, asking.broken
    wrong = {each: count for each, count in asking.counted.items() if each[1] not in ANSWERS[each[0]]}
    assert not wrong, asking.counted
    # The keys that were fetched verify on; an endpoint that is away costs those alone that it was answering.
    assert asking.counted["good", 502] <= 2 * CLIENTS, asking.counted
    assert asking.counted["good", 503] > 0, "the authoriser was away"
    # Nobody came by without his policy.
    assert {request.header("x-kind") for app in world.apps for request in app.seen} == {"good"}
    assert {request.header("x-group") for request in world.authoriser.seen} <= {"staff", "other"}
    assert resident(world.gateway.process.pid) - before < GROWTH
    print(f"{asking.total()} requests: {dict(asking.counted)}")
