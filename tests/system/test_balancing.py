"""BackendPolicy over HTTP/1.1 and HTTP/2: ways of choosing an endpoint, slow starts, idle connections, questions."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from system_backends import LIMIT, Backend, Received, echo, response
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import backend_policy, gateway, route, rule, service

PORT = 8080
HOST = "balanced.test"
Client = type[Http1] | type[Http2]
Start = Callable[..., Gateway]


def world(start: Start, *backends: Backend, **spec: Any) -> Gateway:
    """One worker, so that what is counted is counted once."""
    objects = [gateway(), route(rule("/", "app")), *service("app", *(each.address for each in backends))]
    return start(*objects, backend_policy("policy", "app", **spec), arguments=("--workers", "1"))


def served(connection: Any, count: int, path: str = "/", *fields: tuple[str, str], host: str = HOST) -> Counter[str]:
    """How many of some requests each backend has answered."""
    found = [connection.request("GET", host, path, fields) for _ in range(count)]
    assert {each.status for each in found} == {200}
    return Counter(str(each.echo["backend"]) for each in found)


def test_any_of_them(start: Start, backend: Any, client: Client) -> None:
    """Drawn, and not in turn: of 200 draws one follows another one about as often as itself."""
    running = world(start, *(backend(name) for name in "ab"), loadBalancing={"type": "Random"})
    with closing(client(running.address, PORT)) as connection:
        found = [next(iter(served(connection, 1))) for _ in range(200)]
    assert 60 < found.count("a") < 140, found
    assert 60 < sum(one == two for one, two in itertools.pairwise(found)) < 140, found


class Held(Backend):
    """Answers `/held` only when it is let go."""

    def __init__(self, name: str) -> None:
        self.go = threading.Event()
        self.name, self._echo = name, echo(name)
        super().__init__(self._answer)

    def _answer(self, request: Received) -> bytes | None:
        if request.target == "/held":
            assert self.go.wait(LIMIT)
        return self._echo(request)


@pytest.fixture
def held() -> Iterator[list[Held]]:
    backends = [Held(name) for name in "ab"]
    yield backends
    for each in backends:
        each.go.set()
        each.close()


def test_who_has_least_to_do(start: Start, held: list[Held], client: Client) -> None:
    running = world(start, *held, loadBalancing={"type": "LeastRequest"})
    with closing(Http2(running.address, PORT)) as waiting, closing(client(running.address, PORT)) as connection:
        stream = waiting.open("GET", HOST, "/held")
        until(lambda: any(each.requests for each in held), "one has something to do")
        [busy] = [each for each in held if each.requests]
        [other] = [each for each in held if each is not busy]
        assert served(connection, 20) == {other.name: 20}
        busy.go.set()
        assert waiting.read(stream).status == 200
        assert set(served(connection, 4)) == {"a", "b"}


def test_who_answers_soonest(start: Start, backend: Any, client: Client) -> None:
    """By a peak-sensitive average: the slow one is tried, and then left alone."""
    never = threading.Event()

    def slow(request: Received) -> bytes | None:
        never.wait(0.1)
        return echo("slow")(request)

    running = world(start, backend(slow), backend("quick"), loadBalancing={"type": "PeakEwma"})
    with closing(client(running.address, PORT)) as connection:
        counted = served(connection, 60)
    assert 1 <= counted["slow"] <= 6, counted


def test_one_that_is_new_starts_slowly(start: Start, backend: Any, client: Client) -> None:
    """A tenth of its share at first, and all of it in the end."""
    slow, turns = 3.0, {"loadBalancing": {"type": "RoundRobin", "slowStart": "3s"}}
    old, new = backend("old"), backend("new")
    running = world(start, old, **turns)
    with closing(client(running.address, PORT)) as connection:
        assert served(connection, 1) == {"old": 1}
        begun = time.monotonic()
        until(lambda: served(connection, 1) and time.monotonic() > begun + slow, "the first one has started")
        objects = [gateway(), route(rule("/", "app")), *service("app", old.address, new.address)]
        running.write(*objects, backend_policy("policy", "app", **turns))
        first = served(connection, 60)["new"]
        assert first <= 20, first
        until(lambda: served(connection, 40)["new"] == 20, "it has its share")
    assert new.requests


@pytest.mark.parametrize("key", ["host", "header:x-user", "query:u"])
def test_requests_without_a_key_go_to_anybody(start: Start, backend: Any, client: Client, key: str) -> None:
    """And those of one key to one, of whatever its parts are made."""
    hashed = {"type": "Hash", "hash": {"key": [key, "cookie:sid"]}}
    running = world(start, *(backend(name) for name in "abcd"), loadBalancing=hashed)
    with closing(client(running.address, PORT)) as connection:
        places = set()
        for number in range(20):
            name = f"{number}.test"
            fields = (("x-user", name), ("cookie", "sid=1"))
            [(found, count)] = served(connection, 3, f"/?u={name}", *fields, host=name).items()
            assert count == 3
            places.add(found)
        assert len(places) > 1
        if key != "host":
            assert len(served(connection, 24)) == 4


class Ended(Backend):
    """Counts the connections that have ended."""

    ended = 0

    def serve(self, connection: socket.socket) -> None:
        super().serve(connection)
        self.ended += 1


def test_an_idle_connection_is_not_kept(start: Start, client: Client) -> None:
    app = Ended(echo("app"))
    running = world(start, app, timeouts={"idle": "300ms"})
    with closing(client(running.address, PORT)) as connection:
        for number in (1, 2):
            assert served(connection, 3) == {"app": 3}
            assert app.connections == number
            until(lambda number=number: app.ended == number, "it is closed")  # type: ignore[misc]
    app.close()


def test_where_and_how_an_endpoint_is_asked(start: Start, backend: Any, client: Client) -> None:
    """Another port, and one status alone is good."""
    status = ["200 OK"]
    health = backend(lambda _: response(b"", status[0]))
    question = {"type": "HTTP", "port": health.address[1], "http": {"path": "/ready", "expectedStatuses": [204]}}
    active = {**question, "interval": "100ms", "unhealthyThreshold": 1, "healthyThreshold": 1}
    running = world(start, backend("app"), health={"active": active, "panicThreshold": 0})
    with closing(client(running.address, PORT)) as connection:
        until(lambda: connection.request("GET", HOST, "/").status == 503, "200 is not what is wanted")
        assert connection.request("GET", HOST, "/").body.startswith(b"no_endpoint: ")
        status[0] = "204 No Content"
        until(lambda: connection.request("GET", HOST, "/").status == 200, "204 is")
    assert {each.target for each in health.requests} == {"/ready"}


def test_a_key_has_a_few_endpoints(start: Start, backend: Any, client: Client) -> None:
    """As `upstream-hash-by-subset` of ingress-nginx: always the same few, and of these the one with the least to do."""
    hashed = {"type": "Hash", "hash": {"key": ["header:x-user"], "subset": 2}}
    running = world(start, *(backend(name) for name in "abcdef"), loadBalancing=hashed)
    with closing(client(running.address, PORT)) as connection:
        pairs = {frozenset(served(connection, 10, "/", ("x-user", f"{number}"))) for number in range(20)}
        again = {frozenset(served(connection, 10, "/", ("x-user", f"{number}"))) for number in range(20)}
    assert pairs == again
    assert {len(pair) for pair in pairs} == {2}
    assert frozenset().union(*pairs) == set("abcdef")


def test_a_retry_stays_among_the_endpoints_of_its_key(start: Start, backend: Any, client: Client) -> None:
    """Only where all of them were tried the next one of the key's order is asked, and it is always the same."""

    def failing(name: str) -> Callable[[Received], bytes | None]:
        def answer(request: Received) -> bytes | None:
            fails = name in (request.header("x-fail") or "").split(",")
            return response(name.encode(), "503 Service Unavailable") if fails else echo(name)(request)

        return answer

    hashed = {"type": "Hash", "hash": {"key": ["header:x-user"], "subset": 2}}
    retry = {"retry": {"codes": [503], "attempts": 2, "backoff": "1ms"}}
    backends = {name: backend(failing(name)) for name in "abcdef"}
    running: Gateway = start(
        gateway(),
        route(rule("/", "app", **retry)),
        *service("app", *(each.address for each in backends.values())),
        backend_policy("policy", "app", loadBalancing=hashed),
        arguments=("--workers", "1"),
    )
    thirds = set()
    with closing(client(running.address, PORT)) as connection:
        for user in map(str, range(12)):
            own = sorted(served(connection, 8, "/", ("x-user", user)))
            assert len(own) == 2
            for ill, well in (own, reversed(own)):
                assert served(connection, 8, "/", ("x-user", user), ("x-fail", ill)) == {well: 8}
            [third] = served(connection, 8, "/", ("x-user", user), ("x-fail", ",".join(own)))
            assert third not in own
            thirds.add(third)
            tried = connection.request("GET", HOST, "/", (("x-user", user), ("x-fail", ",".join([*own, third]))))
            assert (tried.status, tried.body) == (503, third.encode())
    assert len(thirds) > 1
