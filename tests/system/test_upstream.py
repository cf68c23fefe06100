"""Connections to backends: when they are kept, and when they end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from system_backends import Backend, Backend2, Received, echo, echo2
from system_clients import Http1
from system_gateway import LIMIT
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "upstream.test"

#: Seconds within which a connection ends for its reason; idle ones would end after 30.
PROMPT = 10.0


class Following:
    """Tells of each connection that ends.

    Attributes:
        ended: released for each connection.
        arrived: set once a request for `/held` is here.
        release: lets it be answered.
    """

    def __init__(self, **rest: Any) -> None:
        self.ended = threading.Semaphore(0)
        self.arrived = threading.Event()
        self.release = threading.Event()
        super().__init__(self.hold, **rest)

    def hold(self, request: Received) -> Any:
        if request.target == "/held":
            self.arrived.set()
            self.release.wait(LIMIT)
        return self.reply(request)

    def reply(self, request: Received) -> Any:
        raise NotImplementedError

    def serve(self, connection: socket.socket) -> None:
        try:
            super().serve(connection)  # type: ignore[misc]
        finally:
            self.ended.release()


class Following1(Following, Backend):
    protocol = None

    def reply(self, request: Received) -> Any:
        return echo("following")(request)


class Following2(Following, Backend2):
    protocol = "kubernetes.io/h2c"

    def reply(self, request: Received) -> Any:
        return echo2("following")(request)


@pytest.fixture(params=[Following1, Following2], ids=["http1", "http2"])
def kind(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Starts backends of each protocol."""
    running: list[Any] = []

    def start_one() -> Any:
        running.append(request.param())
        return running[-1]

    yield start_one
    for each in running:
        each.release.set()
        each.close()


def test_idle_connections_end_with_their_endpoint(start: Any, backend: Any, kind: Any) -> None:
    """Promptly, on each worker; a request under way goes on, and then its connection ends as well."""
    idle, busy, after = kind(), kind(), backend("after")

    def objects(idle: tuple[str, int], busy: tuple[str, int], protocol: str | None = None) -> list[Any]:
        services = [*service("idle", idle, protocol=protocol), *service("busy", busy, protocol=protocol)]
        return [gateway(), route(rule("/idle", "idle"), rule("/", "busy")), *services]

    found = start(*objects(idle.address, busy.address, idle.protocol), arguments=("--workers", "1"))
    client, other = Http1(found.address, PORT), Http1(found.address, PORT)
    assert client.request("GET", HOST, "/idle").echo["backend"] == "following"
    client.send(b"GET /held HTTP/1.1\r\nHost: upstream.test\r\n\r\n")
    assert busy.arrived.wait(LIMIT)
    found.write(*objects(after.address, after.address))
    assert idle.ended.acquire(timeout=PROMPT), "the idle connection was kept"
    assert other.request("GET", HOST, "/").echo["backend"] == "after"
    busy.release.set()
    answer = client.read()
    assert (answer.status, answer.echo["target"]) == (200, "/held")
    assert busy.ended.acquire(timeout=PROMPT), "the connection of the request that was under way was kept"
    assert client.request("GET", HOST, "/").echo["backend"] == "after"
    for each in (client, other):
        each.close()
