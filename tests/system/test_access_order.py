"""What policies see of a request (AccessPolicy.md, "In which order"): filters before and behind, preflights."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import gateway, listener, metadata, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "order.test"
ORIGIN = "https://app.test"
PREFLIGHT = (("origin", ORIGIN), ("access-control-request-method", "PUT"))
KEY = ("x-api-key", "ann-0123456789abcdef")
OF_LISTENER = {
    "apiVersion": "sluicegate.dev/v1alpha1",
    "kind": "RequestHeaderFilter",
    "metadata": metadata("area"),
    "spec": {"set": [{"name": "x-area", "value": "shop"}]},
}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/private"}}}
EDIT = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-late", "value": "yes"}]}}
CORS = {"type": "CORS", "cors": {"allowOrigins": [ORIGIN], "allowMethods": ["PUT"]}}


@pytest.fixture(scope="module")
def world(start: Callable[..., Gateway], backend: Callable[..., Backend]) -> Gateway:
    own = {
        "type": "ExtensionRef",
        "extensionRef": {"group": "sluicegate.dev", "kind": "RequestHeaderFilter", "name": "area"},
    }
    rules = [
        {"action": "Deny", "when": "request.path == '/private'"},
        {"action": "Deny", "headers": [{"name": "x-late", "values": ["yes"]}]},
        {"headers": [{"name": "x-area", "values": ["shop"]}]},
    ]
    return start(
        gateway(listener(port=PORT, filters={"requests": [own]})),
        OF_LISTENER,
        route(rule("/rewritten", "app", filters=[REWRITE, EDIT]), name="order"),
        route(
            {**rule("/cors", "app", filters=[CORS]), "name": "cors"},
            {**rule("/none", "app"), "name": "none"},
            name="keys",
        ),
        *service("app", backend("app").address),
        opaque("clients", ann=KEY[1]),
        policy("AccessPolicy", "order", target("HTTPRoute", "order"), authorization={"rules": rules}),
        policy("AccessPolicy", "keys", target("HTTPRoute", "keys"), apiKey={"secretRefs": [{"name": "clients"}]}),
    )


def ask(world: Gateway, how: Any, method: str, path: str, *fields: tuple[str, str]) -> Any:
    with closing(how(world.address, PORT)) as connection:
        return connection.request(method, HOST, path, fields)


@pytest.mark.parametrize("how", [Http1, Http2])
def test_filters_of_the_listener_come_before_and_those_of_the_rule_behind(world: Gateway, how: Any) -> None:
    found = ask(world, how, "GET", "/rewritten")
    assert found.status == 200
    got = json.loads(found.body)
    assert got["target"] == "/private"
    sent = {name.lower(): value for name, value in got["headers"]}
    assert (sent["x-late"], sent["x-area"]) == ("yes", "shop")
    # What a client sends of it counts.
    assert ask(world, how, "GET", "/rewritten", ("x-late", "yes")).status == 403


@pytest.mark.parametrize("how", [Http1, Http2])
def test_a_preflight_needs_the_filter(world: Gateway, how: Any) -> None:
    found = ask(world, how, "OPTIONS", "/cors", *PREFLIGHT)
    assert (found.status, found.header("access-control-allow-origin")) == (204, ORIGIN)
    assert ask(world, how, "OPTIONS", "/none", *PREFLIGHT).status == 401
    assert ask(world, how, "OPTIONS", "/none", *PREFLIGHT, KEY).status == 200
    assert ask(world, how, "PUT", "/cors", ("origin", ORIGIN)).status == 401
