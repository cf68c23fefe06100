"""A field in which a policy looks for credentials may be one that policies set: it is judged, and then it is theirs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import backend_policy, gateway, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "shop.test"
MEMBERS = ("one", "two", "three", "four")
USERS = ("ann", "bob", "eve", "joe", "kim", "lea", "max", "zoe")
Client = type[Http1] | type[Http2]


def authorise(request: Received) -> bytes:
    """Let in who has a known token, and say who that is in the field of the token; of a guest nothing."""
    user = {"Bearer a": "ann", "Bearer b": "bob", "Bearer guest": ""}.get(request.header("authorization") or "")
    if user is None:
        return response(b"", "403 Forbidden")
    return response(b"", headers=(("authorization", f"Internal {user}"),) if user else ())


def basic(user: str, scheme: str = "Basic") -> tuple[str, str]:
    return "Authorization", f"{scheme} {base64.b64encode(f'{user}:password'.encode()).decode()}"


class World:
    def __init__(self, start: Any, backend: Any) -> None:
        self.app: Backend = backend("app")
        self.auth: Backend = backend(authorise)
        asked = {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}}
        own = {"allowedResponseHeaders": ["Authorization"]}
        parts: dict[str, Any] = {
            "asked": {"external": {**asked, "http": own}},
            "remembered": {"external": {**asked, "http": own, "cache": {"ttl": "5m"}}},
            "key": {
                "apiKey": {
                    "secretRefs": [{"name": "keys"}],
                    "from": [{"header": "X-Key"}],
                    "forward": {"header": "X-Key"},
                }
            },
            "password": {
                "basic": {"secretRef": {"name": "users", "key": "auth"}, "forward": {"header": "Authorization"}}
            },
        }
        filtered = {"type": "ExternalAuth", "externalAuth": {**asked, "http": own}}
        self.gateway: Gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in parts),
            *(policy("AccessPolicy", name, target("HTTPRoute", name), **part) for name, part in parts.items()),
            route(rule("/filtered", "app", filters=[filtered]), name="filtered"),
            opaque("keys", ann="secret-of-ann\n"),
            opaque("users", auth="".join(f"{name}:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n" for name in USERS)),
            *service("app", self.app.address),
            *service("auth", self.auth.address),
            route(rule("/hashed", "members"), name="hashed"),
            policy("AccessPolicy", "hashed", target("HTTPRoute", "hashed"), **parts["password"]),
            *service("members", *(backend(name).address for name in MEMBERS)),
            backend_policy(
                "by-user", "members", loadBalancing={"type": "Hash", "hash": {"key": ["header:authorization"]}}
            ),
        )

    def ask(self, client: Client, path: str, *fields: tuple[str, str]) -> Response:
        with closing(client(self.gateway.address, PORT)) as connection:
            return connection.request("GET", HOST, path, fields)


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Iterator[World]:
    return World(start, backend)


@pytest.mark.parametrize("path", ["/asked", "/remembered", "/filtered"])
@pytest.mark.parametrize("client", [Http1, Http2])
def test_a_service_judges_the_field_that_it_sets(world: World, client: Client, path: str) -> None:
    """What oauth2-proxy, Authelia and others are set up for: `auth-response-headers: Authorization`."""
    for _ in range(2):  # the second time from memory
        for token, status, told in (
            ("Bearer a", 200, "Internal ann"),
            ("Bearer b", 200, "Internal bob"),
            ("Bearer guest", 200, None),
            ("Internal ann", 403, None),
        ):
            found = world.ask(client, path, ("Authorization", token))
            assert (found.status, status == 200 and found.sent("authorization")) == (status, status == 200 and told)
        assert world.ask(client, path).status == 403


@pytest.mark.parametrize("client", [Http1, Http2])
def test_a_key_in_the_field_that_tells_its_user(world: World, client: Client) -> None:
    found = world.ask(client, "/key", ("X-Key", "secret-of-ann"))
    assert (found.status, found.sent("x-key")) == (200, "ann")
    assert [world.ask(client, "/key", *fields).status for fields in ((), (("X-Key", "ann"),))] == [401, 401]


@pytest.mark.parametrize("client", [Http1, Http2])
def test_a_password_in_the_field_that_tells_its_user(world: World, client: Client) -> None:
    found = world.ask(client, "/password", basic("ann"))
    assert (found.status, found.sent("authorization")) == (200, "ann")
    assert world.ask(client, "/password", ("Authorization", "ann")).status == 401


@pytest.mark.parametrize("client", [Http1, Http2])
def test_a_hash_is_of_what_the_backend_is_told(world: World, client: Client) -> None:
    """Who asks chooses the endpoint where a policy tells who that is, however it was proved."""
    of_user = {}
    for user in USERS:
        found = [world.ask(client, "/hashed", basic(user, scheme)) for scheme in ("Basic", "basic", "BASIC", "Basic")]
        assert [each.sent("authorization") for each in found] == [user] * 4
        (of_user[user],) = {each.echo["backend"] for each in found}
    assert len(set(of_user.values())) > 1
