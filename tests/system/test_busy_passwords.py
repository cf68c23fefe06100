"""More passwords at once than are verified: who guesses is told to come again, and nobody else waits for it."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_manifests import gateway, grpc_route, grpc_rule, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "busy.test"
Client = type[Http1] | type[Http2]
Fields = tuple[tuple[str, str], ...]
#: Passwords of one client that may wait (`MAX_OF_A_CLIENT`).
PLACES = 8
GUESSES = 24
#: bcrypt of the highest cost that is taken, some 0.2 s of work: the first is done when the last has long come.
SLOW = "ann:$2a$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
#: OpenBSD's test vector: `U*U`.
QUICK = "bob:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
ATTACKER, NEIGHBOUR = "127.8.0.1", "127.8.0.2"


def password(user: str, text: str) -> Fields:
    return (("authorization", f"Basic {base64.b64encode(f'{user}:{text}'.encode()).decode()}"),)


class World:
    def __init__(self, start: Callable[..., Gateway], backend: Any, folder: Path) -> None:
        self.app: Backend = backend("app")
        self.log = folder / "access.log"
        slow, quick = ({"secretRef": {"name": name}} for name in ("slow", "quick"))
        self.gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in ("slow", "quick", "exempt", "open")),
            grpc_route(grpc_rule("app"), name="calls", hostnames=["calls.test"]),
            policy("AccessPolicy", "slow", target("HTTPRoute", "slow"), basic=slow),
            policy("AccessPolicy", "quick", target("HTTPRoute", "quick"), basic=quick),
            policy("AccessPolicy", "exempt", target("HTTPRoute", "exempt"), basic=slow, exempt={"clients": [ATTACKER]}),
            policy("AccessPolicy", "calls", target("GRPCRoute", "calls"), basic=slow),
            opaque("slow", auth=SLOW),
            opaque("quick", auth=QUICK),
            *service("app", self.app.address),
            arguments=("--access-log", str(self.log)),
        )

    def counted(self, series: str) -> int:
        found = re.search(rf"^{re.escape(series)} (\d+)$", self.gateway.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0

    def ask(self, client: Client, path: str, fields: Fields, source: str) -> Response:
        with closing(client(self.gateway.address, PORT, source=source)) as connection:
            return connection.request("GET", HOST, path, fields)

    def guess(self, client: Client, path: str, user: str = "ann") -> Callable[[], list[Response]]:
        """Send guesses, all before the first is answered; the answers are read when they are asked for."""
        guesses = [password(user, f"{path}{client.__name__}{number}") for number in range(GUESSES)]
        if client is Http2:
            connection = Http2(self.gateway.address, PORT, source=ATTACKER)
            streams = [connection.open("GET", HOST, path, fields) for fields in guesses]

            def read() -> list[Response]:
                with closing(connection):
                    return [connection.read(stream) for stream in streams]

            return read
        connections = [Http1(self.gateway.address, PORT, source=ATTACKER) for _ in guesses]
        for each, fields in zip(connections, guesses, strict=True):
            each.send(f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {fields[0][1]}\r\n\r\n".encode())

        def read_all() -> list[Response]:
            found = [each.read() for each in connections]
            for each in connections:
                each.close()
            return found

        return read_all


@pytest.fixture(scope="module")
def world(start: Callable[..., Gateway], backend: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, tmp_path_factory.mktemp("busy"))


def test_who_guesses_has_a_few_places(world: World, client: Client) -> None:
    """Beyond them 503, which is counted and logged; others have theirs, whoever guesses."""
    errors = 'sluicegate_errors_total{code="auth_busy"}'
    series = 'sluicegate_policy_verdicts_total{policy="AccessPolicy/default/slow",part="basic",verdict="%s"}'
    before = [world.counted(name) for name in (errors, series % "unavailable", series % "deny")]
    path, reached = f"/slow/{client.__name__}", len(world.app.requests)
    read = world.guess(client, path)
    # Somebody else's password has a place in the queue, and what needs none does not notice.
    assert world.ask(client, "/quick", password("bob", "U*U"), NEIGHBOUR).status == 200
    assert world.ask(client, "/open", (), ATTACKER).status == 200
    found = read()
    statuses = Counter(each.status for each in found)
    assert set(statuses) == {401, 503}, statuses
    # One place may not be free yet since the guess before, and some are again before the last guess has come.
    assert PLACES - 1 <= statuses[401] <= GUESSES - PLACES, statuses
    busy = [each for each in found if each.status == 503]
    assert {each.body.partition(b":")[0] for each in busy} == {b"auth_busy"}
    assert {each.header("www-authenticate") for each in busy} == {None}
    assert [world.counted(name) for name in (errors, series % "unavailable", series % "deny")] == [
        before[0] + len(busy),
        before[1] + len(busy),
        before[2] + statuses[401],
    ]
    until(lambda: world.log.read_text().count(f'"{path}"') == GUESSES, "they are logged")
    lines = [json.loads(line) for line in world.log.read_text().splitlines() if f'"{path}"' in line]
    details = Counter(line["error_detail"] for line in lines if line["error"] == "auth_busy")
    assert details == {"basic of AccessPolicy/default/slow": len(busy)}
    assert {each.target for each in world.app.requests[reached:]} == {"/quick", "/open"}
    # It is over with the guesses.
    assert world.ask(client, "/quick", password("bob", "U*U"), ATTACKER).status == 200
    assert world.ask(client, path, password("ann", "another"), ATTACKER).status == 401


def test_who_is_no_user_is_as_much_work(world: World, client: Client) -> None:
    """So nobody learns by the time who is one (GHSA-g3hg-j4jv-cwfr): such guesses fill the queue alike."""
    reached = len(world.app.requests)
    statuses = Counter(each.status for each in world.guess(client, f"/slow/nobody/{client.__name__}", "nobody")())
    assert set(statuses) == {401, 503}, statuses
    assert PLACES - 1 <= statuses[401] <= GUESSES - PLACES, statuses
    assert len(world.app.requests) == reached


def test_whom_no_password_is_asked_of(world: World, client: Client) -> None:
    """Who is exempt goes on with a wrong one, and with one that nobody has time to look at."""
    read = world.guess(client, f"/exempt/{client.__name__}")
    assert Counter(each.status for each in read()) == {200: GUESSES}


def test_calls_are_told_to_come_again(world: World) -> None:
    """As of a service that is away (UNAVAILABLE), so that libraries try again."""
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    with closing(Http2(world.gateway.address, PORT, source=ATTACKER)) as connection:
        streams = [
            connection.open("POST", "calls.test", "/pkg.Service/Method", (*fields, *password("ann", f"call {number}")))
            for number in range(GUESSES)
        ]
        statuses = Counter(connection.read(stream).header("grpc-status") for stream in streams)
    assert set(statuses) == {"14", "16"}, statuses
