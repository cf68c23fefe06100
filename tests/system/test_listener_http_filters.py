"""HTTPFilters of listeners, over HTTP/1.1 and HTTP/2: what holds for all of their requests, whatever routes say."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway, until
from system_grpc import LIMIT, GrpcBackend, channel
from system_manifests import (
    Manifest,
    by,
    gateway,
    grpc_route,
    grpc_rule,
    http_filter,
    listener,
    opaque,
    policy,
    route,
    rule,
    service,
    target,
)

HOST = "shop.test"
EDITED, AWAY, FAULTY, PAGED, CALLS = 8080, 8081, 8082, 8083, 8084
KEY = "0123456789"
Client = type[Http1] | type[Http2]


def pages(request: Received) -> bytes | None:
    """A page that says what was asked."""
    asked = ("x-code", "x-namespace", "x-ingress-name", "x-original-uri")
    told = [request.header(name) for name in asked]
    return response(f"page {told}".encode(), "200 OK", (("content-type", "text/html"),))


def filtered(name: str, port: int, *filters: str) -> Manifest:
    return listener(name, port, filters={"requests": by(*filters)})


@pytest.fixture(scope="module")
def calls() -> Iterator[GrpcBackend]:
    served = GrpcBackend("calls")
    yield served
    served.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, calls: GrpcBackend) -> tuple[Gateway, Backend]:
    served = backend("app")
    named = {"name": "gateway"}
    found: Gateway = start(
        gateway(
            filtered("edited", EDITED, "edits"),
            filtered("away", AWAY, "edits", "away"),
            filtered("faulty", FAULTY, "fault", "buffer"),
            filtered("paged", PAGED, "pages", "edits"),
            filtered("calls", CALLS, "buffer"),
        ),
        route(
            rule("/app", "app", filters=by("rule-edits")),
            rule("/answer", filters=by("answer")),
            rule(
                "/redirect",
                filters=[{"type": "RequestRedirect", "requestRedirect": {"hostname": "other.test"}}],
            ),
            rule("/own-fault", "app", filters=by("own-fault")),
            rule("/own-buffer", "app", filters=by("own-buffer")),
            rule("/own-page", "gone", filters=by("own-page")),
            rule("/gone", "gone"),
            parents=[{**named, "sectionName": name} for name in ("edited", "away", "faulty", "paged")],
        ),
        grpc_route(grpc_rule("calls"), name="calls", parents=[{**named, "sectionName": "calls"}]),
        *service("app", served.address),
        *service("gone", ("127.0.0.1", 1)),
        *service("pages", backend(pages).address),
        *service("calls", calls.address),
        http_filter(
            "edits",
            headers={
                "request": {"set": [{"name": "x-edge", "value": "1"}], "remove": ["x-internal"]},
                "response": {
                    "set": [
                        {"name": "x-by", "value": "edge"},
                        {"name": "x-rule", "value": "the listener"},
                        {"name": "x-asked", "expression": "request.method + ' ' + request.path"},
                    ],
                    "remove": ["x-secret"],
                },
            },
        ),
        http_filter(
            "rule-edits",
            headers={
                "response": {
                    "add": [{"name": "x-rule", "value": "the rule"}, {"name": "x-secret", "value": "1"}],
                }
            },
        ),
        http_filter(
            "away", respond={"status": 503, "headers": [{"name": "retry-after", "value": "120"}], "body": "at noon"}
        ),
        http_filter("answer", respond={"status": 200, "body": "the rule"}),
        http_filter("fault", fault={"abort": {"status": 418}, "when": "'yes' in request.headers['x-fault']"}),
        http_filter("own-fault", fault={"abort": {"status": 419}, "when": "'yes' in request.headers['x-fault']"}),
        http_filter("buffer", buffer={"maxSize": 1_000}),
        http_filter("own-buffer", buffer={"maxSize": 10_000}),
        http_filter(
            "pages",
            errorPages=[
                {"statuses": [404], "backendRef": {"name": "pages", "port": 80}, "timeout": "5s"},
                {"statuses": ["5xx"], "body": "the listener"},
            ],
        ),
        http_filter("own-page", errorPages=[{"statuses": ["5xx"], "body": "the rule"}]),
        opaque("keys", ann=KEY),
        policy("AccessPolicy", "away", target("Gateway", "gateway", "away"), apiKey={"secretRefs": [{"name": "keys"}]}),
    )
    return found, served


def ask(world: Any, client: Client, port: int, path: str, *fields: tuple[str, str], **rest: Any) -> Response:
    connection = client(world[0].address, port)
    try:
        return connection.request(rest.get("method", "GET"), HOST, path, fields, rest.get("body"))
    finally:
        connection.close()


def test_edits_of_all_requests_and_answers(world: Any, client: Client) -> None:
    found = ask(world, client, EDITED, "/app/a", ("x-edge", "mine"), ("x-internal", "1"))
    assert (found.sent("x-edge"), found.sent("x-internal")) == ("1", None)
    # Behind those of the rule.
    fields = [found.header(name) for name in ("x-by", "x-rule", "x-secret", "x-asked")]
    assert fields == ["edge", "the listener", None, "GET /app/a"]
    for path, status in (("/answer", 200), ("/redirect", 302), ("/gone", 503)):
        found = ask(world, client, EDITED, path)
        assert (found.status, found.header("x-by"), found.header("x-asked")) == (status, "edge", f"GET {path}")


def test_what_has_no_rule_is_edited_too(world: Any, client: Client) -> None:
    """Nothing is known then that an expression could ask."""
    found = ask(world, client, EDITED, "/none")
    assert (found.status, found.header("x-by"), found.header("x-asked")) == (404, "edge", None)


def test_a_listener_answers_in_place_of_its_rules(world: Any, client: Client) -> None:
    key = ("x-api-key", KEY)
    for path in ("/app", "/answer", "/redirect", "/gone"):
        found = ask(world, client, AWAY, path, key)
        assert (found.status, found.body) == (503, b"at noon"), path
        fields = [found.header(name) for name in ("retry-after", "content-type", "location", "x-by")]
        assert fields == ["120", "text/plain; charset=utf-8", None, "edge"]


def test_policies_come_before_an_answer(world: Any, client: Client) -> None:
    found = ask(world, client, AWAY, "/app")
    assert (found.status, found.header("retry-after")) == (401, None)
    # Also of what has no rule: 404 is for those whom they let in.
    assert ask(world, client, AWAY, "/none").status == 401
    assert ask(world, client, AWAY, "/none", ("x-api-key", KEY)).status == 404


def test_a_fault_of_all_rules_but_those_with_their_own(world: Any, client: Client) -> None:
    fault = ("x-fault", "yes")
    assert ask(world, client, FAULTY, "/app", fault).status == 418
    assert ask(world, client, FAULTY, "/own-fault", fault).status == 419
    assert ask(world, client, FAULTY, "/app").status == 200
    assert 'sluicegate_faults_total{rule="Gateway/default/gateway/faulty",fault="abort"}' in world[0].admin("/metrics")


def test_bodies_are_collected_but_where_a_rule_says_how(world: Any, client: Client) -> None:
    sizes = (("/app", 1_000, 200), ("/app", 1_001, 413), ("/own-buffer", 10_000, 200), ("/own-buffer", 10_001, 413))
    for path, size, status in sizes:
        found = ask(world, client, FAULTY, path, method="POST", body=b"x" * size)
        assert found.status == status, (path, size)
        if status == 200:
            assert found.sent("content-length") == str(size)


def test_calls_are_not_collected(world: Any) -> None:
    """Each message is answered before the next one is sent, and all together are more than bodies may be."""
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    with channel(world[0].address, CALLS, HOST) as made:
        answered = made.stream_stream("/pkg.Shop/Chat")(iter(requests.get, None), timeout=LIMIT)
        for turn in range(5):
            requests.put(bytes([turn]) * 400)
            assert next(answered) == bytes([turn]) * 400
        requests.put(None)
        assert list(answered) == []
        assert answered.code() is grpc.StatusCode.OK


def test_pages_of_a_listener(world: Any, client: Client) -> None:
    found = ask(world, client, PAGED, "/none?a=1")
    told = ["404", None, None, "/none?a=1"]
    assert (found.status, found.body) == (404, f"page {told}".encode())
    # What the filters write into the error stays.
    assert (found.header("content-type"), found.header("x-by")) == ("text/html", "edge")
    assert ask(world, client, PAGED, "/gone").body == b"the listener"
    assert ask(world, client, PAGED, "/own-page").body == b"the rule"
    assert ask(world, client, PAGED, "/none", method="HEAD").body == b""
    assert b"no_route" in ask(world, client, EDITED, "/none").body


def test_filters_of_a_listener_are_followed(start: Any, backend: Any) -> None:
    """One that changes holds; a listener whose filter is gone, or means nothing for listeners, is not served."""
    objects = [
        gateway(filtered("filtered", EDITED, "it"), listener("other", AWAY)),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        opaque("token", credential="one"),
    ]
    running = start(*objects, http_filter("it", fault={"abort": {"status": 418}}))

    def status(port: int) -> int | None:
        try:
            connection = Http1(running.address, port)
        except ConnectionError:
            return None
        try:
            return connection.request("GET", HOST, "/").status
        except ConnectionError:
            return None
        finally:
            connection.close()

    def is_answered(expected: int | None) -> bool:
        return status(EDITED) == expected

    assert status(EDITED) == 418
    for made, expected in (
        ([http_filter("it", respond={"status": 503})], 503),
        ([http_filter("it", errorPages=[{"statuses": [404], "backendRef": {"name": "none", "port": 80}}])], 200),
        ([], None),
        ([http_filter("it", fault={"abort": {"status": 419}})], 419),
        ([http_filter("it", credential={"secretRef": {"name": "token"}})], None),
        ([http_filter("it", fault={"abort": {"status": 420}})], 420),
        ([http_filter("it", rewrite={"hostFrom": {"header": "x-host"}})], None),
        ([http_filter("it", headers={"request": {"set": [{"name": "x", "expression": "client.address"}]}})], None),
    ):
        running.write(*objects, *made)
        until(partial(is_answered, expected), f"status {expected}")
        assert status(AWAY) == 200
