"""What the gateway itself answers to calls of gRPC: a status in the head and nothing else, whoever refuses."""

from __future__ import annotations

import base64
from contextlib import closing
from typing import Any

import pytest
from system_clients import Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, gateway, grpc_route, grpc_rule, metadata, policy, route, rule, service, target

PORT = 8080
KEY = "0123456789abcdef"
#: Of each host: what it has of a policy, or None; the status of gRPC, and the code of the error.
HOSTS: dict[str, tuple[Manifest | None, int, str]] = {
    "key": ({"apiKey": {"secretRefs": [{"name": "keys"}]}}, 16, "unauthenticated"),
    "rules": ({"authorization": {"rules": [{"clients": ["192.0.2.0/24"]}]}}, 7, "forbidden"),
    "csrf": ({"csrf": {}}, 7, "csrf"),
    "broken": ({"basic": {"secretRef": {"name": "missing"}}}, 14, "policy_invalid"),
    "away": ({"external": {"protocol": "HTTP", "backendRef": {"name": "away", "port": 80}}}, 14, "auth_unavailable"),
    "many": ({"local": {"limits": [{"name": "a", "requests": 1, "per": "1h", "cost": "1"}]}}, 8, "rate_limited"),
    "busy": (
        {"local": {"limits": [{"name": "a", "requests": 1, "per": "1h"}], "reject": {"status": 503}}},
        8,
        "rate_limited",
    ),
    "large": ({"body": {"maxSize": "1"}}, 8, "body_too_large"),
    "nobody": (None, 14, "no_endpoint"),
}
KINDS = {"local": "RateLimitPolicy", "body": "ClientPolicy"}


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> Gateway:
    objects: list[Manifest] = []
    for name, (spec, _, _) in HOSTS.items():
        app = "empty" if name == "nobody" else "app"
        objects.append(grpc_route(grpc_rule(app), name=name, hostnames=[f"{name}.test"]))
        # The same of an HTTPRoute: a call is known by its content type then.
        objects.append(route(rule("/", app), name=f"{name}-http", hostnames=[f"{name}.http.test"]))
        for kind, of in (("GRPCRoute", name), ("HTTPRoute", f"{name}-http")):
            if spec is not None:
                own = KINDS.get(next(iter(spec)), "AccessPolicy")
                objects.append(policy(own, of, target(kind, of), **spec))
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("keys"), "type": "Opaque"}
    keys["data"] = {"ann": base64.b64encode(KEY.encode()).decode()}
    found: Gateway = start(
        gateway(),
        *objects,
        keys,
        *service("app", backend("app").address),
        *service("away", ("127.0.0.1", 1)),
        *service("empty"),
    )
    return found


def call(world: Gateway, host: str) -> Response:
    fields = (
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("sec-fetch-site", "cross-site"),
        ("content-length", "5"),
    )
    with closing(Http2(world.address, PORT)) as connection:
        return connection.request("POST", host, "/pkg.Service/Method", fields, b"\0\0\0\0\0")


@pytest.mark.parametrize("suffix", ["test", "http.test"])
@pytest.mark.parametrize("name", HOSTS)
def test_denials_are_statuses(world: Gateway, name: str, suffix: str) -> None:
    _, status, code = HOSTS[name]
    found = call(world, f"{name}.{suffix}")
    if code == "rate_limited":
        # The first one used the budget up.
        found = call(world, f"{name}.{suffix}")
    assert (found.status, found.header("grpc-status"), found.body, found.trailers) == (200, str(status), b"", [])
    assert (found.header("grpc-message") or "").startswith(f"{code}: ")
    assert [value for key, value in found.headers if key == "content-type"] == ["application/grpc"]
    challenge = 'ApiKey realm="key"' if suffix == "test" else 'ApiKey realm="key-http"'
    assert found.header("www-authenticate") == (challenge if name == "key" else None)


def test_what_the_gateway_says_itself(world: Gateway) -> None:
    found = call(world, "unknown.test")
    assert (found.status, found.header("grpc-status"), found.body) == (200, "12", b"")
