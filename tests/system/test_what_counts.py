"""What a RateLimitPolicy counts: each request once, whatever becomes of it, and users by their name alone."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from system_backends import response
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import Manifest, gateway, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "counts.test"
KEY = "ann-0123456789abcdef"
#: OpenBSD's test vector: `U*U`.
STAFF = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
PASSWORD = f"Basic {base64.b64encode(b'ann:U*U').decode()}"

Start = Callable[..., Gateway]


def limits(requests: int, *key: str) -> Manifest:
    limit = {"name": "limit", "requests": requests, "per": "1h", "key": list(key)}
    return policy("RateLimitPolicy", "limits", target("HTTPRoute", "route"), local={"limits": [limit]})


@pytest.fixture
def app(backend: Any) -> list[Manifest]:
    return service("app", backend(lambda _request: response(b"taken")).address)


@pytest.mark.parametrize("how", [Http1, Http2])
def test_what_filters_answer_and_what_is_refused_behind_the_limit(start: Start, app: list[Manifest], how: type) -> None:
    away = {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.test", "statusCode": 301}}
    world = start(
        gateway(),
        route(rule("/away", filters=[away]), {**rule("/staff", "app"), "name": "staff"}, rule("/", "app")),
        *app,
        limits(3),
        opaque("keys", ann=KEY),
        policy(
            "AccessPolicy",
            "staff",
            target("HTTPRoute", "route", "staff"),
            apiKey={"secretRefs": [{"name": "keys"}]},
        ),
    )
    with closing(how(world.address, PORT)) as client:
        found = [client.request("GET", HOST, path).status for path in ("/away", "/staff", "/", "/", "/away")]
    assert found == [301, 401, 200, 429, 429]


@pytest.mark.parametrize("how", [Http1, Http2])
def test_users_of_one_name_share_a_budget(start: Start, app: list[Manifest], how: type) -> None:
    world = start(
        gateway(),
        route(rule("/", "app")),
        *app,
        limits(2, "user"),
        opaque("keys", ann=KEY, bob="bob-0123456789abcdef"),
        opaque("staff", auth=STAFF),
        policy(
            "AccessPolicy",
            "staff",
            target("HTTPRoute", "route"),
            apiKey={"secretRefs": [{"name": "keys"}]},
            basic={"secretRef": {"name": "staff"}},
        ),
    )
    by_key, by_password = ("x-api-key", KEY), ("authorization", PASSWORD)
    with closing(how(world.address, PORT)) as client:
        asked = (by_key, by_password, by_key, by_password, ("x-api-key", "bob-0123456789abcdef"))
        found = [client.request("GET", HOST, "/", (field,)).status for field in asked]
    assert found == [200, 200, 429, 429, 200]
