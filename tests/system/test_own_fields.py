"""What the gateway adds to responses by itself, and what it never does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "fields.test"
DATE = "Tue, 15 Nov 1994 08:12:31 GMT"
Protocol = type[Http1] | type[Http2]
ORIGIN = "https://shop.test"
SET = [
    {"name": "X-Forwarded-Prefix", "value": "/api"},
    {"name": "X-Forwarded-Proto", "value": "https"},
    {"name": "X-Real-IP", "value": "192.0.2.1"},
    {"name": "X-Forwarded-For", "value": "192.0.2.1"},
    {"name": "Forwarded", "value": "for=192.0.2.1"},
]
SETS: dict[str, Any] = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": SET}}
EDITS: list[dict[str, Any]] = [
    {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "Strict-Transport-Security", "value": "max-age=1"}]},
    },
    {"type": "CORS", "cors": {"allowOrigins": [ORIGIN], "allowMethods": ["PUT"]}},
]


def cors(**spec: Any) -> dict[str, Any]:
    return {"type": "CORS", "cors": spec}


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any) -> Iterator[Gateway]:
    release = threading.Event()

    def fields(request: Received) -> tuple[tuple[str, str], ...]:
        return (("Date" if request.version == "1.1" else "date", DATE),) if request.target.endswith("/dated") else ()

    def varying(request: Received) -> bytes:
        value = request.target.partition("/vary/")[2]
        return response(b"body", headers=(("Vary", value),) if value else ())

    def answer(request: Received) -> bytes:
        if request.target.endswith("/204"):
            return response(b"", "204 No Content")
        return response(b"body", headers=fields(request))

    def answer2(request: Received) -> tuple[list[tuple[str, str]], bytes, list[tuple[str, str]]]:
        if request.target.endswith("/204"):
            return [(":status", "204")], b"", []
        return [(":status", "200"), *fields(request)], b"body", []

    found: Gateway = start(
        gateway(),
        route(
            rule("/h1", "h1"),
            rule("/h2", "h2"),
            rule("/moved", filters=[*EDITS, {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]),
            rule("/empty", "empty", filters=EDITS),
            rule("/missing", "missing", filters=EDITS),
            rule("/gone", "gone", filters=EDITS),
            rule("/late", "silent", filters=EDITS, timeouts={"request": "100ms"}),
            rule("/set", "echo", filters=[SETS]),
            rule("/added", "echo", filters=[{**SETS, "requestHeaderModifier": {"add": SET}}]),
            rule("/shared", "varying", filters=EDITS),
            rule("/open", "varying", filters=[cors(allowOrigins=["*"], allowMethods=["*"], allowHeaders=["*"])]),
            rule(
                "/any",
                "varying",
                filters=[cors(allowOrigins=["*"], allowMethods=["*"], allowHeaders=["*"], allowCredentials=True)],
            ),
            rule("/renamed", "echo", filters=[{"type": "URLRewrite", "urlRewrite": {"hostname": "inner.test"}}]),
        ),
        *service("echo", backend("echo").address),
        *service("varying", backend(varying).address),
        *service("empty"),
        *service("gone", ("127.0.0.1", 9)),
        *service("silent", backend(lambda _request: release.wait(LIMIT) and None).address),
        *service("h1", backend(answer).address),
        *service("h2", backend2(answer2).address, protocol="kubernetes.io/h2c"),
    )
    yield found
    release.set()


@pytest.mark.parametrize("app", ["h1", "h2"])
def test_every_response_has_one_date(world: Gateway, client: Protocol, app: str) -> None:
    """RFC 9110 section 6.6.1: that of the backend, else the time it came."""
    connection = client(world.address, PORT)
    for target in (f"/{app}/dated", f"/{app}/undated", f"/{app}/204", "/nope"):
        found = connection.request("GET", HOST, target)
        (date,) = [value for name, value in found.headers if name.lower() == "date"]
        assert (date == DATE) == target.endswith("/dated")
        assert parsedate_to_datetime(date).year >= (1994 if target.endswith("/dated") else 2026)
    connection.close()


@pytest.mark.parametrize("app", ["h1", "h2"])
def test_no_content_has_no_length(world: Gateway, client: Protocol, app: str) -> None:
    """RFC 9110 section 8.6, also where the backend says 0."""
    connection = client(world.address, PORT)
    found = connection.request("GET", HOST, f"/{app}/204")
    connection.close()
    assert found.status == 204
    assert found.header("content-length") is None
    assert found.header("transfer-encoding") is None


@pytest.mark.parametrize(
    ("target", "status"), [("/moved", 302), ("/empty", 503), ("/missing", 500), ("/gone", 503), ("/late", 504)]
)
def test_answers_for_a_rule_have_its_response_fields(
    world: Gateway, client: Protocol, target: str, status: int
) -> None:
    """Security headers are on every answer, and a script of an allowed origin may read why it failed."""
    connection = client(world.address, PORT)
    found = connection.request("GET", HOST, target, (("origin", ORIGIN),))
    assert found.status == status
    assert found.header("strict-transport-security") == "max-age=1"
    assert found.header("access-control-allow-origin") == ORIGIN
    assert found.header("vary") == "Origin"
    assert (found.header("location") is not None) == (status == 302)
    found = connection.request("GET", HOST, target)
    assert found.status == status
    assert found.header("strict-transport-security") == "max-age=1"
    assert found.header("access-control-allow-origin") is None
    assert found.header("vary") == "Origin"
    connection.close()


@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.test", None], ids=["allowed", "not-allowed", "none"])
def test_caches_are_told_that_the_origin_matters(world: Gateway, client: Protocol, origin: str | None) -> None:
    """Whoever asks: an answer without CORS fields would be given to those that need them (the Fetch standard)."""
    connection = client(world.address, PORT)
    allowed = origin if origin == ORIGIN else None
    fields = () if origin is None else (("origin", origin),)

    def vary(target: str) -> list[str]:
        found = connection.request("GET", HOST, target, fields)
        assert found.status == 200
        assert found.header("access-control-allow-origin") == ("*" if target.startswith("/open") else allowed)
        return [value for name, value in found.headers if name.lower() == "vary"]

    assert vary("/shared") == ["Origin"]
    assert vary("/shared/vary/Accept") == ["Accept", "Origin"]
    assert vary("/shared/vary/Accept,origin") == ["Accept,origin"]
    assert vary("/shared/vary/*") == ["*"]
    # The same to everybody, so also to those that are not asked for an origin, and caches need not care.
    assert vary("/open") == []
    assert vary("/open/vary/Accept") == ["Accept"]
    connection.close()


@pytest.mark.parametrize(("target", "listed"), [("/any", None), ("/open", "*")])
def test_preflights_that_request_no_fields(world: Gateway, client: Protocol, target: str, listed: str | None) -> None:
    """With credentials `*` is no wildcard but a name, and there is nothing to say in its place (`allowHeaders`)."""
    connection = client(world.address, PORT)
    asked = (("origin", ORIGIN), ("access-control-request-method", "PUT"))
    found = connection.request("OPTIONS", HOST, target, asked)
    assert found.status == 204
    assert found.header("access-control-allow-headers") == listed
    assert found.header("access-control-allow-methods") == (listed or "PUT")
    found = connection.request("OPTIONS", HOST, target, (*asked, ("access-control-request-headers", "x-a,x-b")))
    assert found.header("access-control-allow-headers") == (listed or "x-a,x-b")
    connection.close()


def test_preflights_have_the_response_filters(world: Gateway, client: Protocol) -> None:
    connection = client(world.address, PORT)
    asked = (("origin", ORIGIN), ("access-control-request-method", "PUT"))
    found = connection.request("OPTIONS", HOST, "/empty", asked)
    connection.close()
    assert found.status == 204
    assert found.header("strict-transport-security") == "max-age=1"
    assert found.header("access-control-allow-methods") == "PUT"


def test_an_answer_without_a_rule_has_none(world: Gateway, client: Protocol) -> None:
    connection = client(world.address, PORT)
    found = connection.request("GET", HOST, "/nope", (("origin", ORIGIN),))
    connection.close()
    assert found.status == 404
    assert found.header("strict-transport-security") is None
    assert found.header("access-control-allow-origin") is None


@pytest.mark.parametrize("target", ["/set", "/added"])
def test_what_a_filter_sets_is_sent(world: Gateway, client: Protocol, target: str) -> None:
    """What a client says of where it comes from is replaced; what the route's author writes there is not."""
    connection = client(world.address, PORT)
    forged = tuple((field["name"].lower(), "6.6.6.6") for field in SET)
    forged += (("x-forwarded-host", "6.6.6.6"), ("x-forwarded-port", "6.6.6.6"))
    found = connection.request("GET", HOST, target, forged)
    for field in SET:
        assert found.sent(field["name"].lower()) == field["value"]
    assert (found.sent("x-forwarded-host"), found.sent("x-forwarded-port")) == (HOST, None)
    assert "6.6.6.6" not in str(found.echo["headers"])
    found = connection.request("GET", HOST, "/renamed", forged)
    assert (found.sent("host"), found.sent("x-forwarded-host"), found.sent("x-forwarded-proto")) == (
        "inner.test",
        HOST,
        "http",
    )
    assert "6.6.6.6" not in str(found.echo["headers"])
    connection.close()
