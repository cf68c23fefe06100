"""Whose name an override's rules go by: that of its own credentials, whoever else overrides as well."""

from __future__ import annotations

from typing import Any

import pytest
from system_gateway import Gateway
from system_manifests import Manifest, gateway, listener, metadata, policy, route, rule, service, target
from test_access_policy import ANN, HOST, KEY_ANN, KEY_BOB, PORT, USERS, basic, opaque

EVERYBODY = {"namespaces": {"from": "All"}}


def elsewhere(item: Manifest) -> Manifest:
    """Of somebody who owns no Gateway."""
    return {**item, "metadata": {**item["metadata"], "namespace": "elsewhere"}}


def listener_set(**at_listener: Any) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": metadata("set"),
        "spec": {
            "parentRef": {"name": "gateway", "namespace": "default"},
            "listeners": [listener("own", PORT + 1, **at_listener)],
        },
    }


def test_a_listener_set_names_nobody_for_its_gateway(start: Any, backend: Any, client: Any) -> None:
    """The set's owner calls the client of a key `ann`, who may do what eve may not."""
    parent = {"kind": "ListenerSet", "group": "gateway.networking.k8s.io", "name": "set"}
    world: Gateway = start(
        gateway(allowedListeners=EVERYBODY),
        opaque("users", auth=USERS),
        policy(
            "AccessPolicy",
            "above",
            target("Gateway", "gateway"),
            strategy="Overrides",
            basic={"secretRef": {"name": "users", "key": "auth"}},
            authorization={"rules": [{"users": ["ann"]}]},
        ),
        elsewhere(listener_set(allowedRoutes=EVERYBODY)),
        elsewhere(route(rule("/", "app"), parents=[parent])),
        *map(elsewhere, service("app", backend("app").address)),
        elsewhere(opaque("own", ann=KEY_ANN)),
        elsewhere(
            policy(
                "AccessPolicy",
                "below",
                target("ListenerSet", "set"),
                strategy="Overrides",
                apiKey={"secretRefs": [{"name": "own"}]},
            )
        ),
    )
    key = ("x-api-key", KEY_ANN)
    connection = client(world.address, PORT + 1)
    assert connection.request("GET", HOST, "/", (*basic("ann", ANN), key)).status == 200
    assert connection.request("GET", HOST, "/", (*basic("eve", "password"), key)).status == 403
    connection.close()


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"basic": {"mode": "Optional", "secretRef": {"name": "users", "key": "auth"}}}, id="optional"),
        pytest.param({}, id="without credentials"),
    ],
)
def test_a_route_names_nobody_for_its_gateway(start: Any, backend: Any, client: Any, own: Manifest) -> None:
    """A route's owner calls the client of a key `ann`: to the Gateway's rules that is nobody, and who is denied."""
    rules = [{"users": ["ann"]}, {"methods": ["GET"], "when": "identity.user != 'bob'"}]
    world: Gateway = start(
        gateway(),
        opaque("users", auth=USERS),
        opaque("own", ann=KEY_ANN, bob=KEY_BOB),
        policy(
            "AccessPolicy",
            "above",
            target("Gateway", "gateway"),
            strategy="Overrides",
            authorization={"rules": rules},
            **own,
        ),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        policy("AccessPolicy", "below", target("HTTPRoute", "route"), apiKey={"secretRefs": [{"name": "own"}]}),
    )
    connection = client(world.address, PORT)
    key = ("x-api-key", KEY_ANN)
    assert connection.request("POST", HOST, "/", (key,)).status == 403
    # What is allowed to nobody in particular is; not to whom the rule leaves out.
    assert connection.request("GET", HOST, "/", (key,)).status == 200
    assert connection.request("GET", HOST, "/", (("x-api-key", KEY_BOB),)).status == 403
    if own:
        assert connection.request("POST", HOST, "/", (*basic("ann", ANN), key)).status == 200
        assert connection.request("POST", HOST, "/", (*basic("eve", "password"), key)).status == 403
    connection.close()


@pytest.mark.parametrize(
    ("own", "statuses"),
    [
        # Whom the Gateway's own credentials do not know is one client, whatever the route calls him.
        pytest.param(
            {"basic": {"mode": "Optional", "secretRef": {"name": "users", "key": "auth"}}},
            [200, 200, 429, 429],
            id="own",
        ),
        # Without any the route's word counts.
        pytest.param({}, [200, 200, 200, 200], id="without credentials"),
    ],
)
def test_whom_limits_of_a_gateway_count(
    start: Any, backend: Any, client: Any, own: Manifest, statuses: list[int]
) -> None:
    """A route's owner has as many names for a client as he likes."""
    limit = {"name": "user", "key": ["user"], "requests": 2, "per": "1h"}
    above = [policy("AccessPolicy", "above", target("Gateway", "gateway"), strategy="Overrides", **own)] if own else []
    world: Gateway = start(
        gateway(),
        opaque("users", auth=USERS),
        opaque("own", ann=KEY_ANN, bob=KEY_BOB),
        *above,
        policy(
            "RateLimitPolicy", "limits", target("Gateway", "gateway"), strategy="Overrides", local={"limits": [limit]}
        ),
        route(rule("/", "app")),
        *service("app", backend("app").address),
        policy("AccessPolicy", "below", target("HTTPRoute", "route"), apiKey={"secretRefs": [{"name": "own"}]}),
    )
    connection = client(world.address, PORT)
    keys = [("x-api-key", key) for key in (KEY_ANN, KEY_BOB) * 2]
    assert [connection.request("GET", HOST, "/", (key,)).status for key in keys] == statuses
    if own:
        known = [connection.request("GET", HOST, "/", (*basic("eve", "password"), keys[0])).status for _ in range(3)]
        assert known == [200, 200, 429]
    connection.close()
