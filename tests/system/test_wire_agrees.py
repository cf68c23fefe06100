"""What `explain` says is what the wire does: 20,000 random requests over both protocols against a running engine.

Seeded: every run asks the same. Each rule writes its own name into its answers, so which one took a request is known.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import h2.events
import pytest
from system_backends import response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import Manifest, gateway, listener, route, rule, service

from sluicegate import load
from sluicegate.testing.library import Request, Routes

PORT = 8080
COUNT = 10_000
BATCH = 50
HOSTS = ("a.test", "b.a.test", "c.b.a.test", "other.test", "A.test:80", "b.a.test.")
PATHS = ("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/a%2Fb", "/%61", "/a//b", "/a/./b", "/a/../b", "/c;x/b")
ODD = ("/..", "/a/..;/b", "/a%2f..", "/%zz", "/%00", "a", "/a#b")
QUERIES = ("", "", "", "?q=1", "?q=2", "?q=1&q=2", "?r=%31", "?q")
VALUES = ("1", "2", "1, 2")
MATCHED = (
    *(("x-a", "1"), ("x-a", "1, 2"), ("x-b", "2"), ("cookie", "k=1; k=2")),
    *(("te", "trailers"), ("host", "a.test"), ("expect", "100-continue")),
)


class World:
    def __init__(self, start: Any, backend: Any, folder: Path) -> None:
        self.random = random.Random(7)
        app = backend(lambda _request: response(b""))
        objects = [
            gateway(listener(hostname="*.test"), listener("any"), listener("inner", hostname="*.a.test")),
            *(self.route(number) for number in range(60)),
            *service("app", app.address),
        ]
        self.gateway: Gateway = start(*objects, folder=folder)
        self.routes: Routes = load(folder)

    def route(self, number: int) -> Manifest:
        draw = self.random
        hostnames = draw.choice(([], ["a.test"], ["*.a.test"], ["b.a.test"], ["*.test", "a.test"]))
        rules = [
            rule(
                "/",
                "app",
                matches=[self.match() for _ in range(draw.choice((1, 1, 2, 3)))],
                filters=[
                    {
                        "type": "ResponseHeaderModifier",
                        "responseHeaderModifier": {"set": [{"name": "x-rule", "value": f"route-{number}/{index}"}]},
                    }
                ],
            )
            for index in range(draw.choice((1, 1, 2)))
        ]
        sections = draw.choice(([], [], ["http"], ["any"], ["inner"]))
        parents = [{"name": "gateway", "sectionName": name} for name in sections]
        return route(*rules, name=f"route-{number}", parents=parents or None, hostnames=hostnames)

    def match(self) -> Manifest:
        draw = self.random
        found: Manifest = {}
        kind = draw.choice(("PathPrefix", "PathPrefix", "Exact", "RegularExpression"))
        paths = ("/a|/b", "/a/.*", "/[ab]+") if kind == "RegularExpression" else ("/a", "/a/b", "/b", "/ab", "/a%2Fb")
        if draw.random() < 0.9:
            found["path"] = {"type": kind, "value": draw.choice(paths)}
        if draw.random() < 0.3:
            found["method"] = draw.choice(("GET", "POST", "PUT"))
        if draw.random() < 0.4:
            name, value = draw.choice(MATCHED)
            found["headers"] = [{"name": name, "value": value}]
            if name == "x-a" and draw.random() < 0.5:
                found["headers"] = [{"name": name, "value": "[12]", "type": "RegularExpression"}]
        if draw.random() < 0.2:
            found["queryParams"] = [{"name": "q", "value": draw.choice(("1", "2", ""))}]
        return found or {"path": {"type": "PathPrefix", "value": "/a"}}

    def request(self, draw: random.Random) -> Request:
        headers: list[tuple[str, str]] = []
        if draw.random() < 0.5:
            headers += [("x-a", draw.choice(VALUES)) for _ in range(draw.choice((1, 1, 2)))]
        if draw.random() < 0.3:
            headers.append(("x-b", draw.choice(VALUES)))
        if draw.random() < 0.2:
            headers += [("cookie", "k=1"), ("cookie", "k=2")]
        if draw.random() < 0.2:
            headers.append(("te", "trailers"))
        if draw.random() < 0.1:
            headers.append(("expect", "100-continue"))
        path = draw.choice(PATHS) if draw.random() < 0.95 else draw.choice(ODD)
        return Request(
            method=draw.choice(("GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS")),
            scheme="http",
            authority=draw.choice(HOSTS),
            port=PORT,
            target=path + draw.choice(QUERIES),
            headers=tuple(headers),
        )


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, tmp_path_factory.mktemp("agrees"))


Seen = tuple[int, str | None]


def said(world: World, asked: Request) -> Seen:
    decision = world.routes.decide(asked)
    if decision.outcome == "forward":
        assert decision.route is not None
        return 200, f"{decision.route.rpartition('/')[2]}/{decision.rule}"
    return decision.status, None


def over_http1(world: World, batch: list[Request]) -> list[Seen]:
    """On one connection, one behind the other."""
    connection = Http1(world.gateway.address, PORT)
    text = ""
    for asked in batch:
        fields = "".join(f"{name}: {value}\r\n" for name, value in (("host", asked.authority), *asked.headers))
        text += f"{asked.method} {asked.target} HTTP/1.1\r\n{fields}\r\n"
    connection.send(text.encode())
    found = [(answer.status, answer.header("x-rule")) for answer in (connection.read(asked.method) for asked in batch)]
    connection.close()
    return found


def over_http2(world: World, batch: list[Request]) -> list[Seen]:
    """On one connection, all at once."""
    connection = Http2(world.gateway.address, PORT)
    streams = [connection.open(asked.method, asked.authority, asked.target, asked.headers) for asked in batch]
    ended: set[int] = set()
    seen: dict[int, Seen] = {}
    while len(ended) < len(streams):
        connection.pump()
        for event in connection.events:
            if isinstance(event, h2.events.ResponseReceived):
                fields = dict(event.headers)
                seen[event.stream_id] = int(fields[":status"]), fields.get("x-rule")
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                ended.add(event.stream_id)
        connection.events.clear()
    connection.close()
    return [seen[stream] for stream in streams]


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_the_wire_does_what_is_said(world: World, protocol: str) -> None:
    draw = random.Random(protocol)
    outcomes: Counter[int] = Counter()
    rules: set[str | None] = set()
    asked_all = [world.request(draw) for _ in range(COUNT)]
    if protocol == "http2":
        # The library of this client cuts a fragment off, and the target with it is another one.
        asked_all = [asked for asked in asked_all if "#" not in asked.target and asked.target.startswith("/")]
    expected = [said(world, asked) for asked in asked_all]
    # What is refused ends its connection, and so does an answer to who waits to be asked for a body.
    ends = [seen[0] == 400 or "expect" in dict(asked.headers) for asked, seen in zip(asked_all, expected, strict=True)]
    fine = [at for at, last in enumerate(ends) if not last]
    alone = [at for at, last in enumerate(ends) if last]
    ask = over_http1 if protocol == "http1" else over_http2
    batches = [fine[at : at + BATCH] for at in range(0, len(fine), BATCH)] + [[at] for at in alone]
    for batch in batches:
        for at, seen in zip(batch, ask(world, [asked_all[at] for at in batch]), strict=True):
            assert seen == expected[at], asked_all[at]
            outcomes[seen[0]] += 1
            rules.add(seen[1])
    # The requests reach what they are for.
    assert outcomes.total() >= COUNT * 9 // 10
    assert min(outcomes[200], outcomes[404], outcomes[400] * 10) >= COUNT // 10
    assert len(rules) >= 20
