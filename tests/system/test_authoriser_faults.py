"""A service that policies ask, as it is away, stalls, or answers nonsense: what clients get, and what is counted."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_ext_authz import AuthorizationServer, CheckResponse
from system_gateway import Gateway, until
from system_manifests import Manifest, gateway, listener, metadata, policy, route, rule, service, target

PORT, ASKING = 8080, 8081
HOST = "asked.test"
Client = type[Http1] | type[Http2]
#: Longer than any time that these policies give the service.
LONG = 60.0
_numbers = itertools.count()


def external(name: str, protocol: str = "HTTP", **rest: Any) -> Manifest:
    given = {"http": {"allowedHeaders": ["x-want"]}} if protocol == "HTTP" else {}
    return {"protocol": protocol, "backendRef": {"name": name, "port": 80}, "timeout": "300ms", **given, **rest}


class World:
    """Routes whose service does what the client wants, over HTTP and gRPC; some of them go on in trouble."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.released = threading.Event()
        self.app: Backend = backend("app")
        self.auth: Backend = backend(self.authorise)
        self.grpc = AuthorizationServer(self.check)
        parts = {
            "http": external("auth"),
            "http-open": external("auth", onUnavailable="Allow"),
            "grpc": external("grpc", "GRPC"),
            "grpc-open": external("grpc", "GRPC", onUnavailable="Allow"),
        }
        self.gateway: Gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in (*parts, "open")),
            *(policy("AccessPolicy", name, target("HTTPRoute", name), external=part) for name, part in parts.items()),
            *service("app", self.app.address),
            *service("auth", self.auth.address),
            *service("grpc", self.grpc.address, protocol="kubernetes.io/h2c"),
        )

    def authorise(self, request: Received) -> bytes | None:
        wanted = request.header("x-want")
        if wanted == "stall":
            self.released.wait(LONG)
            return None
        if wanted == "half":
            return b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf"
        if wanted == "drip":
            return b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 9
        if wanted == "nonsense":
            return b"\x00\x01 this is no answer\r\n\r\n"
        if wanted == "megabytes":
            return response(b"x" * 4_000_000, "200 OK")
        return None if wanted == "close" else response(b"", "403 Forbidden" if wanted == "deny" else "200 OK")

    def check(self, request: Any) -> Any:
        wanted = request.headers.get("x-want")
        if wanted == "stall":
            self.released.wait(LONG)
        if wanted == "close":
            raise RuntimeError("a test")
        if wanted == "nonsense":
            return b"\x08\x07"
        if wanted == "megabytes":
            return CheckResponse(status={"code": 7}, denied_response={"status": {"code": 403}, "body": "x" * 1_000_000})
        if wanted == "deny":
            return CheckResponse(status={"code": 7}, denied_response={"status": {"code": 403}})
        return CheckResponse(status={}, ok_response={})

    def ask(self, client: Client, name: str, wanted: str = "") -> tuple[Response, list[Received]]:
        """The response, and what of the request reached the backend."""
        path = f"/{name}/{next(_numbers)}"
        with closing(client(self.gateway.address, PORT)) as connection:
            found = connection.request("GET", HOST, path, (("x-want", wanted),))
        return found, [each for each in self.app.requests if each.target == path]

    def counted(self, name: str, verdict: str) -> int:
        labels = f'policy="AccessPolicy/default/{name}",part="external",verdict="{verdict}"'
        pattern = rf"^sluicegate_policy_verdicts_total{{{re.escape(labels)}}} (\d+)$"
        found = re.search(pattern, self.gateway.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    found = World(start, backend)
    yield found
    found.released.set()
    found.grpc.close()


#: What is no trouble: over HTTP a head says it all, and 200 is yes; over gRPC a refusal of any length is one.
SAID = {("http", "megabytes"): 200, ("grpc", "megabytes"): 403, ("grpc", "half"): 200, ("grpc", "drip"): 200}


@pytest.mark.parametrize("wanted", ["stall", "close", "nonsense", "half", "drip", "megabytes"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_trouble_of_the_service(world: World, client: Client, protocol: str, wanted: str) -> None:
    """Neither yes nor no: 503, and on with the request only where the policy says so; other routes do not notice."""
    said = SAID.get((protocol, wanted))
    for name, status in ((protocol, said or 503), (f"{protocol}-open", said or 200)):
        before = world.counted(name, "unavailable")
        found, reached = world.ask(client, name, wanted)
        assert (found.status, len(reached)) == (status, int(status == 200)), name
        if status == 503:
            assert found.body.startswith(b"auth_unavailable: ")
        assert world.counted(name, "unavailable") == before + int(said is None), name
    assert world.ask(client, "open")[0].status == 200


@pytest.mark.parametrize("name", ["http", "http-open", "grpc", "grpc-open"])
def test_a_refusal_is_one_whatever_trouble_is_forgiven(world: World, client: Client, name: str) -> None:
    before = [world.counted(name, verdict) for verdict in ("pass", "deny")]
    found, reached = world.ask(client, name, "deny")
    assert (found.status, reached) == (403, [])
    assert world.ask(client, name)[0].status == 200
    assert [world.counted(name, verdict) for verdict in ("pass", "deny")] == [before[0] + 1, before[1] + 1]


def test_who_stalls_holds_nobody_else_up(world: World, client: Client) -> None:
    """Fifty requests wait; one of another route is answered before the first of them."""
    with closing(Http2(world.gateway.address, PORT)) as waiting:
        streams = [waiting.open("GET", HOST, "/http/stalled", (("x-want", "stall"),)) for _ in range(50)]
        assert world.ask(client, "open")[0].status == 200
        assert world.ask(client, "http")[0].status == 200
        assert {waiting.read(stream).status for stream in streams} == {503}


def test_a_service_that_comes_and_goes(start: Any, backend: Any, client: Client) -> None:
    """Away at the start, there, away again, and back: nobody is let in meanwhile, and nobody has to do anything."""
    app: Backend = backend("app")
    place = socket.create_server(("127.0.0.1", 0))
    address = place.getsockname()
    place.close()
    world: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        policy("AccessPolicy", "own", target("HTTPRoute", "own"), external=external("auth")),
        *service("app", app.address),
        *service("auth", address),
    )

    def status() -> int:
        with closing(client(world.address, PORT)) as connection:
            return int(connection.request("GET", HOST, "/").status)

    for _ in range(2):
        assert status() == 503
        reached = len(app.requests)
        auth = Backend(lambda _: response(b""), listener=socket.create_server(address))
        until(lambda: status() == 200, "it is asked again")
        assert len(app.requests) > reached
        auth.close()
    assert status() == 503


def test_bodies_that_a_policy_has_looked_at(start: Any, backend: Any, client: Client) -> None:
    """`forwardBody` of a policy: the service and the backend get the same; a longer one is refused before both."""
    app, auth = backend("app"), backend(lambda _: response(b""))
    world: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        policy(
            "AccessPolicy", "own", target("HTTPRoute", "own"), external=external("auth", forwardBody={"maxSize": 1000})
        ),
        *service("app", app.address),
        *service("auth", auth.address),
    )
    with closing(client(world.address, PORT)) as connection:
        assert connection.request("POST", HOST, "/", (), b"x" * 1000).status == 200
    assert (auth.requests[-1].body, app.requests[-1].body) == (b"x" * 1000, b"x" * 1000)
    with closing(client(world.address, PORT)) as connection:
        assert connection.request("POST", HOST, "/", (), b"x" * 1001).status == 413
    assert (len(auth.requests), len(app.requests)) == (1, 1)


def test_a_service_of_somebody_else_is_not_asked(start: Any, backend: Any, client: Client) -> None:
    """Of another namespace with a grant, and not without (GHSA-fcrp-7gc2-93g7)."""
    app, theirs = backend("app"), backend(lambda _: response(b""))
    others = service("theirs", theirs.address)
    for item in others:
        item["metadata"]["namespace"] = "other"
    asked = external("theirs", backendRef={"name": "theirs", "namespace": "other", "port": 80})
    objects = [
        gateway(),
        route(rule("/", "app"), name="own"),
        policy("AccessPolicy", "own", target("HTTPRoute", "own"), external=asked),
        *service("app", app.address),
        *others,
    ]
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": metadata("grant", "other"),
        "spec": {
            "from": [{"group": "sluicegate.dev", "kind": "AccessPolicy", "namespace": "default"}],
            "to": [{"group": "", "kind": "Service", "name": "theirs"}],
        },
    }
    world: Gateway = start(*objects)

    def status() -> int:
        with closing(client(world.address, PORT)) as connection:
            return int(connection.request("GET", HOST, "/").status)

    assert (status(), theirs.requests, app.requests) == (500, [], [])
    world.write(*objects, grant)
    assert status() == 200
    assert len(theirs.requests) == 1
    world.write(*objects)
    assert status() == 500
    assert len(theirs.requests) == 1


def test_a_listener_s_service_is_asked_before_that_of_a_rule(start: Any, backend: Any, client: Client) -> None:
    """GEP-5224: both have to agree, and a request that the first one refuses is no question to the second."""
    app = backend("app")

    def group(name: str) -> Any:
        return lambda request: response(b"", "200 OK" if name in (request.header("x-group") or "") else "403 Forbidden")

    first, second = backend(group("first")), backend(group("second"))

    def asks(name: str) -> Manifest:
        auth = {"protocol": "HTTP", "backendRef": {"name": name, "port": 80}, "http": {"allowedHeaders": ["x-group"]}}
        return {"type": "ExternalAuth", "externalAuth": auth}

    world: Gateway = start(
        gateway(listener(), listener("asking", ASKING, filters={"requests": [asks("first")]})),
        route(rule("/both", "app", filters=[asks("second")]), rule("/", "app")),
        *service("app", app.address),
        *service("first", first.address),
        *service("second", second.address),
    )
    for port, path, groups, status, asked in (
        (PORT, "/", "", 200, (0, 0)),
        (PORT, "/both", "second", 200, (0, 1)),
        (ASKING, "/", "", 403, (1, 0)),
        (ASKING, "/", "first", 200, (1, 0)),
        (ASKING, "/both", "second", 403, (1, 0)),
        (ASKING, "/both", "first", 403, (1, 1)),
        (ASKING, "/both", "first second", 200, (1, 1)),
    ):
        before = (len(first.requests), len(second.requests), len(app.requests))
        with closing(client(world.address, port)) as connection:
            found = connection.request("GET", HOST, path, (("x-group", groups),))
        assert found.status == status, (port, path, groups)
        after = (len(first.requests), len(second.requests), len(app.requests))
        assert tuple(now - then for now, then in zip(after, before, strict=True)) == (*asked, int(status == 200))
