"""HTTPFilters that write what they find out: values by expression, and what a backend says of where it is."""

from __future__ import annotations

from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, by, gateway, http_filter, opaque, page_map, policy, route, rule, service, target

PORT = 8080
HOST = "shop.test"
Client = type[Http1] | type[Http2]


def made(**expressions: str) -> list[Manifest]:
    return [{"name": name.replace("_", "-"), "expression": text} for name, text in expressions.items()]


def padded() -> Manifest:
    """Values that have blanks at their ends; those of the standard's filters must have none (`HTTPHeader.value`)."""
    return {
        "set": [{"name": "x-set", "value": " one two\t"}, {"name": "x-blank", "value": " \t "}],
        "add": [
            {"name": "x-add", "value": "\t three"},
            {"name": "x-made", "expression": "' ' + request.method + '\\t '"},
        ],
    }


def where(request: Received) -> bytes:
    """An answer that says where it is."""
    fields = (
        ("location", "http://shop.internal:8080/a?b=c"),
        ("refresh", "5; url=http://shop.internal:8080/b"),
        ("content-location", "http://shop.internal:8080/c"),
        ("set-cookie", "sid=1; Domain=.shop.internal; Path=/app/x"),
        ("set-cookie", "other=2; Secure; HttpOnly; SameSite=None"),
    )
    return response(b"there", "302 Found", fields)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any) -> Gateway:
    request = {
        "set": made(
            x_client="client.address",
            x_where="request.scheme + '://' + request.host + request.path",
            x_user="identity.user",
            x_list="['a', 'b'] + identity.scopes",
            x_number="size(request.path)",
            x_none="request.headers['x-missing'][0]",
            x_copy="request.headers['x-sent'][0]",
        ),
        "add": made(x_added="request.method"),
    }
    answer = {
        "set": made(x_seen="request.headers['x-sent'][0]", x_away="identity.user"),
        "add": [{"name": "vary", "value": "x-sent"}],
    }
    found: Gateway = start(
        gateway(),
        route(
            rule("/made", "app", name="made", filters=by("made")),
            rule("/ours", "gone", filters=by("made")),
            rule("/backend", {"name": "app", "port": 80, "filters": by("only")}),
            rule("/where", "where", filters=by("where")),
            rule("/broken", "app", filters=by("broken")),
            rule("/host", "app", filters=by("host")),
            rule("/page", filters=by("page")),
            rule("/padded", "two", filters=by("padded")),
            rule("/respond", filters=by("respond")),
        ),
        *service("app", backend("app").address),
        *service("where", backend(where).address),
        *service("gone", ("127.0.0.1", 1)),
        *service("two", backend2("two").address, protocol="kubernetes.io/h2c"),
        http_filter("padded", headers={"request": padded(), "response": padded()}),
        http_filter("respond", respond={"status": 403, "headers": [{"name": "x-told", "value": " why\t"}]}),
        http_filter("made", headers={"request": request, "response": answer}),
        http_filter("only", headers={"request": {"set": made(x_only="request.host")}}),
        http_filter("broken", headers={"request": {"set": made(x="request.nothing")}}),
        http_filter("host", rewrite={"response": {"location": [{"prefix": "http://"}]}}),
        http_filter(
            "where",
            rewrite={
                "pathRegex": {"pattern": "^/where", "replacement": "/app"},
                "response": {
                    "location": [{"prefix": "http://shop.internal:8080/", "replacement": "https://shop.test/"}],
                    "cookies": [
                        {
                            "name": "sid",
                            "domain": {"from": "shop.internal", "to": "shop.test"},
                            "path": {"from": "/app/", "to": "/"},
                            "secure": True,
                            "httpOnly": True,
                            "sameSite": "Lax",
                        },
                        {"secure": False},
                    ],
                },
            },
        ),
        page_map("page", "from a map"),
        http_filter("page", respond={"status": 503, "configMapRef": {"name": "page"}}),
        opaque("keys", ann="0123456789"),
        policy(
            "AccessPolicy",
            "made",
            target("HTTPRoute", "route", "made"),
            apiKey={"secretRefs": [{"name": "keys"}], "mode": "Optional"},
        ),
    )
    return found


def ask(world: Gateway, client: Client, path: str, *fields: tuple[str, str]) -> Response:
    connection = client(world.address, PORT)
    try:
        return connection.request("GET", HOST, path, fields)
    finally:
        connection.close()


def test_values(world: Gateway, client: Client) -> None:
    sent = (("x-api-key", "0123456789"), ("x-sent", "one"), ("x-none", "mine"), ("x-user", "root"))
    found = ask(world, client, "/made/a", *sent)
    assert found.status == 200
    names = ("x-where", "x-user", "x-list", "x-number", "x-added", "x-copy")
    assert [found.sent(name) for name in names] == [
        "http://shop.test/made/a",
        "ann",
        "a, b",
        "7",
        "GET",
        "one",
    ]
    assert (found.sent("x-client") or "").startswith("127.")
    # What comes to nothing is no field, and what was sent under its name does not go on.
    assert found.sent("x-none") is None
    assert (found.header("x-seen"), found.header("x-away"), found.header("vary")) == ("one", "ann", "x-sent")


def test_values_that_come_to_nothing(world: Gateway, client: Client) -> None:
    found = ask(world, client, "/made/a", ("x-user", "root"), ("x-copy", "mine"))
    assert [found.sent(name) for name in ("x-user", "x-copy", "x-list")] == [None, None, "a, b"]
    assert found.header("x-seen") is None


def test_answers_of_the_gateway_have_values(world: Gateway, client: Client) -> None:
    found = ask(world, client, "/ours", ("x-sent", "one"))
    assert (found.status, found.header("x-seen"), found.header("vary")) == (503, "one", "x-sent")


def test_values_of_a_backend(world: Gateway, client: Client) -> None:
    assert ask(world, client, "/backend", ("x-only", "mine")).sent("x-only") == HOST


def test_an_expression_that_is_none(world: Gateway, client: Client) -> None:
    assert ask(world, client, "/broken").status == 500


def test_where_a_backend_is(world: Gateway, client: Client) -> None:
    found = ask(world, client, "/where/x")
    assert found.status == 302
    assert [found.header(name) for name in ("location", "refresh", "content-location")] == [
        "https://shop.test/a?b=c",
        "5; url=https://shop.test/b",
        "http://shop.internal:8080/c",
    ]
    cookies = [value for name, value in found.headers if name.lower() == "set-cookie"]
    assert cookies == [
        "sid=1; Domain=shop.test; Path=/x; Secure; HttpOnly; SameSite=Lax",
        "other=2; HttpOnly; SameSite=None",
    ]
    assert ask(world, client, "/host").status == 200


def test_an_answer_from_a_config_map(world: Gateway, client: Client) -> None:
    found = ask(world, client, "/page")
    assert (found.status, found.body) == (503, b"from a map")


def test_values_have_no_blanks_at_their_ends(world: Gateway, client: Client) -> None:
    """They are no part of a value, and over HTTP/2 malformed: client and backend refuse them (RFC 9113, 8.2.1)."""
    found = ask(world, client, "/padded")
    assert found.status == 200
    wanted = {"x-set": "one two", "x-blank": "", "x-add": "three", "x-made": "GET"}
    assert {name: found.sent(name) for name in wanted} == wanted
    assert {name: found.header(name) for name in wanted} == wanted
    found = ask(world, client, "/respond")
    assert (found.status, found.header("x-told")) == (403, "why")
