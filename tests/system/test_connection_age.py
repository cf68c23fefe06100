"""How long a client may keep its connection: it is told to go in order, with an answer, and nothing is broken off."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
from system_backends import Received, echo
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import gateway, listener, policy, route, rule, service, target

PORT, LIMITED = 8080, 8081
HOST = "age.test"


@pytest.fixture
def world(start: Any, backend: Any, tmp_path: Path) -> Any:
    def begin(setting: str, answer: Any = "app") -> Gateway:
        settings = tmp_path / "sluicegate.toml"
        settings.write_text(f"[engine]\n{setting}\n")
        objects = gateway(), route(rule("/", "app")), *service("app", backend(answer).address)
        found: Gateway = start(*objects, arguments=("--config", str(settings)))
        return found

    return begin


def to_the_end(connection: Http2) -> None:
    """Read until the gateway closes."""
    with contextlib.suppress(ConnectionError):
        while True:
            connection.pump()


def test_a_number_of_requests_over_http1(world: Any) -> None:
    """The last answer says so; a request behind it gets none."""
    found = world("max_connection_requests = 3")
    connection = Http1(found.address, PORT)
    said = [connection.request("GET", HOST, "/").header("connection") for _ in range(3)]
    assert said == [None, None, "close"]
    assert connection.at_end()
    connection.close()
    pipelined = Http1(found.address, PORT)
    pipelined.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 5)
    assert [pipelined.read().header("connection") for _ in range(3)] == [None, None, "close"]
    assert pipelined.at_end()
    pipelined.close()


def test_a_number_of_requests_over_http2(world: Any) -> None:
    """Every stream is answered, and no further one is asked for."""
    found = world("max_connection_requests = 3")
    connection = Http2(found.address, PORT)
    streams = [connection.open("GET", HOST, "/") for _ in range(3)]
    assert [connection.read(stream).status for stream in streams] == [200] * 3
    to_the_end(connection)
    assert connection.goaways > 0
    connection.close()


def test_an_age_over_http1(world: Any) -> None:
    found = world("max_connection_age_ms = 1500")
    connection = Http1(found.address, PORT)
    assert connection.request("GET", HOST, "/").header("connection") is None
    until(lambda: connection.request("GET", HOST, "/").header("connection") == "close", "an answer that says close")
    assert connection.at_end()
    connection.close()


def test_an_age_over_http2(world: Any) -> None:
    """A client without streams is told too; a stream that is open goes on to its end."""
    arrived, release = threading.Event(), threading.Event()

    def answer(request: Received) -> bytes | None:
        arrived.set()
        release.wait(LIMIT)
        return echo("app")(request)

    found = world("max_connection_age_ms = 1500", answer)
    idle, busy = Http2(found.address, PORT), Http2(found.address, PORT)
    stream = busy.open("GET", HOST, "/")
    assert arrived.wait(LIMIT)
    for connection in (idle, busy):
        while not connection.goaways:
            connection.pump()
    release.set()
    assert busy.read(stream).status == 200
    for connection in (idle, busy):
        to_the_end(connection)
        connection.close()


def test_no_limit(world: Any) -> None:
    found = world("max_connection_age_ms = 0")
    connection = Http1(found.address, PORT)
    assert all(connection.request("GET", HOST, "/").header("connection") is None for _ in range(50))
    connection.close()


def test_an_age_of_a_policy(start: Any, backend: Any, client: Any) -> None:
    """ClientPolicy `connections.maxDuration`: of its listener alone; a request under way ends in order."""
    arrived, release = threading.Event(), threading.Event()

    def answer(request: Received) -> bytes | None:
        if request.target == "/held":
            arrived.set()
            release.wait(LIMIT)
        return echo("app")(request)

    young = policy(
        "ClientPolicy", "young", target("Gateway", "gateway", "limited"), connections={"maxDuration": "1500ms"}
    )
    found: Gateway = start(
        gateway(listener(), listener("limited", LIMITED)),
        route(rule("/", "app")),
        *service("app", backend(answer).address),
        young,
    )
    other = client(found.address, PORT)
    with contextlib.closing(client(found.address, LIMITED)) as connection:
        if client is Http1:
            assert connection.request("GET", HOST, "/").header("connection") is None
            until(lambda: connection.request("GET", HOST, "/").header("connection") == "close", "it is told to go")
            assert connection.at_end()
        else:
            held = connection.open("GET", HOST, "/held")
            assert arrived.wait(LIMIT)
            while not connection.goaways:
                connection.pump()
            release.set()
            assert connection.read(held).status == 200
            to_the_end(connection)
    with contextlib.closing(other):
        assert other.request("GET", HOST, "/").status == 200
        assert getattr(other, "goaways", 0) == 0
        assert other.request("GET", HOST, "/").header("connection") is None
