"""AccessPolicy by a service that is asked: what is remembered of it, and how it sends people to sign in."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_ext_authz import AuthorizationServer, CheckResponse, headers
from system_gateway import Gateway, until
from system_manifests import Manifest, gateway, grpc_route, grpc_rule, policy, route, rule, service, target

PORT = 8080
HOST = "shop.test"
Client = type[Http1] | type[Http2]
_numbers = itertools.count()


def external(name: str = "auth", protocol: str = "HTTP", **rest: Any) -> Manifest:
    return {"protocol": protocol, "backendRef": {"name": name, "port": 80}, **rest}


class World:
    """A service that lets in who has a session of its own, and counts; what it does about others says `x-want`."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.app: Backend = backend("app")
        self.auth: Backend = backend(self.authorise)
        self.grpc = AuthorizationServer(self.check)
        self.calls = 0
        self.lock = threading.Lock()
        http = {"allowedHeaders": ["cookie", "x-want"], "allowedResponseHeaders": ["x-user", "set-cookie"]}
        cache = {"ttl": "5m"}
        parts: dict[str, Manifest] = {
            "plain": external(http=http),
            "cached": external(http=http, cache=cache),
            "other": external(http=http, cache=cache),
            "all": external(http=http, cache={**cache, "denials": True}),
            "short": external(http=http, cache={"ttl": "50ms"}),
            "sign-in": external(
                http={**http, "path": "/verify", "exact": True},
                cache={**cache, "denials": True},
                signIn={"url": "https://login.test/start?a=1"},
            ),
            "told": external(
                http={
                    "allowedHeaders": ["cookie", "x-want", "x_site", "x-original-url"],
                    "allowedResponseHeaders": ["x-user"],
                    "clientHeaders": ["X-Plan"],
                    "method": "PUT",
                    "host": "auth.test:8080",
                    "setHeaders": [
                        {"name": "X-Site", "value": "shop"},
                        {
                            "name": "X-Original-URL",
                            "expression": "request.scheme + '://' + request.host + request.path",
                        },
                        {"name": "X-Nothing", "expression": "request.headers['x-none'][0]"},
                    ],
                },
            ),
            "sign-in-here": external(
                http={**http, "path": "/verify", "exact": True},
                signIn={"url": "/start", "returnTo": "Path", "parameter": "back"},
            ),
            "called": external("grpc", "GRPC", cache={**cache, "headers": ["cookie"]}),
        }
        self.gateway: Gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in parts),
            *(policy("AccessPolicy", name, target("HTTPRoute", name), external=part) for name, part in parts.items()),
            grpc_route(grpc_rule("app"), name="calls", hostnames=["calls.test"]),
            policy("AccessPolicy", "calls", target("GRPCRoute", "calls"), external=external(http=http)),
            *service("app", self.app.address),
            *service("auth", self.auth.address),
            *service("grpc", self.grpc.address, protocol="kubernetes.io/h2c"),
        )

    def authorise(self, request: Received) -> bytes:
        """As oauth2-proxy does: who has no session is sent to sign in, with where to come back to."""
        wanted = request.header("x-want") or ""
        if wanted == "broken":
            return response(b"", "503 Oops")
        if wanted == "deny":
            return response(b"no", "403 Forbidden")
        session = (request.header("cookie") or "").removeprefix("session=")
        if wanted == "authenticate" and not session:
            return response(b"no", "401 Unauthorized", (("www-authenticate", "Custom"), ("set-cookie", "csrf=2")))
        if wanted == "accepted":
            return response(b"", "202 Accepted", (("x-user", "nobody"),))
        if not session:
            names = ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri")
            scheme, host, path = (request.header(name) or "" for name in names)
            back = quote(f"{scheme}://{host}{path}", safe="")
            fields = (
                ("location", f"https://login.test/start?rd={back}"),
                ("set-cookie", "csrf=1"),
                ("content-type", "text/html"),
            )
            return response(b"<a>sign in</a>", "302 Found", fields)
        renewed = (("set-cookie", "session=new"),) if wanted == "renew" else ()
        return response(b"", headers=(("x-user", session), ("x-plan", "gold"), *renewed))

    def check(self, request: Any) -> Any:
        with self.lock:
            self.calls += 1
        if request.headers.get("cookie") != "session=ann":
            return CheckResponse(status={"code": 7}, denied_response={"status": {"code": 403}})
        return CheckResponse(status={}, ok_response={"headers": headers(X_User="ann")})

    def ask(self, client: Client, path: str, *fields: tuple[str, str], method: str = "GET") -> Response:
        with closing(client(self.gateway.address, PORT)) as connection:
            return connection.request(method, HOST, path, fields)

    def asked(self, path: str) -> int:
        """How often the service was asked about a path."""
        return sum(each.target.partition("?")[0] == path for each in self.auth.requests)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    found = World(start, backend)
    yield found
    found.grpc.close()


ANN, BOB = ("Cookie", "session=ann"), ("Cookie", "session=bob")


def test_only_the_same_question_is_answered_from_memory(world: World, client: Client) -> None:
    path = f"/cached/{next(_numbers)}"
    for _ in range(3):
        found = world.ask(client, path, ANN, ("x-user", "root"))
        assert (found.status, found.sent("x-user")) == (200, "ann")
    assert world.asked(path) == 1
    # Others, other credentials, other methods and queries.
    assert world.ask(client, path, BOB).sent("x-user") == "bob"
    assert world.ask(client, path, ANN, ("Authorization", "Bearer x")).sent("x-user") == "ann"
    assert world.ask(client, path, ANN, method="POST").status == 200
    assert world.ask(client, f"{path}?a=1", ANN).status == 200
    assert world.asked(path) == 5
    # Another policy remembers by itself.
    other = path.replace("cached", "other")
    assert world.ask(client, other, ANN).sent("x-user") == "ann"
    assert world.asked(other) == 1
    assert world.ask(client, path, ("Cookie", "session=")).status == 302


def test_what_is_not_remembered(world: World, client: Client) -> None:
    number = next(_numbers)
    for name, fields, statuses in (
        # Refusals, trouble, an answer for one client once, and nothing at all without `cache`.
        ("cached", (), 302),
        ("cached", (ANN, ("x-want", "broken")), 503),
        ("cached", (ANN, ("x-want", "renew")), 200),
        ("plain", (ANN,), 200),
    ):
        path = f"/{name}/{number}/{len(fields)}/{statuses}"
        assert [world.ask(client, path, *fields).status for _ in range(2)] == [statuses] * 2
        assert world.asked(path) == 2, path


def test_refusals_where_that_is_asked_for(world: World, client: Client) -> None:
    path = f"/all/{next(_numbers)}"
    refused = [world.ask(client, path, ANN, ("x-want", "deny")) for _ in range(3)]
    assert [(each.status, each.body) for each in refused] == [(403, b"no")] * 3
    assert world.asked(path) == 1
    # One with a cookie is for one client, once.
    refused = [world.ask(client, f"{path}/in") for _ in range(2)]
    assert [each.status for each in refused] == [302, 302]
    assert world.asked(f"{path}/in") == 2


def test_answers_are_forgotten(world: World) -> None:
    path = f"/short/{next(_numbers)}"

    def is_asked_again() -> bool:
        assert world.ask(Http1, path, ANN).status == 200
        return world.asked(path) > 1

    until(is_asked_again, "the answer is forgotten")


def test_answers_of_ext_authz(world: World, client: Client) -> None:
    path = f"/called/{next(_numbers)}"
    before = world.calls
    for number in range(3):
        found = world.ask(client, path, ANN, ("traceparent", str(number)))
        assert (found.status, found.sent("x-user")) == (200, "ann")
    assert world.calls == before + 1
    assert [world.ask(client, path, BOB).status for _ in range(2)] == [403] * 2
    assert world.calls == before + 3


def test_who_has_no_session_is_sent_to_sign_in(world: World, client: Client) -> None:
    """With where to come back to, the cookie of the sign-in and the page; what a client says of it is not believed."""
    target = f"/plain/{next(_numbers)}?a=b&c=d"
    lies = (("x-forwarded-uri", "/evil"), ("x-forwarded-host", "evil.test"), ("x-forwarded-proto", "ftp"))
    found = world.ask(client, target, *lies)
    back = quote(f"http://{HOST}{target}", safe="")
    assert (found.status, found.header("location")) == (302, f"https://login.test/start?rd={back}")
    assert (found.header("set-cookie"), found.header("content-type")) == ("csrf=1", "text/html")
    assert found.body == b"<a>sign in</a>"
    back_again = world.ask(client, target, ANN, ("x-want", "renew"))
    assert (back_again.status, back_again.header("set-cookie"), back_again.sent("x-user")) == (
        200,
        "session=new",
        "ann",
    )


def test_a_service_that_says_no_more_than_401(world: World, client: Client) -> None:
    """ingress-nginx's `auth-signin`: who opens a page is sent there, and nobody else."""
    asked = f"/sign-in/{next(_numbers)}?a=b&c=d"
    want, page = ("x-want", "authenticate"), ("accept", "text/html,*/*")
    back = quote(f"http://{HOST}{asked}", safe="")
    for fields, method, status in (
        ((want, page), "GET", 302),
        ((want, ("accept", "*/*")), "GET", 401),
        ((want, page, ("sec-fetch-mode", "cors")), "GET", 401),
        ((want, page), "POST", 401),
        ((want, page, ("x-forwarded-proto", "https")), "GET", 302),
        ((want, page, ANN), "GET", 200),
    ):
        found = world.ask(client, asked, *fields, method=method)
        assert found.status == status, fields
        if status == 302:
            assert found.header("location") == f"https://login.test/start?a=1&rd={back}"
            names = ("set-cookie", "cache-control", "www-authenticate")
            assert [found.header(name) for name in names] == ["csrf=2", "no-store", None]
            assert found.body == b""
        if status == 401:
            assert (found.header("www-authenticate"), found.body) == ("Custom", b"no")
    # It is asked for one path alone, and told what the request was for.
    assert {each.header("x-forwarded-uri") for each in world.auth.requests if each.target == "/verify"} >= {asked}


def test_who_signs_in_at_the_same_host(world: World, client: Client) -> None:
    """A URL that begins with `/`, which is told where to come back to without the host, by another parameter."""
    asked = f"/sign-in-here/{next(_numbers)}?a=b&c=d"
    found = world.ask(client, asked, ("x-want", "authenticate"), ("accept", "text/html"))
    assert (found.status, found.header("location")) == (302, f"/start?back={quote(asked, safe='')}")


def test_what_the_service_is_asked_by(world: World, client: Client) -> None:
    """Method, host and fields are those of the policy, in place of what the client sends under their names."""
    path = f"/told/{next(_numbers)}"
    lies = (("x_site", "evil"), ("x-site", "evil"), ("X-Original-URL", "http://evil.test/"), ("x-nothing", "evil"))
    found = world.ask(client, f"{path}?a=b", ANN, *lies, method="POST")
    assert (found.status, found.sent("x-user"), found.sent("x-original-url")) == (200, "ann", "http://evil.test/")
    [asked] = [each for each in world.auth.requests if each.target == f"{path}?a=b"]
    names = ("host", "x-forwarded-host", "x-forwarded-method", "x-forwarded-uri", "x-original-url", "x-nothing")
    assert (asked.method, *(asked.header(name) for name in names)) == (
        *("PUT", "auth.test:8080", HOST, "POST"),
        *(f"{path}?a=b", f"http://{HOST}{path}", None),
    )
    assert [value for name, value in asked.headers if name.lower() in {"x-site", "x_site"}] == ["shop"]
    # What of the answer is the client's, and what is not.
    assert (found.header("x-plan"), found.sent("x-plan"), found.header("x-user")) == ("gold", None, None)
    assert world.ask(client, f"/plain/{next(_numbers)}", ANN).header("x-plan") is None


@pytest.mark.parametrize(("cookies", "with_errors"), [("Always", True), ("WithSuccess", False)])
def test_cookies_of_a_service_and_errors_of_backends(
    start: Any, backend: Any, client: Client, cookies: str, *, with_errors: bool
) -> None:
    """As `add_header` of nginx has it, or with whatever is answered."""
    auth = backend(lambda _request: response(b"", headers=(("set-cookie", "session=new"),)))
    app = backend(lambda request: response(b"", "404 No" if request.target == "/missing" else "204 No Content"))
    found: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="r"),
        policy("AccessPolicy", "p", target("HTTPRoute", "r"), external=external(http={"cookies": cookies})),
        *service("app", app.address),
        *service("auth", auth.address),
    )
    with closing(client(found.address, PORT)) as connection:
        answers = [connection.request("GET", HOST, path) for path in ("/", "/missing")]
    assert [answer.status for answer in answers] == [204, 404]
    told = [answer.header("set-cookie") for answer in answers]
    assert told == ["session=new", "session=new" if with_errors else None]


def test_any_success_lets_on(world: World, client: Client) -> None:
    """oauth2-proxy answers 202."""
    found = world.ask(client, f"/plain/{next(_numbers)}", ("x-want", "accepted"))
    assert (found.status, found.sent("x-user")) == (200, "nobody")


def test_a_call_is_refused_as_its_protocol_has_it(world: World) -> None:
    """A redirect and its page mean nothing to a client of gRPC."""
    fields = (("content-type", "application/grpc"), ("te", "trailers"))
    with closing(Http2(world.gateway.address, PORT)) as connection:
        found = connection.request("POST", "calls.test", "/pkg.Service/Method", fields, b"")
    assert (found.status, found.header("grpc-status"), found.body) == (200, "7", b"")
    assert [value for name, value in found.headers if name == "content-type"] == ["application/grpc"]


def test_what_is_reserved_is_closed(start: Any, backend: Any, client: Client) -> None:
    """Sign-in by OpenID Connect is not there yet: who asks for it does not get a route that goes without."""
    app: Backend = backend("app")
    spec = {"oidc": {"issuer": "https://login.test"}, "csrf": {}}
    found: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="r"),
        policy("AccessPolicy", "p", target("HTTPRoute", "r"), **spec),
        *service("app", app.address),
    )
    with closing(client(found.address, PORT)) as connection:
        answer = connection.request("GET", HOST, "/")
    assert (answer.status, answer.body.split(b":")[0], app.requests) == (500, b"policy_invalid", [])
    told = [problem["message"] for problem in found.ready["problems"]]
    assert any("sign-in by OpenID Connect is not there yet" in message for message in told), told
