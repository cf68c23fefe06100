"""Session persistence on the wire: clients stay with their endpoint, learn nothing of it, and cannot choose one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from system_backends import Backend, response
from system_clients import Http2
from system_gateway import Gateway
from system_manifests import backend_policy, gateway, grpc_route, grpc_rule, metadata, route, rule, service

PORT = 8080
HOST = "sessions.test"
COOKIE = {"sessionPersistence": {"type": "Cookie", "cookie": {"name": "sid"}}}
HEADER = {"sessionPersistence": {"type": "Header", "header": {"name": "X-Session"}}}


def traffic_policy(service_name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XBackendTrafficPolicy",
        "metadata": metadata("traffic"),
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": service_name}], **spec},
    }


def set_cookies(found: Any) -> list[str]:
    return [value for name, value in found.headers if name.lower() == "set-cookie"]


def session_of(found: Any) -> tuple[str, str]:
    """The field by which a client shows the session that it was given."""
    [cookie] = set_cookies(found)
    return "cookie", cookie.partition(";")[0]


def ask(client: Any, path: str = "/", *fields: tuple[str, str]) -> Any:
    found = client.request("GET", HOST, path, fields)
    assert found.status == 200
    return found


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Gateway:
    """Endpoints a to d, in turn; rules with a cookie, with a header, without; a Service that has a policy."""
    four = [backend(name).address for name in "abcd"]
    split = {"backendRefs": [{"name": "app", "port": 80}, {"name": "other", "port": 80}]}
    rules = [
        rule("/cookie", "app", **COOKIE),
        rule("/again", "app", **COOKIE),
        rule("/header", "app", **HEADER),
        rule("/policy", "other"),
        rule("/split", **split, **COOKIE),
    ]
    shared = {"sessionPersistence": {"type": "Cookie", "cookie": {"name": "shared"}}}
    objects = [
        gateway(),
        route(*rules),
        *service("app", *four),
        *service("other", *(backend(n).address for n in "xyz")),
    ]
    turns = backend_policy("turns", "app", loadBalancing={"type": "RoundRobin"})
    found: Gateway = start(*objects, turns, traffic_policy("other", **shared))
    return found


def test_a_client_stays_where_it_was(world: Gateway, client: Any) -> None:
    each = client(world.address, PORT)
    assert len({ask(each, "/cookie").echo["backend"] for _ in range(8)}) == 4
    first = ask(each, "/cookie")
    session = session_of(first)
    for other in (each, client(world.address, PORT)):
        for _ in range(8):
            found = ask(other, "/cookie", session)
            assert found.echo["backend"] == first.echo["backend"]
            assert set_cookies(found) == []
    [cookie] = set_cookies(first)
    # Over plain HTTP a Secure cookie would not come back.
    assert [part.strip() for part in cookie.split(";")[1:]] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    each.close()


def test_the_backend_does_not_see_the_session_nor_the_client_the_endpoint(world: Gateway, client: Any) -> None:
    each = client(world.address, PORT)
    _, session = session_of(ask(each, "/cookie"))
    found = ask(each, "/cookie", ("cookie", f"a=b; {session}; c=d"))
    assert found.sent("cookie") == "a=b; c=d"
    assert ask(each, "/cookie", ("cookie", session)).sent("cookie") is None
    others = {session_of(ask(each, "/cookie"))[1] for _ in range(40)}
    assert len(others) == 40, "not one value for each endpoint"
    each.close()


@pytest.mark.parametrize("foreign", ["sid=", "sid=AAAA", "sid=a; sid=b", "sid=" + "A" * 400, 'sid="x"'])
def test_what_is_foreign_begins_a_new_session(world: Gateway, client: Any, foreign: str) -> None:
    each = client(world.address, PORT)
    found = ask(each, "/cookie", ("cookie", foreign))
    assert found.sent("cookie") is None
    assert ask(each, "/cookie", session_of(found)).echo["backend"] == found.echo["backend"]
    each.close()


def test_a_session_is_of_one_rule(world: Gateway, client: Any) -> None:
    """The same cookie name and Service: each rule has its own session, and the cookie keeps both."""
    each = client(world.address, PORT)
    first = ask(each, "/cookie")
    second = ask(each, "/again", session_of(first))
    both = session_of(second)
    for path, begun in (("/cookie", first), ("/again", second)):
        for _ in range(4):
            assert ask(each, path, both).echo["backend"] == begun.echo["backend"]
    each.close()


def test_a_header_keeps_a_session_too(world: Gateway, client: Any) -> None:
    each = client(world.address, PORT)
    first = ask(each, "/header")
    value = first.header("x-session")
    assert value
    for _ in range(8):
        found = ask(each, "/header", ("x-session", value))
        assert found.echo["backend"] == first.echo["backend"]
        assert found.sent("x-session") is None
        assert found.header("x-session") is None
    each.close()


def test_a_policy_of_the_backend_holds_where_the_rule_says_nothing(world: Gateway, client: Any) -> None:
    each = client(world.address, PORT)
    first = ask(each, "/policy")
    name, session = session_of(first)
    assert session.startswith("shared=")
    assert {ask(each, "/policy", (name, session)).echo["backend"] for _ in range(8)} == {first.echo["backend"]}
    each.close()


def test_weights_go_before_sessions(world: Gateway, client: Any) -> None:
    """Half of the requests go to each backend, and in each of them the client has its endpoint."""
    each = client(world.address, PORT)
    session: tuple[str, str] | None = None
    counted: Counter[str] = Counter()
    for number in range(44):
        found = ask(each, "/split", *([session] if session else []))
        if set_cookies(found):
            session = session_of(found)
        if number >= 4:
            counted[found.echo["backend"]] += 1
    # Shares are even but for one request.
    assert len(counted) == 2, counted
    assert min(counted.values()) >= 19, counted
    each.close()


def test_a_client_stays_with_the_backend_of_its_first_request(start: Any, backend: Any, client: Any) -> None:
    """`Sticky`, which a backend without weight loses its clients in spite of."""

    def manifests(weight: int) -> list[Any]:
        split = [{"name": "app", "port": 80, "weight": weight}, {"name": "other", "port": 80, "weight": 1}]
        policies = [backend_policy(name, name, sessionCookie={"backends": "Sticky"}) for name in ("app", "other")]
        objects = [gateway(), route(rule("/", backendRefs=split, **COOKIE)), *policies]
        return [*objects, *service("app", *ends["app"]), *service("other", *ends["other"])]

    ends = {name: [backend(f"{name}-{number}").address for number in "12"] for name in ("app", "other")}
    running: Gateway = start(*manifests(1))
    each = client(running.address, PORT)
    sides: dict[str, tuple[str, str]] = {}
    for _ in range(8):
        first = ask(each)
        session, own = session_of(first), first.echo["backend"]
        assert {ask(each, "/", session).echo["backend"] for _ in range(8)} == {own}
        sides[own.partition("-")[0]] = session
    # New clients go by weight.
    assert set(sides) == set(ends)
    running.write(*manifests(0))
    assert {ask(each, "/", sides["app"]).echo["backend"].partition("-")[0] for _ in range(8)} == {"other"}
    each.close()


@pytest.mark.parametrize(("said", "stays"), [("Move", False), ("Keep", True)])
def test_an_endpoint_that_fails_and_comes_back(
    start: Any, backend: Any, client: Any, said: str, *, stays: bool
) -> None:
    """Whether the client is told of the endpoint that serves it meanwhile."""
    ends = {name: backend(name) for name in "ab"}
    running: Gateway = start(
        gateway(),
        route(rule("/", "app", **COOKIE)),
        *service("app", *(end.address for end in ends.values())),
        backend_policy("keeps", "app", sessionCookie={"onFailure": said}),
    )
    each = client(running.address, PORT)
    first = ask(each)
    ends[first.echo["backend"]].close()
    meanwhile = ask(each, "/", session_of(first))
    assert meanwhile.echo["backend"] != first.echo["backend"]
    assert (set_cookies(meanwhile) == []) == stays
    each.close()


def test_an_endpoint_that_is_gone_is_replaced(start: Any, backend: Any, client: Any) -> None:
    backends = {name: backend(name).address for name in "abc"}

    def manifests(names: str) -> list[Any]:
        return [gateway(), route(rule("/", "app", **COOKIE)), *service("app", *(backends[name] for name in names))]

    running: Gateway = start(*manifests("abc"))
    each = client(running.address, PORT)
    found = ask(each)
    session, gone = session_of(found), found.echo["backend"]
    running.write(*manifests("abc".replace(gone, "")))
    moved = ask(each, "/", session)
    assert moved.echo["backend"] != gone
    session = session_of(moved)
    running.write(*manifests("abc"))
    assert {ask(each, "/", session).echo["backend"] for _ in range(9)} == {moved.echo["backend"]}
    each.close()


def test_a_permanent_cookie_says_how_long(start: Any, backend: Any, client: Any) -> None:
    cookie = {"name": "s", "lifetimeType": "Permanent", "path": "/p"}
    persistent = {"type": "Cookie", "absoluteTimeout": "1h", "cookie": cookie}
    running: Gateway = start(
        gateway(), route(rule("/", "app", sessionPersistence=persistent)), *service("app", backend("a").address)
    )
    each = client(running.address, PORT)
    [told] = set_cookies(ask(each))
    assert told.partition("; ")[2] == "Path=/p; HttpOnly; SameSite=Strict; Max-Age=3600"
    each.close()


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ({"sameSite": "Lax"}, "Path=/; HttpOnly; SameSite=Lax"),
        ({"domain": ".Sessions.test", "sameSite": "Unset"}, "Path=/; Domain=sessions.test; HttpOnly"),
        ({"secure": "Always", "sameSite": "None"}, "Path=/; HttpOnly; SameSite=None; Secure"),
        ({"httpOnly": False, "maxAge": "30m"}, "Path=/; SameSite=Strict; Max-Age=1800"),
        ({"maxAge": "2h"}, "Path=/; HttpOnly; SameSite=Strict; Max-Age=3600"),
    ],
)
def test_a_policy_says_how_the_cookie_is_written(
    start: Any, backend: Any, client: Any, said: dict[str, Any], written: str
) -> None:
    """Whoever asks for the session: a rule, or a policy of the backend. The last one is no longer than its session."""
    persistent = {"type": "Cookie", "absoluteTimeout": "1h", "cookie": {"name": "s"}}
    running: Gateway = start(
        gateway(),
        route(
            rule("/rule", "app", sessionPersistence=persistent),
            rule("/policy", "app"),
            rule("/header", "app", **HEADER),
        ),
        *service("app", backend("a").address, backend("b").address),
        backend_policy("cookies", "app", sessionCookie=said),
        traffic_policy("app", sessionPersistence=persistent),
    )
    each = client(running.address, PORT)
    for path in ("/rule", "/policy"):
        first = ask(each, path)
        [told] = set_cookies(first)
        assert told.partition("; ")[2] == written
        for _ in range(4):
            found = ask(each, path, session_of(first))
            assert found.echo["backend"] == first.echo["backend"]
            assert found.sent("cookie") is None
            assert set_cookies(found) == []
    assert set_cookies(ask(each, "/header")) == []
    each.close()


def test_retries_have_a_budget(start: Any, backend: Any, client: Any) -> None:
    """Of 100 requests that all fail a fifth is tried again, and two in any case; others are answered 503 at once."""
    failing: Backend = backend(lambda _request: response(b"", "502 No"))
    constraint = {"budget": {"percent": 20, "interval": "1h"}, "minRetryRate": {"count": 2, "interval": "1h"}}
    running: Gateway = start(
        gateway(),
        route(rule("/", "app", retry={"codes": [502], "attempts": 1, "backoff": "1ms"})),
        *service("app", failing.address),
        traffic_policy("app", retryConstraint=constraint),
    )
    each = client(running.address, PORT)
    found = [each.request("GET", HOST, "/") for _ in range(100)]
    answers = Counter((item.status, item.body.partition(b":")[0]) for item in found)
    # A retry's own answer is the backend's.
    assert answers == {(502, b""): 20, (503, b"retry_budget"): 80}
    assert len(failing.requests) == 120
    each.close()


def test_calls_of_grpc_stay_too(start: Any, backend2: Any) -> None:
    names = "abc"
    running: Gateway = start(
        gateway(),
        grpc_route(grpc_rule("app", sessionPersistence=HEADER["sessionPersistence"])),
        *service("app", *(backend2(name).address for name in names)),
    )
    each = Http2(running.address, PORT)

    def call(*fields: tuple[str, str]) -> Any:
        sent = (("content-type", "application/grpc"), ("te", "trailers"), *fields)
        found = each.request("POST", HOST, "/a.B/C", sent, b"")
        assert found.status == 200
        return found

    first = call()
    session = first.header("x-session")
    assert session
    assert {call(("x-session", session)).header("x-back") for _ in range(6)} == {first.header("x-back")}
    each.close()
