"""Endpoints that cannot be connected to: they are left alone, but never all of them, and come back."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from system_backends import Answer, Backend, echo, response
from system_clients import Http1
from system_gateway import Gateway, until
from system_manifests import backend_policy, gateway, route, rule, service

PORT = 8080
HOST = "ejection.test"
#: Percent of four endpoints that may be ejected, and how many then are: above 0 at least one.
MOST = {100: 3, 75: 3, 74: 2, 50: 2, 25: 1, 1: 1, 0: 0}


@pytest.fixture
def refusing() -> Iterator[Callable[[], socket.socket]]:
    """Makes sockets that refuse connections for as long as nobody listens."""
    made: list[socket.socket] = []

    def bind() -> socket.socket:
        made.append(socket.socket())
        made[-1].bind(("127.0.0.1", 0))
        return made[-1]

    yield bind
    for each in made:
        each.close()


def metric(gateway: Gateway, name: str) -> int:
    lines = gateway.admin("/metrics").splitlines()
    [value] = [line.rpartition(" ")[2] for line in lines if line.startswith(f"sluicegate_{name} ")]
    return int(value)


class World:
    """A gateway with one worker and one backend."""

    def __init__(self, start: Any, *addresses: tuple[str, int]) -> None:
        objects = [gateway(), route(rule("/", "app")), *service("app", *addresses)]
        self.gateway: Gateway = start(*objects, arguments=("--workers", "1"))
        self.client = Http1(self.gateway.address, PORT)

    def metric(self, name: str) -> int:
        return metric(self.gateway, name)

    def failures(self) -> int:
        return self.metric("upstream_connect_failures_total")

    def ejections(self) -> int:
        return self.metric("upstream_ejections_total")

    def status(self, method: str = "GET") -> int:
        return self.client.request(method, HOST, "/", (), b"body" if method == "POST" else None).status

    def answering(self) -> str:
        found = self.client.request("GET", HOST, "/")
        assert found.status == 200, found
        return str(found.echo["backend"])


def test_an_endpoint_that_refuses_is_ejected_and_comes_back(start: Any, backend: Any, refusing: Any) -> None:
    late = refusing()
    world = World(start, backend("one").address, backend("two").address, late.getsockname())
    until(lambda: world.answering() and world.ejections() > 0, "it is ejected")
    until(lambda: world.metric("upstream_ejected_endpoints") == 1, "one is ejected")
    failures, ejections = world.failures(), world.ejections()
    assert {world.answering() for _ in range(500)} == {"one", "two"}
    # Where its time was over meanwhile one request has tried it, and it is out again.
    assert world.failures() - failures == world.ejections() - ejections <= 3
    returned = Backend(echo("late"), listener=late)
    until(lambda: world.answering() == "late", "it is used again")
    until(lambda: world.metric("upstream_ejected_endpoints") == 0, "none is ejected")
    assert {world.answering() for _ in range(30)} == {"one", "two", "late"}
    world.client.close()
    returned.close()


def test_the_only_endpoint_is_always_tried(start: Any, refusing: Any) -> None:
    late = refusing()
    world = World(start, late.getsockname())
    for method in ("GET", "POST"):
        assert {world.status(method) for _ in range(15)} == {503}
    assert (world.failures(), world.ejections()) == (30, 0)
    returned = Backend(echo("late"), listener=late)
    assert world.answering() == "late"
    world.client.close()
    returned.close()


def test_where_all_refuse_all_are_tried(start: Any, refusing: Any) -> None:
    sockets = [refusing() for _ in range(3)]
    world = World(start, *(each.getsockname() for each in sockets))
    assert {world.status(method) for method in ("GET", "POST") for _ in range(15)} == {503}
    # Each request has asked all three; one of them is as many as may be ejected.
    assert world.failures() == 90
    until(lambda: world.metric("upstream_ejected_endpoints") == 1, "one is ejected")
    for each in sockets:
        returned = Backend(echo("returned"), listener=each)
        assert world.answering() == "returned"
        world.client.close()
        returned.close()
        world.client = Http1(world.gateway.address, PORT)


def test_no_more_are_ejected_than_the_policy_allows(start: Any, backend: Any, client: Any) -> None:
    """Three of four endpoints answer with errors; those that may not be ejected get their requests all the same."""

    def answering(name: str) -> Answer:
        return lambda _: response(name.encode(), "200 OK" if name == "well" else "500 Ill")

    addresses = [backend(answering(name)).address for name in ("well", "one", "two", "three")]
    objects = [gateway(), route(*(rule(f"/{most}", f"most-{most}") for most in MOST))]
    for most in MOST:
        health = {"passive": {"consecutiveErrors": 2, "ejectFor": "1h", "maxEjected": most}, "panicThreshold": 0}
        name = f"most-{most}"
        objects += service(name, *addresses)
        objects += [backend_policy(name, name, health=health, loadBalancing={"type": "RoundRobin"})]
    running: Gateway = start(*objects, arguments=("--workers", "1"))
    each = client(running.address, PORT)

    def answers(most: int) -> set[bytes]:
        return {each.request("GET", HOST, f"/{most}").body for _ in range(20)}

    assert all(answers(most) == {b"well", b"one", b"two", b"three"} for most in MOST)
    left = {most: answers(most) for most in MOST}
    assert {most: 4 - len(found) for most, found in left.items()} == MOST
    assert all(b"well" in found for found in left.values())
    until(lambda: metric(running, "upstream_ejected_endpoints") == sum(MOST.values()), "all of them are counted")
    each.close()
