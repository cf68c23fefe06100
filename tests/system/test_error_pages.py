"""`errorPages` of an HTTPFilter over HTTP/1.1 and HTTP/2: what stands in for errors, and which stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_manifests import by, gateway, http_filter, opaque, page_map, policy, route, rule, service, target

PORT = 8080
HOST = "shop.test"
Client = type[Http1] | type[Http2]
LONG = 70_000


def app(request: Received) -> bytes | None:
    """The status that the path ends in."""
    name = request.target.partition("?")[0].rpartition("/")[2]
    if name == "close":
        return None
    if name == "half":
        return b"HTTP/1.1 500 Broken\r\ncontent-length: 10\r\nconnection: close\r\nx-kept: 1\r\n\r\nhalf"
    if name == "long":
        return response(b"x" * LONG, "404 Not Found")
    fields = (("content-type", "text/plain"), ("etag", '"1"'), ("x-kept", "1"), ("set-cookie", "a=1"))
    return response(f"app {name}".encode(), f"{name} Because", fields)


def pages(request: Received) -> bytes | None:
    """A page that says what was asked."""
    code = request.header("x-code")
    if code == "502":
        return None
    if code == "507":
        return response(b"x" * 300_000)
    asked = ("x-format", "x-original-uri", "x-namespace", "x-ingress-name", "x-service-name", "x-service-port")
    told = [request.method, request.target, request.header("host"), *(request.header(name) for name in asked)]
    fields = (("content-type", "text/html"), ("x-page", "1"))
    return response(f"{code} {told}".encode(), f"{code} Page", fields)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> tuple[Gateway, Backend, Backend]:
    served, asked = backend(app), backend(pages)
    service_page = {"backendRef": {"name": "pages", "port": 80}}
    found: Gateway = start(
        gateway(),
        route(
            rule("/plain", "app", filters=by("plain")),
            rule("/service", "app", filters=by("service")),
            rule("/gone", "gone", filters=by("plain")),
            rule("/own", "app", filters=by("own")),
            rule("/backend", "gone", filters=by("theirs")),
            rule("/login", "app", name="login", filters=by("plain")),
            rule("/edited", "app", filters=[*by("plain", "edits")]),
        ),
        *service("app", served.address),
        *service("pages", asked.address),
        *service("gone", ("127.0.0.1", 1)),
        page_map("missing", "<h1>Nothing here</h1>"),
        http_filter(
            "plain",
            errorPages=[
                {"statuses": [404], "configMapRef": {"name": "missing"}},
                {"statuses": ["5xx", 401], "body": "later", "contentType": "text/plain", "status": 503},
            ],
        ),
        http_filter("service", errorPages=[{"statuses": ["4xx", "5xx"], "timeout": "5s", **service_page}]),
        http_filter("own", errorPages=[{"statuses": ["4xx", "5xx"], "from": "Gateway", "body": "ours"}]),
        http_filter("theirs", errorPages=[{"statuses": ["5xx"], "from": "Backend", "body": "theirs"}]),
        http_filter("edits", headers={"response": {"set": [{"name": "x-edited", "value": "1"}]}}),
        opaque("keys", ann="0123456789"),
        policy(
            "AccessPolicy", "login", target("HTTPRoute", "route", "login"), apiKey={"secretRefs": [{"name": "keys"}]}
        ),
    )
    return found, served, asked


def ask(world: Any, client: Client, path: str, *fields: tuple[str, str], method: str = "GET") -> Response:
    connection = client(world[0].address, PORT)
    try:
        found = connection.request(method, HOST, path, fields)
        # The connection goes on behind an error.
        if client is Http1 and found.header("connection") != "close" and method == "GET":
            assert connection.request("GET", HOST, "/plain/200").body == b"app 200"
        return found
    finally:
        connection.close()


def test_errors_of_backends(world: Any, client: Client) -> None:
    found = ask(world, client, "/plain/404")
    assert (found.status, found.body) == (404, b"<h1>Nothing here</h1>")
    assert [found.header(name) for name in ("content-type", "content-length", "etag", "x-kept", "set-cookie")] == [
        "text/html; charset=utf-8",
        "21",
        None,
        "1",
        "a=1",
    ]
    found = ask(world, client, "/plain/500")
    assert (found.status, found.body, found.header("content-type")) == (503, b"later", "text/plain")
    # Others are none of them.
    for status in (200, 403):
        found = ask(world, client, f"/plain/{status}")
        assert (found.status, found.body, found.header("etag")) == (status, f"app {status}".encode(), '"1"')
    assert ask(world, client, "/edited/404").header("x-edited") == "1"


def test_errors_of_the_gateway(world: Any, client: Client) -> None:
    found = ask(world, client, "/gone/a")
    assert (found.status, found.body, found.header("content-type")) == (503, b"later", "text/plain")
    found = ask(world, client, "/plain/close")
    assert (found.status, found.body) == (503, b"later")
    # A refusal says what may be tried, whatever stands in for its text.
    found = ask(world, client, "/login/a")
    assert (found.status, found.body) == (503, b"later")
    assert found.header("www-authenticate") is not None


def test_whose_errors(world: Any, client: Client) -> None:
    assert ask(world, client, "/own/500").body == b"app 500"
    assert ask(world, client, "/own/close").body == b"ours"
    assert ask(world, client, "/backend/a").body.startswith(b"upstream_connect")


def test_a_service_is_asked(world: Any, client: Client) -> None:
    found = ask(world, client, "/service/404?q=%2F", ("accept", "application/json"))
    assert (found.status, found.header("content-type"), found.header("x-page"), found.header("x-kept")) == (
        404,
        "text/html",
        "1",
        "1",
    )
    asked = ["GET", "/", HOST, "application/json", "/service/404?q=%2F", "default", "route", "app", "80"]
    assert found.body.decode() == f"404 {asked}"


@pytest.mark.parametrize("status", [502, 507])
def test_a_service_that_gives_no_page(world: Any, client: Client, status: int) -> None:
    """It is away, or gives too much: the error is what it was."""
    found = ask(world, client, f"/service/{status}")
    assert (found.status, found.body, found.header("etag")) == (status, f"app {status}".encode(), '"1"')


def test_what_is_left_alone(world: Any, client: Client) -> None:
    found = ask(world, client, "/plain/404", method="HEAD")
    assert (found.status, found.body, found.header("etag")) == (404, b"", '"1"')
    found = ask(world, client, "/plain/404", ("content-type", "application/grpc"), method="POST")
    assert found.body == b"app 404"
    # A long body is something to read.
    found = ask(world, client, "/plain/long")
    assert (found.status, len(found.body)) == (404, LONG)


def test_an_error_that_breaks_off(world: Any, client: Client) -> None:
    found = ask(world, client, "/plain/half")
    assert (found.status, found.body, found.header("x-kept")) == (503, b"later", "1")


def test_pages_change(start: Any, backend: Any) -> None:
    """A ConfigMap is followed; one that is gone closes the rule."""
    objects = [
        gateway(),
        route(rule("/", "app", filters=by("pages"))),
        *service("app", backend(app).address),
        http_filter("pages", errorPages=[{"statuses": ["4xx"], "configMapRef": {"name": "page"}}]),
    ]
    running = start(*objects, page_map("page", "one"))

    def body() -> tuple[int, bytes]:
        connection = Http1(running.address, PORT)
        try:
            found = connection.request("GET", HOST, "/404")
            return found.status, found.body
        finally:
            connection.close()

    assert body() == (404, b"one")
    running.write(*objects, page_map("page", "two"))
    until(lambda: body() == (404, b"two"), "the other page")
    running.write(*objects)
    until(lambda: body()[0] == 500, "the rule without its page")


def test_no_page_is_asked_for_with_a_credential(start: Any, backend: Any, client: Client) -> None:
    """Who gives pages is told what was asked for, and a key that stands there is for no backend."""
    asked: Backend = backend(pages)
    key = "0123456789abcdef"
    running = start(
        gateway(),
        route(rule("/", "app", filters=by("pages")), name="own"),
        *service("app", backend(app).address),
        *service("pages", asked.address),
        http_filter("pages", errorPages=[{"statuses": ["4xx", "5xx"], "backendRef": {"name": "pages", "port": 80}}]),
        opaque("keys", ann=key),
        policy(
            "AccessPolicy",
            "own",
            target("HTTPRoute", "own"),
            apiKey={"secretRefs": [{"name": "keys"}], "from": [{"query": "key"}]},
        ),
    )
    for sent, told, status in (
        (f"/404?a=1&k%65y={key}&b", "/404?a=1&k%65y=***&b", 404),
        ("/404?key=wrong", "/404?key=***", 401),
        ("/404?b", "/404?b", 401),
    ):
        connection = client(running.address, PORT)
        assert connection.request("GET", HOST, sent).status == status
        connection.close()
        assert asked.requests[-1].header("x-original-uri") == told
