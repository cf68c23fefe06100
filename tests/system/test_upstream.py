"""Connections to backends: when they are kept, and when they end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Backend2, Received, echo, echo2, read_request, response
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

    #: Answers a request; of the kind of backend.
    reply: Callable[[Received], Any]

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

    def serve(self, connection: socket.socket) -> None:
        try:
            super().serve(connection)  # type: ignore[misc]
        finally:
            self.ended.release()


class Following1(Following, Backend):
    protocol = None
    reply = staticmethod(echo("following"))


class Following2(Following, Backend2):
    protocol = "kubernetes.io/h2c"
    reply = staticmethod(echo2("following"))


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


def test_idle_connections_end_at_their_time(start: Any, kind: Any, tmp_path: Path) -> None:
    """Before the backend's own idle time is over."""
    settings = tmp_path / "sluicegate.toml"
    settings.write_text("[engine]\nupstream_idle_timeout_ms = 300\n")
    app = kind()
    objects = [gateway(), route(rule("/", "app")), *service("app", app.address, protocol=app.protocol)]
    found = start(*objects, arguments=("--config", str(settings)))
    client = Http1(found.address, PORT)
    assert client.request("GET", HOST, "/").status == 200
    assert app.ended.acquire(timeout=PROMPT), "the idle connection was kept"
    assert client.request("GET", HOST, "/").status == 200
    client.close()


class Closing(Backend):
    """Answers the first request of a connection, and takes the second one without an answer."""

    def __init__(self) -> None:
        super().__init__(echo("closing"))

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        for number in range(2):
            request = read_request(stream, connection)
            if request is None:
                return
            self.remember(request)
            answer = self.answer(request)
            assert answer is not None
            if number == 0:
                connection.sendall(answer)


@pytest.mark.parametrize(("method", "status", "sent"), [("GET", 200, 2), ("PUT", 502, 1), ("POST", 502, 1)])
def test_what_was_sent_is_sent_again_only_where_that_is_safe(start: Any, method: str, status: int, sent: int) -> None:
    """A pooled connection ends under a request: another one has it where it is idempotent and its body still there."""
    app = Closing()
    found = start(gateway(), route(rule("/", "app")), *service("app", app.address), arguments=("--workers", "1"))
    client = Http1(found.address, PORT)
    assert client.request("GET", HOST, "/first").status == 200
    body = None if method == "GET" else b"body"
    assert client.request(method, HOST, "/second", (), body).status == status
    client.close()
    assert [request.target for request in app.requests].count("/second") == sent
    app.close()


def test_no_attempts_are_none(start: Any, backend: Any) -> None:
    """`attempts: 0`: what fails is not tried again, whatever the codes say."""
    failing = backend(lambda request: response(b"", "503 Service Unavailable") if request.target == "/code" else None)
    retry = {"codes": [503], "attempts": 0}
    found = start(gateway(), route(rule("/", "app", retry=retry)), *service("app", failing.address))
    # In this order: a connection that was pooled may always turn out to be stale.
    for target, status in (("/reset", 502), ("/code", 503)):
        client = Http1(found.address, PORT)
        assert client.request("GET", HOST, target).status == status
        client.close()
        assert [request.target for request in failing.requests].count(target) == 1
