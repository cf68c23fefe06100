"""Matches of rules and hashes by `X-Forwarded-*` see what the backend is told, never what a client says of itself."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    backend_policy,
    by,
    gateway,
    http_filter,
    listener,
    policy,
    route,
    rule,
    service,
    target,
)

PLAIN, BELIEVED, SET = 8080, 8081, 8082
HOST = "origin.test"
Client = type[Http1] | type[Http2]
Fields = tuple[tuple[str, str], ...]


def matching(path: str, name: str, value: str, to: str, kind: str = "Exact") -> Manifest:
    match = {"path": {"value": path}, "headers": [{"type": kind, "name": name, "value": value}]}
    return {"matches": [match], "backendRefs": [{"name": to, "port": 80}]}


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Gateway:
    """Rules for what clients may pretend, before one for all; listeners that believe nobody, everybody, a filter."""
    edit = {"request": {"set": [{"name": "X-Forwarded-Proto", "value": "https"}]}}
    names = ("secure", "plain", "inside", "named", "odd", "other")
    found: Gateway = start(
        gateway(
            listener(), listener("believed", BELIEVED), listener("set", SET, filters={"requests": by("tls-ended")})
        ),
        route(
            matching("/scheme", "X-Forwarded-Proto", "https", "secure"),
            matching("/scheme", "x-forwarded-proto", "http", "plain"),
            matching("/address", "x-forwarded-for", r"10\..*", "inside", "RegularExpression"),
            matching("/host", "x-forwarded-host", "admin.test", "named"),
            matching("/odd", "x-real-ip", ".*", "odd", "RegularExpression"),
            matching("/odd", "forwarded", ".*", "odd", "RegularExpression"),
            matching("/odd", "x_forwarded_proto", ".*", "odd", "RegularExpression"),
            rule("/", "other"),
            rule("/hash", "three"),
        ),
        policy(
            "ClientPolicy",
            "believing",
            target("Gateway", "gateway", "believed"),
            clientAddress={"trustedProxies": ["127.0.0.0/8"]},
        ),
        *(item for name in names for item in service(name, backend(name).address)),
        *service("three", *(backend(name).address for name in "abc")),
        http_filter("tls-ended", headers=edit),
        backend_policy("hash", "three", loadBalancing={"type": "Hash", "hash": {"key": ["header:x-forwarded-for"]}}),
    )
    return found


def ask(world: Gateway, client: Client, port: int, path: str, fields: Fields) -> Response:
    with closing(client(world.address, port)) as connection:
        found: Response = connection.request("GET", HOST, path, fields)
    assert found.status == 200
    return found


@pytest.mark.parametrize(
    ("path", "fields", "plain", "believed", "by_filter"),
    [
        ("/scheme", (("x-forwarded-proto", "https"),), "plain", "secure", "secure"),
        ("/scheme", (), "plain", "plain", "secure"),
        ("/scheme", (("x-forwarded-proto", "http"),), "plain", "plain", "secure"),
        ("/address", (("x-forwarded-for", "10.1.2.3"),), "other", "inside", "other"),
        ("/address", (), "other", "other", "other"),
        ("/host", (("x-forwarded-host", "admin.test"),), "other", "named", "other"),
        # What is sent on from nobody.
        (
            "/odd",
            (("x-real-ip", "10.1.2.3"), ("forwarded", "for=10.1.2.3"), ("x_forwarded_proto", "https")),
            *("other",) * 3,
        ),
    ],
)
def test_what_is_matched_is_what_is_sent_on(
    world: Gateway, client: Client, path: str, fields: Fields, plain: str, believed: str, by_filter: str
) -> None:
    for port, name in ((PLAIN, plain), (BELIEVED, believed), (SET, by_filter)):
        assert ask(world, client, port, path, fields).echo["backend"] == name, port


def test_what_belongs_to_the_connection_is_no_way_round(world: Gateway) -> None:
    """Fields that `Connection` names are matched, but for these."""
    fields = (("connection", "x-forwarded-proto"), ("x-forwarded-proto", "https"))
    for port in (PLAIN, BELIEVED):
        assert ask(world, Http1, port, "/scheme", fields).echo["backend"] == "plain"


def test_a_client_does_not_choose_its_endpoint(world: Gateway, client: Client) -> None:
    """One client, one address that the backend is told; a trusted proxy's clients are told apart."""

    def chosen(port: int) -> set[str]:
        pretended = (f"10.0.0.{number}" for number in range(40))
        return {ask(world, client, port, "/hash", (("x-forwarded-for", each),)).echo["backend"] for each in pretended}

    assert len(chosen(PLAIN)) == 1
    assert chosen(BELIEVED) == set("abc")
