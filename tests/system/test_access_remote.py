"""AccessPolicy by tokens of an identity provider, and by a service that is asked."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, gateway, metadata, route, rule, service
from system_tokens import ISSUER, Issuer, bearer

PORT = 8080
HOST = "access.test"
Client = type[Http1] | type[Http2]
_numbers = itertools.count()


def policy(name: str, target: str, **stanzas: Any) -> Manifest:
    reference = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": target}
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": metadata(name),
        "spec": {"targetRefs": [reference], **stanzas},
    }


def jwt(**rest: Any) -> Manifest:
    forward = [{"claim": "sub", "header": "X-User"}, {"claim": "realm.roles", "header": "x-roles"}]
    keys = {"configMapRef": {"name": "keys"}}
    provider = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": keys, "forward": forward}
    return {"providers": [provider], **rest}


def keys_of(*keys: Manifest) -> Manifest:
    data = {"jwks.json": json.dumps({"keys": list(keys)})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("keys"), "data": data}


def authorise(request: Received) -> bytes:
    """Who has `x-group: staff` may."""
    return response(b"", "200 OK" if request.header("x-group") == "staff" else "403 Forbidden")


class World:
    def __init__(self, start: Any, backend: Any) -> None:
        self.app: Backend = backend("app")
        self.auth: Backend = backend(authorise)
        self.issuer = Issuer("one")
        external = {
            "protocol": "HTTP",
            "backendRef": {"name": "auth", "port": 80},
            "http": {"allowedHeaders": ["x-group"]},
        }
        away = {"protocol": "HTTP", "backendRef": {"name": "away", "port": 80}}
        names = ("required", "optional", "stripped", "scoped", "asked", "closed", "open")
        places = {"from": [{"cookie": "session"}, {"query": "token"}]}
        allow = {"rules": [{"action": "Allow", "scopes": ["read"]}]}
        self.objects = [
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in names),
            policy("required", "required", jwt=jwt()),
            policy("optional", "optional", jwt=jwt(mode="Optional")),
            policy("stripped", "stripped", jwt=jwt(keep=False, **places)),
            policy("scoped", "scoped", jwt=jwt(), authorization=allow),
            policy("asked", "asked", jwt=jwt(), external=external),
            policy("closed", "closed", external=away),
            policy("open", "open", external={**away, "onUnavailable": "Allow"}),
            *service("app", self.app.address),
            *service("auth", self.auth.address),
            *service("away", ("127.0.0.1", 1)),
        ]
        self.gateway: Gateway = start(*self.objects, keys_of(self.issuer.jwk()))

    def send(
        self, client: Client, path: str, *fields: tuple[str, str], query: str = ""
    ) -> tuple[Response, list[Received]]:
        """The response, and what of this request reached the backend."""
        target = f"{path}/{next(_numbers)}"
        connection = client(self.gateway.address, PORT)
        try:
            found = connection.request("GET", HOST, f"{target}{query}", fields)
        finally:
            connection.close()
        return found, [each for each in self.app.requests if each.target.startswith(target)]


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> World:
    return World(start, backend)


def test_a_token_lets_in_and_is_told(world: World, client: Client) -> None:
    token = world.issuer.token(realm={"roles": ["a", "b"]})
    for _ in range(3):  # verified, then remembered
        found, [forwarded] = world.send(client, "/required", bearer(token), ("x_user", "root"), ("X-ROLES", "root"))
        assert found.status == 200
        assert [forwarded.header(name) for name in ("x-user", "x-roles", "x_user")] == ["ada", "a,b", None]
        assert forwarded.header("authorization") == f"Bearer {token}"


def test_claims_that_are_not_there_are_nobody_s(world: World, client: Client) -> None:
    _, [forwarded] = world.send(client, "/required", bearer(world.issuer.token(sub=None)), ("X-User", "root"))
    assert [value for _, value in forwarded.headers if value == "root"] == []


def test_without_a_token(world: World, client: Client) -> None:
    found, reached = world.send(client, "/required", ("X-User", "root"))
    assert (found.status, found.header("www-authenticate"), reached) == (401, 'Bearer realm="required"', [])
    found, [forwarded] = world.send(client, "/optional", ("X-User", "root"))
    assert (found.status, forwarded.header("x-user")) == (200, None)


ATTACKS: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 3600),
    "no exp": lambda issuer: issuer.token(exp=None),
    "exp is text": lambda issuer: issuer.token(exp=str(int(time.time()) + 300)),
    "not yet": lambda issuer: issuer.token(nbf=int(time.time()) + 3600),
    "other issuer": lambda issuer: issuer.token(iss="https://evil.test"),
    "other audience": lambda issuer: issuer.token(aud="bank"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another's key": lambda _: Issuer("one").token(),
    "unknown key": lambda issuer: issuer.token({"alg": "ES256", "kid": "two"}),
    "none": lambda issuer: issuer.token({"alg": "none"}).rpartition(".")[0] + ".",
    "shared secret": lambda issuer: issuer.token({"alg": "HS256"}),
    "critical": lambda issuer: issuer.token({"alg": "ES256", "crit": ["x"], "x": 1}),
    "brought along": lambda _: Issuer("two").token({"alg": "ES256", "jwk": Issuer("two").jwk()}),
    "too long": lambda issuer: issuer.token(x="x" * 17_000),
    "nonsense": lambda _: "a.b.c",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("path", ["/required", "/optional"])
def test_bad_tokens(world: World, client: Client, path: str, attack: str) -> None:
    """Optional says that there need be no token, and never that a bad one will do."""
    found, reached = world.send(client, path, bearer(ATTACKS[attack](world.issuer)))
    assert (found.status, reached) == (401, [])


def test_two_tokens(world: World, client: Client) -> None:
    """A backend could take any of them."""
    two = (bearer(world.issuer.token()), bearer(world.issuer.token(sub="eve")))
    assert world.send(client, "/required", *two)[0].status == 401


def test_tokens_elsewhere_that_the_backend_does_not_get(world: World, client: Client) -> None:
    token = world.issuer.token()
    found, [forwarded] = world.send(client, "/stripped", ("cookie", f"a=1; session={token}"))
    assert (found.status, forwarded.header("cookie"), forwarded.header("x-user")) == (200, "a=1", "ada")
    found, [forwarded] = world.send(client, "/stripped", query=f"?a=1&token={token}&b=2")
    assert (found.status, forwarded.target.partition("?")[2]) == (200, "a=1&b=2")
    assert world.send(client, "/stripped", bearer(token))[0].status == 401


def test_scopes(world: World, client: Client) -> None:
    assert world.send(client, "/scoped", bearer(world.issuer.token()))[0].status == 200
    assert world.send(client, "/scoped", bearer(world.issuer.token(scope="write")))[0].status == 403


def test_a_service_is_asked_about_those_who_are_known(world: World, client: Client) -> None:
    token = bearer(world.issuer.token())
    before = len(world.auth.requests)
    assert world.send(client, "/asked", ("x-group", "staff"))[0].status == 401
    assert len(world.auth.requests) == before
    assert world.send(client, "/asked", token)[0].status == 403
    assert world.send(client, "/asked", token, ("x-group", "staff"))[0].status == 200
    assert len(world.auth.requests) == before + 2


def test_a_service_that_is_away(world: World, client: Client) -> None:
    found, reached = world.send(client, "/closed")
    assert (found.status, found.body.split(b":")[0], reached) == (503, b"auth_unavailable", [])
    found, [forwarded] = world.send(client, "/open")
    assert (found.status, forwarded.method) == (200, "GET")


def test_keys_that_are_exchanged(start: Any, backend: Any, client: Client) -> None:
    """What was verified by a key is worth nothing once that is gone."""
    app, old, new = backend("app"), Issuer("old"), Issuer("new")
    objects = [gateway(), route(rule("/", "app"), name="r"), policy("p", "r", jwt=jwt()), *service("app", app.address)]
    running = start(*objects, keys_of(old.jwk()))
    tokens = bearer(old.token()), bearer(new.token())

    def statuses() -> list[int]:
        connection = client(running.address, PORT)
        found = [connection.request("GET", HOST, "/", (token,)).status for token in tokens]
        connection.close()
        return found

    assert statuses() == [200, 401]
    running.write(*objects, keys_of(old.jwk(), new.jwk()))
    assert statuses() == [200, 200]
    running.write(*objects, keys_of(new.jwk()))
    assert statuses() == [401, 200]
