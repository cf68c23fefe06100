"""Limits and times of Ingresses on the engine: what refusals are, as settings say it, and what a silence costs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from system_backends import Backend, read_request, response
from system_clients import Http1
from system_gateway import Gateway, until
from system_manifests import Manifest, metadata, service
from system_migration import converted, ingress, manifests

from sluicegate.controller.ingress import Name

Start = Callable[..., Gateway]
HTTP, OFFSET = 8080, 8000

#: Seconds of `proxy-read-timeout`; of a backend between two pieces; how many of them, so that all take longer.
READ_TIMEOUT, PAUSE, PIECES = 1, 0.3, 5


class Statuses(NamedTuple):
    """Settings of the controller, and what refusals are: by rate, by requests at once alone, by both."""

    settings: dict[str, str]
    rate: int
    connections: int
    both: int


STATUSES = {
    "defaults": Statuses({}, 503, 503, 503),
    "rate": Statuses({"limit-req-status-code": "429"}, 429, 503, 429),
    "connections": Statuses({"limit-conn-status-code": "429"}, 503, 429, 503),
}


class Paced(Backend):
    """Answers `/steady` piece by piece, `/pauses` with a longer pause inside, `/silent` when it may; `/held` too.

    Attributes:
        may: lets what is held go.
    """

    def __init__(self) -> None:
        self.may = threading.Event()
        super().__init__(lambda _request: None)

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while (request := read_request(stream, connection)) is not None:
            self.remember(request)
            if request.target not in {"/steady", "/pauses"}:
                assert request.target not in {"/held", "/silent"} or self.may.wait(60)
                connection.sendall(response(b"here"))
                continue
            connection.sendall(response(b"x" * PIECES)[:-PIECES])
            for number in range(PIECES):
                connection.sendall(b"x")
                is_long = request.target == "/pauses" and number == 0
                _pause(connection, READ_TIMEOUT + PAUSE if is_long else PAUSE)


def _pause(connection: socket.socket, seconds: float) -> None:
    """So long, or until the gateway closes: it sends nothing meanwhile."""
    connection.settimeout(seconds)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        pass
    finally:
        connection.settimeout(60)


def ingresses() -> list[Manifest]:
    """A host for each limit."""
    return [
        ingress("second.test", ("/", "app"), limit_rps="1", limit_burst_multiplier="1"),
        ingress("minute.test", ("/", "app"), limit_rpm="1", limit_burst_multiplier="1"),
        ingress("at-once.test", ("/", "app"), limit_connections="1"),
        ingress("both.test", ("/", "app"), limit_connections="1", limit_rpm="60"),
        ingress("time.test", ("/", "app"), proxy_read_timeout=str(READ_TIMEOUT)),
    ]


@pytest.fixture(scope="module")
def app() -> Iterator[Paced]:
    found = Paced()
    yield found
    found.close()


@pytest.fixture(scope="module", params=["converted", "served"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=list(STATUSES))
def running(request: pytest.FixtureRequest, form: str, start: Start, app: Paced) -> tuple[Gateway, Statuses]:
    wanted = STATUSES[request.param]
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("controller"), "data": wanted.settings}
    services = service("app", app.address)
    options: tuple[str, ...] = ("--port-offset", str(OFFSET))
    if form == "served":
        options += ("--ingress", "--ingress-config-map", "default/controller")
        return start(*ingresses(), settings, *services, arguments=options), wanted
    found = converted(*ingresses(), settings, *services, config_map=Name("default", "controller"))
    return start(*manifests(found), *services, arguments=options), wanted


def statuses(gateway: Gateway, host: str, count: int) -> list[int]:
    connection = Http1(gateway.address, HTTP)
    try:
        return [connection.request("GET", host, "/").status for _ in range(count)]
    finally:
        connection.close()


def test_by_rate(running: tuple[Gateway, Statuses]) -> None:
    """One request, one more as a burst; with the second's limit a slow machine may be let in once more."""
    gateway, wanted = running
    assert statuses(gateway, "minute.test", 4) == [200, 200, wanted.rate, wanted.rate]
    found = statuses(gateway, "second.test", 50)
    assert found[:2] == [200, 200]
    assert set(found) == {200, wanted.rate}


@pytest.mark.parametrize("host", ["at-once.test", "both.test"])
def test_by_requests_at_once(running: tuple[Gateway, Statuses], app: Paced, host: str) -> None:
    """While one is under way another one is refused; then there is room."""
    gateway, wanted = running
    app.may.clear()
    before = len(app.requests)
    first = Http1(gateway.address, HTTP)
    first.send(f"GET /held HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    app.wait(before + 1)
    assert statuses(gateway, host, 1) == [wanted.connections if host == "at-once.test" else wanted.both]
    app.may.set()
    assert first.read().status == 200
    first.close()
    # A place is given back behind the last octet of a response, so whoever has read that may be earlier.
    until(lambda: statuses(gateway, host, 1) == [200], "a place is given back")


@pytest.fixture(scope="module")
def timed(start: Start, form: str, app: Paced) -> Gateway:
    """One with the times alone."""
    objects, services = ingresses()[-1:], service("app", app.address)
    options: tuple[str, ...] = ("--port-offset", str(OFFSET))
    if form == "served":
        return start(*objects, *services, arguments=(*options, "--ingress"))
    return start(*manifests(converted(*objects, *services)), *services, arguments=options)


def test_a_long_answer_is_whole(timed: Gateway, client: Any) -> None:
    """It takes longer than the timeout, and is never silent for so long."""
    assert PAUSE * PIECES > READ_TIMEOUT
    assert asked(timed, client, "/steady") == (200, b"x" * PIECES)


def test_a_pause_of_an_answer_that_has_begun_is_the_engine_s_business(timed: Gateway, client: Any) -> None:
    """nginx ends it; the report says so. What ends it here is in `test_stalls.py`."""
    assert asked(timed, client, "/pauses") == (200, b"x" * PIECES)


def test_an_answer_that_does_not_begin_is_504(timed: Gateway, app: Paced, client: Any) -> None:
    app.may.clear()
    assert asked(timed, client, "/silent")[0] == 504
    app.may.set()


def asked(gateway: Gateway, client: Any, target: str) -> tuple[int, bytes]:
    connection = client(gateway.address, HTTP)
    found = connection.request("GET", "time.test", target)
    connection.close()
    return found.status, found.body
