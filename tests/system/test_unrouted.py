"""What no rule takes: its listener asks all the same, so that 404 tells nobody more than they may know."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import gateway, listener, opaque, policy, route, rule, service, target

from sluicegate import load

ASKING, KEYED, LIMITED, OVERRIDDEN = 8080, 8081, 8082, 8083
PORTS = {"keyed": KEYED, "limited": LIMITED, "overridden": OVERRIDDEN}
HOST = "shop.test"
KEY = ("x-api-key", "key-of-ann-0123456789")
Client = type[Http1] | type[Http2]


class World:
    """Listeners whose policies ask a service, want a key, count; each leads to one path of one host."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.app: Backend = backend("app")
        self.auth: Backend = backend(self.authorise)
        auth = {
            "protocol": "HTTP",
            "backendRef": {"name": "auth", "port": 80},
            "http": {"allowedHeaders": ["x-group"], "allowedResponseHeaders": ["x-user", "set-cookie"]},
            "forwardBody": {"maxSize": 100},
        }
        asks = {"requests": [{"type": "ExternalAuth", "externalAuth": auth}]}
        keys = {"secretRefs": [{"name": "keys"}]}
        limit = {"name": "each", "key": ["client"], "requests": 3, "per": "1h"}
        self.gateway: Gateway = start(
            gateway(
                listener("asking", ASKING, filters=asks),
                *(listener(name, port) for name, port in PORTS.items()),
            ),
            route(rule("/there", "app"), hostnames=[HOST]),
            opaque("keys", ann=KEY[1]),
            policy("AccessPolicy", "keyed", target("Gateway", "gateway", "keyed"), apiKey=keys),
            policy("RateLimitPolicy", "limited", target("Gateway", "gateway", "limited"), local={"limits": [limit]}),
            policy(
                "AccessPolicy",
                "overriding",
                target("Gateway", "gateway", "overridden"),
                strategy="Overrides",
                apiKey=keys,
            ),
            *service("app", self.app.address),
            *service("auth", self.auth.address),
        )

    def authorise(self, request: Received) -> bytes | None:
        group = request.header("x-group")
        if group == "away":
            return None
        if group != "staff":
            return response(b"not you", "403 Forbidden", (("x-why", "group"),))
        return response(b"", headers=(("x-user", "ann"), ("set-cookie", "seen=1")))

    def ask(self, client: Client, port: int, path: str, *fields: tuple[str, str], **rest: Any) -> Response:
        host = rest.pop("host", HOST)
        with closing(client(self.gateway.address, port)) as connection:
            found: Response = connection.request(rest.pop("method", "GET"), host, path, fields, rest.pop("body", None))
            return found


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> World:
    return World(start, backend)


@pytest.mark.parametrize(("host", "path"), [(HOST, "/"), (HOST, "/therefore"), ("other.test", "/there")])
def test_a_service_is_asked_about_what_is_not_there(world: World, client: Client, host: str, path: str) -> None:
    """Who is refused sees the same whatever there is; 404 is for those whom the service lets in."""
    before, served = len(world.auth.requests), len(world.app.requests)
    there, refused = world.ask(client, ASKING, "/there"), world.ask(client, ASKING, path, host=host)
    assert (there.status, there.body, there.header("x-why")) == (403, b"not you", "group")
    assert (refused.status, refused.body, refused.header("x-why")) == (403, b"not you", "group")
    let_in = world.ask(client, ASKING, path, ("x-group", "staff"), host=host)
    assert (let_in.status, let_in.body.partition(b":")[0], let_in.header("set-cookie")) == (404, b"no_route", "seen=1")
    away = world.ask(client, ASKING, path, ("x-group", "away"), host=host)
    assert (away.status, away.body.partition(b":")[0]) == (503, b"auth_unavailable")
    asked = world.auth.requests[before:]
    # A connection that ends without an answer may be tried once more.
    assert [(each.target, each.header("host")) for each in asked[:3]] == [("/there", HOST), (path, host), (path, host)]
    assert len(world.app.requests) == served


def test_its_body_is_told_too(world: World, client: Client) -> None:
    found = world.ask(client, ASKING, "/upload", ("x-group", "staff"), method="POST", body=b"body")
    assert found.status == 404
    assert world.auth.requests[-1].body == b"body"
    long = world.ask(client, ASKING, "/upload", ("x-group", "staff"), method="POST", body=b"x" * 101)
    assert (long.status, long.body.partition(b":")[0]) == (413, b"body_too_large")


@pytest.mark.parametrize("port", [KEYED, OVERRIDDEN])
def test_who_shows_nothing_does_not_learn_what_there_is(world: World, client: Client, port: int) -> None:
    """The same answer for what is there and what is not, and the same line for the operator."""
    for path in ("/there", "/none"):
        found = world.ask(client, port, path)
        assert (found.status, found.body.partition(b":")[0]) == (401, b"unauthenticated")
        assert (found.header("www-authenticate") or "").startswith("ApiKey")
        assert world.ask(client, port, path, ("x-api-key", "wrong")).status == 401
    assert world.ask(client, port, "/there", KEY).status == 200
    assert world.ask(client, port, "/none", KEY).body.startswith(b"no_route")


def test_a_call_is_refused_as_its_protocol_has_it(world: World) -> None:
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    for key, status in (((), "16"), ((KEY,), "12")):
        found = world.ask(Http2, KEYED, "/pkg.Service/Method", *fields, *key, method="POST")
        assert (found.status, found.header("grpc-status")) == (200, status)


def test_who_looks_for_paths_is_counted(world: World) -> None:
    """Together with what is there: a client has one budget, over whatever protocol."""
    found = [world.ask(how, LIMITED, path).status for how in (Http1, Http2) for path in ("/none", "/there", "/other")]
    assert found == [404, 200, 404, 429, 429, 429]


@pytest.mark.parametrize("port", [ASKING, KEYED, OVERRIDDEN])
@pytest.mark.parametrize("path", ["/none", "/there"])
@pytest.mark.parametrize("fields", [(), (KEY,), (("x-api-key", "wrong"),)], ids=["nobody", "ann", "wrong"])
def test_what_is_told_of_it_is_what_happens(
    world: World, client: Client, port: int, path: str, fields: tuple[tuple[str, str], ...]
) -> None:
    """`decide`, by which `explain` goes: status, reason and fields; a service is taken to let everybody in."""
    told = load([world.gateway.folder]).decide(f"http://{HOST}:{port}{path}", dict(fields), client="127.0.0.1")
    staff = (("x-group", "staff"),) if port == ASKING else ()
    found = world.ask(client, port, path, *fields, *staff)
    answered = (told.status, told.reason) if told.outcome == "respond" else (200, "")
    assert (found.status, found.body.partition(b":")[0].decode() if found.status != 200 else "") == answered
    if told.response is not None:
        sent = {(name.lower(), value) for name, value in found.headers}
        assert {(name.lower(), value) for name, value in told.response.headers} <= sent


def test_it_is_counted_and_told(world: World) -> None:
    """A refusal of what is not there is in the metrics of its policy, and in the log."""
    name = r'sluicegate_policy_verdicts_total\{policy="AccessPolicy/default/keyed",part="apiKey",verdict="deny"\} (\d+)'

    def refused() -> int:
        return sum(int(number) for number in re.findall(name, world.gateway.admin("/metrics")))

    before = refused()
    assert world.ask(Http1, KEYED, "/none").status == 401
    assert refused() == before + 1
