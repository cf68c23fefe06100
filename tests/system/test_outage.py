"""What policies stand on goes away and comes back under load: only the documented answers, nobody without his policy.

`TEST_OUTAGE=60 TEST_OUTAGE_RATE=2000` has it last longer, and `TEST_OUTAGE_RESULTS` names a file for its figures (`make
outage`).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_backends import Answer, Backend, Received, echo, response
from system_gateway import Gateway, resident, until
from system_load import CLIENTS, Asking, Load1, Load2
from system_manifests import gateway, policy, route, rule, service, target
from system_tokens import ISSUER, Issuer, bearer, key_set

PORT, HOST = 8080, "outage.test"
SECONDS = float(os.environ.get("TEST_OUTAGE", "8"))
RATE = float(os.environ.get("TEST_OUTAGE_RATE", "200"))
RESULTS = os.environ.get("TEST_OUTAGE_RESULTS")
#: MiB that the gateway may grow by: pools and tables that were not in use before.
GROWTH = 10.0
#: What each kind of request may be answered, whatever is away. 502: an endpoint went while it answered.
ANSWERS = {"good": {200, 502, 503}, "refused": {403, 503}, "forged": {401}, "nobody": {401}}
PROTOCOLS = {"HTTP/1.1": Load1, "HTTP/2": Load2}


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
        self.kinds = {kind: [("X-Kind", kind), *found] for kind, found in fields.items()}

    def asking(self, protocol: str) -> Asking:
        address = self.gateway.address
        return Asking(lambda: PROTOCOLS[protocol](address, PORT, HOST, self.kinds), list(self.kinds), RATE)

    def parts(self) -> list[Part]:
        """Those that go, one after the other: half of the endpoints."""
        return [self.login, self.authoriser, self.apps[0]]

    def close(self) -> None:
        for part in (*self.parts(), self.apps[1]):
            part.leave()


def wait_for(seconds: float, asking: Asking) -> None:
    """Let so many seconds' worth of requests be answered."""
    count = asking.total() + seconds * RATE
    until(lambda: asking.total() >= count, "requests are answered")


@pytest.fixture
def world(start: Any) -> Any:
    found = World(start)
    yield found
    found.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_services_go_and_come_back(world: World, protocol: str) -> None:
    phase, begun = SECONDS / 8, time.monotonic()
    with world.asking(protocol) as asking:
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
    seconds, grown = time.monotonic() - begun, resident(world.gateway.process.pid) - before
    assert not asking.broken, asking.broken
    wrong = {each: count for each, count in asking.counted.items() if each[1] not in ANSWERS[each[0]]}
    assert not wrong, asking.counted
    # The keys that were fetched verify on; an endpoint that is away costs those alone that it was answering.
    assert asking.counted["good", 502] <= 2 * CLIENTS, asking.counted
    assert asking.counted["good", 503] > 0, "the authoriser was away"
    # Nobody came by without his policy.
    assert {request.header("x-kind") for app in world.apps for request in app.seen} == {"good"}
    assert {request.header("x-group") for request in world.authoriser.seen} <= {"staff", "other"}
    assert grown < GROWTH
    if RESULTS:
        keep(Path(RESULTS), protocol, asking, seconds, grown)


def keep(path: Path, protocol: str, asking: Asking, seconds: float, grown: float) -> None:
    """Write the figures of one protocol, and leave those of the other."""
    answers: dict[str, dict[str, int]] = {kind: {} for kind in ANSWERS}
    for (kind, status), count in sorted(asking.counted.items()):
        answers[kind][str(status)] = count
    figures = json.loads(path.read_text()) if path.exists() else {}
    figures[protocol] = {
        "requests": asking.total(),
        "seconds": round(seconds, 1),
        "requests_per_second": round(asking.total() / seconds),
        "answers": answers,
        "broken_off": asking.broken.total(),
        "grown_mib": round(grown, 1),
        "load": round(os.getloadavg()[0], 1),
    }
    path.write_text(json.dumps(figures, indent=2) + "\n")
