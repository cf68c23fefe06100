"""HTTPFilters on the wire: answers, rewrites by expression, hosts from a header, edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import by, gateway, http_filter, listener, route, rule, service

Start = Callable[..., Gateway]


def substitution(pattern: str, replacement: str) -> dict[str, Any]:
    return {"pathRegex": {"pattern": pattern, "replacement": replacement}}


def edits(**values: str) -> dict[str, Any]:
    return {"set": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]}


@pytest.mark.parametrize("client", [Http1, Http2])
def test_filters_of_rules(client: type[Http1] | type[Http2], start: Start, backend: Callable[..., Backend]) -> None:
    objects = [
        gateway(listener("http", 8080)),
        route(
            rule("/away", "app", filters=by("away")),
            rule("/api", "app", filters=by("version", "edits")),
            rule("/dots", "app", filters=by("dots")),
            rule("/tenant", "app", filters=by("tenant")),
            rule("/missing", "app", filters=by("missing")),
            rule("/group", "app", filters=by("group")),
        ),
        http_filter(
            "away", respond={"status": 503, "headers": [{"name": "retry-after", "value": "9"}], "body": "soon"}
        ),
        http_filter("version", rewrite=substitution("^/api/v[0-9]+/(.*)$", r"/\1")),
        http_filter("edits", headers={"request": edits(x_a="1"), "response": edits(x_b="2")}),
        http_filter("dots", rewrite=substitution("x", "")),
        # The pattern has one group: what was meant can only be guessed.
        http_filter("group", rewrite=substitution("^/group(.*)$", r"/\2")),
        http_filter("tenant", rewrite={"hostFrom": {"header": "x-host"}}),
        *service("app", backend("app").address),
    ]
    running = start(*objects)

    def ask(target: str, *fields: tuple[str, str], method: str = "GET") -> Any:
        connection = client(running.address, 8080)
        try:
            return connection.request(method, "a.test", target, fields)
        finally:
            connection.close()

    away = ask("/away")
    assert (away.status, away.body, away.header("retry-after")) == (503, b"soon", "9")
    assert away.header("content-type") == "text/plain; charset=utf-8"
    head = ask("/away", method="HEAD")
    assert (head.status, head.body, head.header("content-length")) == (503, b"", "4")
    found = ask("/api/v2/users/7?q=%2F")
    assert (found.status, found.echo["target"], found.sent("x-a"), found.header("x-b")) == (
        200,
        "/users/7?q=%2F",
        "1",
        "2",
    )
    # What does not match goes on as it is.
    assert ask("/api").echo["target"] == "/api"
    # What comes of it has one meaning, or is refused.
    assert ask("/dots/.x./a").echo["target"] == "/a"
    assert ask("/dots/%2xF").status == 400
    assert ask("/dots/%x2F/x.x./x").status == 400
    assert ask("/tenant", ("x-host", "Shop.test:81")).sent("host") == "Shop.test:81"
    for fields in ((), (("x-host", "a b"),), (("x-host", "one.test"), ("x-host", "two.test"))):
        assert ask("/tenant", *fields).sent("host") == "a.test"
    assert ask("/missing").status == ask("/group/a").status == 500

    # The filter changes, goes and comes: so do the rules that refer to it.
    running.write(*objects, http_filter("missing", respond={"status": 204}))
    assert ask("/missing").status == 204
    running.write(*objects, http_filter("missing", respond={"status": 404}))
    assert ask("/missing").status == 404
    running.write(*objects)
    until(lambda: ask("/missing").status == 500, "the rule without its filter")


def test_a_path_that_grows(start: Start, backend: Callable[..., Backend]) -> None:
    """A short request must not become a long one without end."""
    running = start(
        gateway(listener("http", 8080)),
        route(rule("/", "app", filters=by("grow"))),
        http_filter("grow", rewrite=substitution("a", "b" * 1000)),
        *service("app", backend("app").address),
    )
    connection = Http1(running.address, 8080)
    try:
        assert len(connection.request("GET", "a.test", "/aaaa").echo["target"]) == 4001
        assert connection.request("GET", "a.test", "/" + "a" * 1000).status == 400
    finally:
        connection.close()
