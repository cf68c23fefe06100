"""RateLimitPolicy over HTTP/1.1 and HTTP/2: by what budgets are told apart, what is counted, and how much it takes.

Periods are hours, so that nothing comes back while a test runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from system_backends import response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, gateway, metadata, opaque, policy, route, rule, service, target
from system_tokens import ISSUER, Issuer, bearer

PORT = 8080
HOST = "keys.test"
Client = type[Http1] | type[Http2]
Fields = tuple[tuple[str, str], ...]
KEY_ANN, KEY_BOB = "ann-0123456789abcdef", "bob-0123456789abcdef"
PROVIDER = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": {"configMapRef": {"name": "login"}}}


def limit(requests: int = 2, **rest: Any) -> Manifest:
    return {"name": "limit", "requests": requests, "per": "1h", **rest}


#: What each route has of a limit; those of `ACCESS` authenticate as well.
LIMITS: dict[str, Manifest] = {
    "client": limit(key=["client"]),
    "host": limit(key=["host"]),
    "cel": limit(key=["cel:request.path.endsWith('a') ? 'a' : 'others'"]),
    "several": limit(1, key=["client", "header:x-key"]),
    "when": limit(1, when="request.method != 'GET'"),
    "cost": limit(10, cost="int(request.headers['x-cost'][0])"),
    "burst": limit(1000, burst=3),
    "user": limit(key=["user"]),
    "claim": limit(key=["claim:org.id"]),
    "identity": limit(1, when="'guest' in identity.scopes"),
}
ACCESS: dict[str, Manifest] = {
    "user": {"apiKey": {"secretRefs": [{"name": "keys"}], "mode": "Optional"}},
    "claim": {"jwt": {"providers": [PROVIDER]}},
    "identity": {"jwt": {"providers": [PROVIDER]}},
}


class World:
    def __init__(self, start: Callable[..., Gateway], backend: Any) -> None:
        self.issuer = Issuer("one")
        self.app = backend(lambda _: response(b"taken"))
        keys = {"jwks.json": json.dumps({"keys": [self.issuer.jwk()]})}
        self.gateway = start(
            gateway(),
            *(route(rule(f"/{name}", "app"), name=name) for name in LIMITS),
            *(
                policy("RateLimitPolicy", name, target("HTTPRoute", name), local={"limits": [found]})
                for name, found in LIMITS.items()
            ),
            *(policy("AccessPolicy", name, target("HTTPRoute", name), **found) for name, found in ACCESS.items()),
            policy(
                "ClientPolicy",
                "proxies",
                target("Gateway", "gateway"),
                clientAddress={"trustedProxies": ["127.0.0.0/8"]},
            ),
            opaque("keys", ann=KEY_ANN, bob=KEY_BOB),
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("login"), "data": keys},
            *service("app", self.app.address),
        )

    def ask(self, client: Client, path: str, fields: Fields = (), method: str = "GET", host: str = HOST) -> Response:
        with closing(client(self.gateway.address, PORT)) as connection:
            return connection.request(method, host, path, fields)


@pytest.fixture
def world(start: Callable[..., Gateway], backend: Any) -> World:
    return World(start, backend)


def of(address: str) -> Fields:
    return (("x-forwarded-for", address),)


def test_addresses(world: World, client: Client) -> None:
    """Of IPv6 a client has a /64, so it has one budget; whose address nobody knows shares with all such."""
    for address, status in (
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 200),
        ("2001:db8:0:1::3", 429),
        ("2001:db8:0:2::1", 200),
        ("203.0.113.1", 200),
        ("::ffff:203.0.113.1", 200),
        ("203.0.113.1", 429),
        ("203.0.113.2", 200),
        ("unknown", 200),
        ("203.0.113.2, nonsense", 200),
        ("_hidden", 429),
    ):
        assert world.ask(client, "/client", of(address)).status == status, address
    assert len(world.app.requests) == 8


def test_hosts_and_expressions(world: World, client: Client) -> None:
    for host, status in (("a.test", 200), ("A.test:8080", 200), ("a.test", 429), ("b.test", 200)):
        assert world.ask(client, "/host", host=host).status == status, host
    for path, status in (("/cel/a", 200), ("/cel/ba", 200), ("/cel/a", 429), ("/cel/b", 200), ("/cel/c", 200)):
        assert world.ask(client, path).status == status, path
    assert world.ask(client, "/cel/d").status == 429


def test_several_parts_are_one_key(world: World, client: Client) -> None:
    for address, key, status in (
        ("203.0.113.1", "1", 200),
        ("203.0.113.1", "2", 200),
        ("203.0.113.2", "1", 200),
        ("203.0.113.1", "1", 429),
        # Without the field: one budget of those that have none, not none at all.
        ("203.0.113.1", "", 200),
        ("203.0.113.1", "", 429),
    ):
        fields = (*of(address), *((("x-key", key),) if key else ()))
        assert world.ask(client, "/several", fields).status == status, (address, key)


def test_blanks_around_a_value_are_none_of_it(world: World, client: Client) -> None:
    """HTTP/2 lets them be sent, though nobody may (RFC 9113 section 8.2.1): no budget for each way to write a key."""
    statuses = [
        world.ask(client, "/several", (*of("203.0.113.9"), ("x-key", key))).status for key in ("a", " a", "a\t ")
    ]
    assert statuses == [200, 429, 429]


def test_what_is_counted_and_how_much_it_takes(world: World, client: Client) -> None:
    assert [world.ask(client, "/when").status for _ in range(5)] == [200] * 5
    assert [world.ask(client, "/when", method="PUT").status for _ in range(2)] == [200, 429]
    for cost, status in (("4", 200), ("7", 429), ("6", 200), ("1", 429), ("0", 200), ("-5", 429)):
        assert world.ask(client, "/cost", (("x-cost", cost),)).status == status, cost
    # A cost below nothing, and one that nobody can say, is 1: more than is left.
    assert world.ask(client, "/cost", (("x-cost", "much"),)).status == 429
    found = [world.ask(client, "/burst") for _ in range(4)]
    assert [each.status for each in found] == [200, 200, 200, 429]
    # Of the thousand in an hour one comes back each 3.6 seconds.
    assert 0 < int(found[-1].header("retry-after") or 0) <= 4


def test_who_authenticated(world: World, client: Client) -> None:
    """Behind authentication: who has no name shares with all who have none, and who is refused takes nothing."""
    ann, bob = (("x-api-key", KEY_ANN),), (("x-api-key", KEY_BOB),)
    for fields, status in (
        (ann, 200),
        ((("x-api-key", "wrong"),), 401),
        (ann, 200),
        (ann, 429),
        (bob, 200),
        ((), 200),
        ((("x-user", "ann"),), 200),
        ((), 429),
        (bob, 200),
    ):
        assert world.ask(client, "/user", fields).status == status, fields


def test_claims(world: World, client: Client) -> None:
    """One within others as well."""
    for org, status in (({"id": "a"}, 200), ({"id": "a", "more": 1}, 200), ({"id": "a"}, 429), ({"id": "b"}, 200)):
        token = bearer(world.issuer.token(org=org, jti=str(status)))
        assert world.ask(client, "/claim", (token,)).status == status, org
    for scope, statuses in (("read", [200] * 3), ("guest", [200, 429])):
        token = bearer(world.issuer.token(scope=scope))
        assert [world.ask(client, "/identity", (token,)).status for _ in statuses] == statuses
