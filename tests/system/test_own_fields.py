"""What the gateway adds to responses by itself, and what it never does."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import gateway, route, rule, service

PORT = 8080
HOST = "fields.test"
DATE = "Tue, 15 Nov 1994 08:12:31 GMT"
Protocol = type[Http1] | type[Http2]


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any) -> Gateway:
    def fields(request: Received) -> tuple[tuple[str, str], ...]:
        return (("Date" if request.version == "1.1" else "date", DATE),) if request.target.endswith("/dated") else ()

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
        route(rule("/h1", "h1"), rule("/h2", "h2")),
        *service("h1", backend(answer).address),
        *service("h2", backend2(answer2).address, protocol="kubernetes.io/h2c"),
    )
    return found


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
