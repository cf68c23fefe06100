"""ExternalAuth of a listener (GEP-5224): asked once, before a rule is looked for, so that matches see what it says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_ext_authz import AuthorizationServer, CheckResponse, headers
from system_gateway import Gateway
from system_manifests import Manifest, by, gateway, http_filter, listener, policy, route, rule, service, target

HOST = "asked.test"
PORT, CALLED, AWAY, LIMITED = 8080, 8081, 8082, 8083
Client = type[Http1] | type[Http2]
Fields = tuple[tuple[str, str], ...]
_numbers = itertools.count()


def asks(name: str, protocol: str = "HTTP", **rest: Any) -> Manifest:
    auth = {"protocol": protocol, "backendRef": {"name": name, "port": 80}, protocol.lower(): {}, **rest}
    return {"type": "ExternalAuth", "externalAuth": auth}


def asking(name: str, port: int, *filters: Manifest) -> Manifest:
    return listener(name, port, filters={"requests": list(filters)})


def authorise(request: Received) -> bytes:
    """What the client asks for in `x-want`: a role, or none."""
    wanted = request.header("x-want") or ""
    if wanted == "deny":
        return response(b"why", "403 Forbidden", headers=(("x-by", "authoriser"),))
    roles = tuple(("X-Role", role) for role in wanted.split("+") if role)
    return response(b"", headers=(*roles, ("set-cookie", "a=1")))


def check(request: Any) -> Any:
    """The same by gRPC."""
    wanted = request.headers.get("x-want", "")
    if wanted == "deny":
        return CheckResponse(status={"code": 7}, denied_response={"status": {"code": 403}, "body": "why"})
    allowed = {"headers": headers(X_Role=wanted) if wanted else [], "headers_to_remove": ["x-secret"]}
    if wanted == "query":
        allowed["query_parameters_to_set"] = [{"key": "tenant", "value": "one"}]
        allowed["query_parameters_to_remove"] = ["debug"]
    return CheckResponse(status={}, ok_response=allowed)


def failing(_: Received) -> bytes:
    return response(b"", "503 Service Unavailable")


def by_field(name: str, value: str, *backends: str, **rest: Any) -> Manifest:
    path = {"type": "PathPrefix", "value": "/plain"}
    return rule("", *backends, matches=[{"path": path, "headers": [{"name": name, "value": value}]}], **rest)


def by_query(name: str, value: str, *backends: str) -> Manifest:
    path = {"type": "PathPrefix", "value": "/plain"}
    return rule("", *backends, matches=[{"path": path, "queryParams": [{"name": name, "value": value}]}])


def with_role(role: str, *backends: str, **rest: Any) -> Manifest:
    return by_field("x-role", role, *backends, **rest)


class World:
    """Listeners with an authoriser each, and rules that go by what it says."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.apps: dict[str, Backend] = {name: backend(name) for name in ("admin", "secret", "plain", "both")}
        self.apps["failing"] = backend(failing)
        self.auth: Backend = backend(authorise)
        self.second: Backend = backend(lambda _: response(b"", headers=(("x-second", "1"),)))
        self.grpc = AuthorizationServer(check)
        named = {"allowedHeaders": ["x-want"], "allowedResponseHeaders": ["x-role", "set-cookie"]}
        redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.test"}}
        cors = {"type": "CORS", "cors": {"allowOrigins": ["*"]}}
        second = {"allowedHeaders": ["x-role"], "allowedResponseHeaders": ["x-second"]}
        once = [{"name": "one", "requests": 1, "per": "1h"}]
        self.gateway: Gateway = start(
            gateway(
                asking("asking", PORT, asks("auth", http=named, forwardBody={"maxSize": 100})),
                asking("calling", CALLED, asks("grpc", "GRPC")),
                asking("away", AWAY, asks("away")),
                asking("limited", LIMITED, asks("auth", http=named)),
            ),
            http_filter("collected", buffer={"maxSize": "1Ki"}),
            route(
                with_role("admin", "admin"),
                with_role("admin, user", "both"),
                with_role("retried", "failing", retry={"codes": [503], "attempts": 2, "backoff": "1ms"}),
                with_role("twice", "plain", filters=[*by("collected"), asks("second", http=second)]),
                with_role("moved", filters=[redirect]),
                with_role("read", "plain", filters=[cors]),
                by_field("x-secret", "1", "secret"),
                by_query("tenant", "one", "both"),
                by_query("debug", "1", "admin"),
                rule("/plain", "plain"),
            ),
            policy(
                "RateLimitPolicy",
                "first",
                target("Gateway", "gateway", "limited"),
                local={"limits": once},
                strategy="Overrides",
            ),
            *(each for name, app in self.apps.items() for each in service(name, app.address)),
            *service("auth", self.auth.address),
            *service("second", self.second.address),
            *service("grpc", self.grpc.address, protocol="kubernetes.io/h2c"),
            *service("away", ("127.0.0.1", 1)),
        )

    def send(
        self,
        client: Client,
        wanted: str,
        *fields: tuple[str, str],
        port: int = PORT,
        method: str = "GET",
        body: bytes | None = None,
    ) -> tuple[Response, list[tuple[str, Received]], int]:
        """The response, what of the request reached which backend, and how often the HTTP service was asked."""
        path = f"/plain/{next(_numbers)}"
        with closing(client(self.gateway.address, port)) as connection:
            found = connection.request(method, HOST, path, (("x-want", wanted), *fields), body)
        reached = [(name, each) for name, app in self.apps.items() for each in app.requests if each.target == path]
        return found, reached, sum(each.target == path for each in self.auth.requests)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    found = World(start, backend)
    yield found
    found.grpc.close()


FORGED: tuple[Fields, ...] = (
    (),
    (("x-role", "admin"),),
    (("X_Role", "admin"),),
    (("x-role", "admin"), ("x.role", "admin"), ("x-role", "user")),
)


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("port", [PORT, CALLED])
def test_rules_go_by_what_the_service_says(world: World, client: Client, port: int, forged: Fields) -> None:
    """Nobody but the service is an administrator, whatever a client says of itself."""
    for wanted, name in (("admin", "admin"), ("user", "plain")):
        found, [(reached, sent)], _ = world.send(client, wanted, *forged, port=port)
        assert (found.status, reached) == (200, name), wanted
        assert [
            value for key, value in sent.headers if key.lower().replace("_", "-").replace(".", "-") == "x-role"
        ] == [wanted]


@pytest.mark.parametrize("forged", FORGED)
def test_what_the_service_leaves_out_nobody_says(world: World, client: Client, forged: Fields) -> None:
    found, [(reached, sent)], asked = world.send(client, "", *forged)
    assert (found.status, reached, asked) == (200, "plain", 1)
    assert [value for _, value in sent.headers if value in {"admin", "user"}] == []


def test_what_connection_names_is_not_believed_either(world: World) -> None:
    """It would be matched, although it goes no further."""
    found, [(reached, _)], _ = world.send(Http1, "user", ("Connection", "x-role"), ("x-role", "admin"))
    assert (found.status, reached) == (200, "plain")


def test_rules_go_by_the_query_that_the_service_leaves(world: World, client: Client) -> None:
    """What it sets is matched and forwarded in place of what the client sent, and what it takes out is neither."""
    for sent, wanted, app, forwarded in (
        ("?tenant=root&debug=1", "query", "both", "?tenant=one"),
        ("?debug=1", "query", "both", "?tenant=one"),
        ("?tenant=one&debug=1", "", "both", "?tenant=one&debug=1"),
        ("?debug=1", "", "admin", "?debug=1"),
    ):
        path = f"/plain/{next(_numbers)}"
        with closing(client(world.gateway.address, CALLED)) as connection:
            assert connection.request("GET", HOST, path + sent, (("x-want", wanted),)).status == 200
        reached = [
            (name, each.target) for name, found in world.apps.items() for each in found.requests if path in each.target
        ]
        assert reached == [(app, path + forwarded)], (sent, wanted)


def test_several_values_and_what_is_removed(world: World, client: Client) -> None:
    assert [name for name, _ in world.send(client, "admin+user")[1]] == ["both"]
    for port, name in ((PORT, "secret"), (CALLED, "plain")):
        [(reached, sent)] = world.send(client, "", ("x-secret", "1"), port=port)[1]
        assert (reached, sent.header("x-secret")) == (name, "1" if name == "secret" else None)


@pytest.mark.parametrize("port", [PORT, CALLED])
def test_a_refusal_is_the_answer(world: World, client: Client, port: int) -> None:
    """No rule is looked for: neither a redirect nor a preflight gives another one, nor that there is no rule."""
    preflight = (("origin", "http://a.test"), ("access-control-request-method", "PUT"))
    for method, fields in (("GET", ()), ("GET", (("x-role", "moved"),)), ("OPTIONS", (*preflight, ("x-role", "read")))):
        found, reached, _ = world.send(client, "deny", *fields, port=port, method=method)
        assert (found.status, found.body, reached) == (403, b"why", [])
        assert found.header("access-control-allow-origin") is found.header("location") is None


def test_who_is_let_in_is_told_what_there_is(world: World, client: Client) -> None:
    """A redirect, a preflight, that no rule takes it: each behind the question, with what is for the client."""
    preflight = (("origin", "http://a.test"), ("access-control-request-method", "PUT"))
    for wanted, method, fields, status in (("moved", "GET", (), 302), ("read", "OPTIONS", preflight, 204)):
        found, reached, asked = world.send(client, wanted, *fields, method=method)
        assert (found.status, reached, asked) == (status, [], 1)
    before = len(world.auth.requests)
    with closing(client(world.gateway.address, PORT)) as connection:
        found = connection.request("GET", HOST, "/nowhere", (("x-want", "user"),))
        assert (found.status, found.header("set-cookie")) == (404, "a=1")
        assert connection.request("GET", HOST, "/nowhere", (("x-want", "deny"),)).status == 403
    assert len(world.auth.requests) == before + 2


def test_a_service_that_is_away_lets_nobody_in(world: World, client: Client) -> None:
    found, reached, _ = world.send(client, "admin", ("x-role", "admin"), port=AWAY)
    assert (found.status, reached) == (503, [])
    assert found.body.startswith(b"auth_unavailable: ")


def test_it_is_asked_once_whatever_comes_behind(world: World, client: Client) -> None:
    """The body is asked about, then collected, then the rule's own service is asked; and requests are retried."""
    before = len(world.second.requests)
    found, [(reached, sent)], asked = world.send(client, "twice", method="POST", body=b"x" * 100)
    assert (found.status, reached, asked, len(sent.body)) == (200, "plain", 1, 100)
    [second] = world.second.requests[before:]
    assert (second.header("x-role"), sent.header("x-role"), sent.header("x-second")) == ("twice", "twice", "1")
    assert found.header("set-cookie") == "a=1"
    found, tried, asked = world.send(client, "retried")
    assert (found.status, [name for name, _ in tried], asked) == (503, ["failing"] * 3, 1)
    assert {each.header("x-role") for _, each in tried} == {"retried"}


def test_a_body_that_is_too_long_is_asked_about_by_nobody(world: World, client: Client) -> None:
    found, reached, asked = world.send(client, "admin", method="POST", body=b"x" * 101)
    assert (found.status, reached, asked) == (413, [], 0)


def test_no_trailer_says_it_later(world: World) -> None:
    """Some backends take a trailer for a field of the head (RFC 9110 section 6.5.1)."""
    for wanted, port in (("user", PORT), ("user", CALLED)):
        path = f"/plain/{next(_numbers)}"
        with closing(Http1(world.gateway.address, port)) as connection:
            head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\nx-want: {wanted}\r\ntransfer-encoding: chunked\r\n"
            connection.send(
                f"{head}trailer: x-role, x-kept\r\n\r\n1\r\na\r\n0\r\nX_Role: admin\r\nx-kept: 1\r\n\r\n".encode()
            )
            assert connection.read("POST").status == 200
        [sent] = [each for each in world.apps["plain"].requests if each.target == path]
        assert (sent.header("x-role"), sent.trailers) == ("user", [("x-kept", "1")])


def test_limits_that_no_route_replaces_come_first(world: World) -> None:
    """Who floods is stopped before anybody is asked; what was counted is counted once."""
    found = [world.send(Http1, "admin", port=LIMITED) for _ in range(2)]
    assert [(each.status, len(reached), asked) for each, reached, asked in found] == [(200, 1, 1), (429, 0, 0)]
