"""Fields of an AccessPolicy on the wire: what is kept, exempt by an expression, bodies that are given, leeway."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, gateway, metadata, opaque, policy, route, rule, service, target
from system_tokens import ISSUER, Issuer, bearer

PORT = 8080
HOST = "fields.test"
KEY = "ann-0123456789abcdef"
#: OpenBSD's test vector: `U*U`.
STAFF = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
PASSWORD = ("authorization", f"Basic {base64.b64encode(b'ann:U*U').decode()}")
#: Octets of bodies that the authoriser is given.
FORWARDED = 16

Field = tuple[str, str]
protocols = pytest.mark.parametrize("how", [Http1, Http2])


def by_body(request: Received) -> bytes:
    """Who says so in the body may."""
    return response(b"", "200 OK" if request.body == b"please" else "403 Forbidden")


class World:
    def __init__(self, start: Callable[..., Gateway], backend: Callable[..., Backend]) -> None:
        self.issuer = Issuer("one")
        provider = {
            "name": "login",
            "issuer": ISSUER,
            "audiences": ["shop"],
            "keys": {"configMapRef": {"name": "keys"}},
        }
        places = [{"header": "X-API-Key"}, {"query": "key"}, {"cookie": "key"}]
        keys: Manifest = {"secretRefs": [{"name": "clients"}], "from": places, "forward": {"header": "X-User"}}
        users: Manifest = {"secretRef": {"name": "staff"}, "forward": {"header": "X-User"}}
        parts: dict[str, Manifest] = {
            "key": {"apiKey": keys},
            "key-kept": {"apiKey": {**keys, "keep": True}},
            "basic": {"basic": users},
            "basic-kept": {"basic": {**users, "keep": True}},
            "exempt": {
                "basic": users,
                "exempt": {"when": "request.path.endsWith('/open') && !('x-strict' in request.headers)"},
            },
            "allow": {"authorization": {"rules": [{"headers": [{"name": "X-Area", "values": ["a", "b"]}]}]}},
            "body": {
                "external": {
                    "protocol": "HTTP",
                    "backendRef": {"name": "auth", "port": 80},
                    "forwardBody": {"maxSize": FORWARDED},
                }
            },
            "leeway": {"jwt": {"providers": [provider]}},
            "exact": {"jwt": {"providers": [provider], "leeway": "0s"}},
            "claims": {
                "jwt": {"providers": [provider]},
                "authorization": {
                    "rules": [
                        {"action": "Deny", "claims": [{"name": "suspended", "values": ["true"]}]},
                        {"claims": [{"name": "groups", "values": ["staff"]}, {"name": "org.id", "values": ["7"]}]},
                    ]
                },
            },
        }
        jwks = json.dumps({"keys": [self.issuer.jwk()]})
        self.gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in parts),
            *(policy("AccessPolicy", name, target("HTTPRoute", name), **part) for name, part in parts.items()),
            *service("app", backend("app").address),
            *service("auth", backend(by_body).address),
            opaque("clients", ann=KEY),
            opaque("staff", auth=STAFF),
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("keys"), "data": {"jwks.json": jwks}},
        )

    def ask(self, how: Any, path: str, *fields: Field, body: bytes | None = None) -> Response:
        with closing(how(self.gateway.address, PORT)) as connection:
            found: Response = connection.request("GET" if body is None else "POST", HOST, path, fields, body)
            return found


@pytest.fixture(scope="module")
def world(start: Callable[..., Gateway], backend: Callable[..., Backend]) -> World:
    return World(start, backend)


@protocols
@pytest.mark.parametrize("kept", [False, True])
def test_keys_are_kept_or_taken_out(world: World, how: Any, *, kept: bool) -> None:
    path = "/key-kept" if kept else "/key"
    for target_, field in (
        (path, ("x-api-key", KEY)),
        (f"{path}?a=1&key={KEY}&b=2", ("x-other", "1")),
        (path, ("cookie", f"theme=dark; key={KEY}")),
    ):
        found = world.ask(how, target_, field)
        assert (found.status, found.sent("x-user")) == (200, "ann")
        assert (KEY in json.dumps(found.echo)) is kept, field
    assert world.ask(how, f"{path}?key={KEY}", ("x-api-key", "another")).status == 401


@protocols
@pytest.mark.parametrize("kept", [False, True])
def test_passwords_are_kept_or_taken_out(world: World, how: Any, *, kept: bool) -> None:
    found = world.ask(how, "/basic-kept" if kept else "/basic", PASSWORD)
    assert (found.status, found.sent("x-user")) == (200, "ann")
    assert found.sent("authorization") == (PASSWORD[1] if kept else None)


@protocols
def test_who_is_exempt_by_an_expression(world: World, how: Any) -> None:
    assert world.ask(how, "/exempt/open").status == 200
    assert world.ask(how, "/exempt/open", PASSWORD).sent("x-user") == "ann"
    assert world.ask(how, "/exempt/open", ("x-strict", "1")).status == 401
    assert world.ask(how, "/exempt/shut").status == 401


@protocols
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((), 403),
        ((("x-area", "a"),), 200),
        ((("x-area", "a"), ("x-area", "b")), 200),
        ((("x-area", "a"), ("x-area", "c")), 403),
        ((("x-area", "a, c"),), 403),
        ((("x_area", "a"),), 403),
    ],
)
def test_a_rule_that_allows_by_fields(world: World, how: Any, fields: tuple[Field, ...], status: int) -> None:
    assert world.ask(how, "/allow", *fields).status == status


@protocols
def test_a_service_that_is_given_bodies(world: World, how: Any) -> None:
    assert world.ask(how, "/body", body=b"please").echo["body"] == "please"
    assert world.ask(how, "/body", body=b"now").status == 403
    assert world.ask(how, "/body").status == 403
    assert world.ask(how, "/body", body=b"x" * (FORWARDED + 1)).status == 413


@protocols
def test_clocks_that_are_apart(world: World, how: Any) -> None:
    now = int(time.time())
    late, soon = world.issuer.token(exp=now - 20), world.issuer.token(nbf=now + 20)
    for token in (late, soon):
        assert world.ask(how, "/leeway", bearer(token)).status == 200
        assert world.ask(how, "/exact", bearer(token)).status == 401
    assert world.ask(how, "/leeway", bearer(world.issuer.token(exp=now - 90))).status == 401
    assert world.ask(how, "/exact", bearer(world.issuer.token())).status == 200


@protocols
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 403),
        ({"groups": ["staff"], "org": {"id": 7}}, 200),
        ({"groups": "staff", "org": {"id": "7"}}, 200),
        ({"groups": ["guests", "staff"], "org.id": 7}, 200),
        ({"groups": ["staff"]}, 403),
        ({"groups": ["staff"], "org": {"id": 8}}, 403),
        ({"groups": ["staff"], "org": {"id": [7, 8]}}, 200),
        ({"groups": ["Staff"], "org": {"id": 7}}, 403),
        ({"groups": ["staff,admin"], "org": {"id": 7}}, 403),
        ({"groups": {"staff": True}, "org": {"id": 7}}, 403),
        ({"groups": [["staff"]], "org": {"id": 7}}, 403),
        ({"groups": ["staff"], "org": {"id": 7}, "suspended": True}, 403),
        ({"groups": ["staff"], "org": {"id": 7}, "suspended": False}, 200),
    ],
)
def test_rules_by_claims(world: World, how: Any, claims: Manifest, status: int) -> None:
    """All claims of a rule, one value of each; a way through objects; a rule that denies comes first."""
    assert world.ask(how, "/claims", bearer(world.issuer.token(**claims))).status == status
