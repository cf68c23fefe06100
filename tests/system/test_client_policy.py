"""ClientPolicies on the wire: at a Gateway, a listener, a route and a rule, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

from typing import Any

import pytest
from system_backends import Backend, response
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import backend_policy, gateway, listener, policy, route, rule, service, target

EVERYWHERE, ROUTE, RULE, ENFORCED = 2_000, 3_000, 50, 100
PORT, ENFORCED_PORT, TRUSTING_PORT = 8080, 8081, 8082


class World:
    """A gateway whose policies give each way to one backend another limit."""

    def __init__(self, start: Any, backend: Any) -> None:
        self.backend: Backend = backend(lambda _request: response(b"taken"))
        wrong = policy(
            "ClientPolicy", "wrong", target("HTTPRoute", "route", "wrong"), body={"maxSize": "999999999999Gi"}
        )
        self.gateway: Gateway = start(
            gateway(listener(), listener("enforced", ENFORCED_PORT), listener("trusting", TRUSTING_PORT)),
            route(rule("/", "app"), name="plain", hostnames=["plain.test"]),
            route(
                rule("/rule", "app", name="small"),
                rule("/off", "app", name="off"),
                rule("/wrong", "app", name="wrong"),
                rule("/", "app"),
                hostnames=["route.test"],
            ),
            policy("ClientPolicy", "everywhere", target("Gateway", "gateway"), body={"maxSize": EVERYWHERE}),
            policy(
                "ClientPolicy",
                "trusting",
                target("Gateway", "gateway", "trusting"),
                clientAddress={"trustedProxies": ["127.0.0.0/8", "192.0.2.0/24"]},
            ),
            policy(
                "ClientPolicy",
                "enforced",
                target("Gateway", "gateway", "enforced"),
                strategy="Overrides",
                body={"maxSize": ENFORCED},
            ),
            policy("ClientPolicy", "route", target("HTTPRoute", "route"), body={"maxSize": ROUTE}),
            policy("ClientPolicy", "rule", target("HTTPRoute", "route", "small"), body={"maxSize": RULE}),
            policy("ClientPolicy", "off", target("HTTPRoute", "route", "off"), body={"mode": "Disabled"}),
            wrong,
            *service("app", self.backend.address),
        )

    def put(self, client: type[Http1] | type[Http2], port: int, host: str, path: str, size: int) -> Response:
        connection = client(self.gateway.address, port)
        try:
            return connection.request("PUT", host, path, (), bytes(size))
        finally:
            connection.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> World:
    return World(start, backend)


@pytest.mark.parametrize(
    ("port", "host", "path", "limit"),
    [
        pytest.param(PORT, "plain.test", "/inherited", EVERYWHERE, id="of the Gateway"),
        pytest.param(PORT, "route.test", "/lower", ROUTE, id="of the route"),
        pytest.param(PORT, "route.test", "/rule", RULE, id="of the rule"),
        pytest.param(ENFORCED_PORT, "plain.test", "/enforced", ENFORCED, id="of the listener"),
        pytest.param(
            ENFORCED_PORT, "route.test", "/rule/enforced", ENFORCED, id="of the listener in place of the rule"
        ),
        pytest.param(ENFORCED_PORT, "route.test", "/off/enforced", ENFORCED, id="not to be switched off"),
    ],
)
def test_the_limit_that_holds(
    world: World, client: type[Http1] | type[Http2], port: int, host: str, path: str, limit: int
) -> None:
    whole, larger = f"{path}/{client.__name__}/whole", f"{path}/{client.__name__}/larger"
    assert world.put(client, port, host, whole, limit).status == 200
    assert [len(each.body) for each in world.backend.requests if each.target == whole] == [limit]
    found = world.put(client, port, host, larger, limit + 1)
    assert found.status == 413
    assert found.body.startswith(b"body_too_large: ")
    assert [each for each in world.backend.requests if each.target == larger] == []


def test_a_part_that_is_switched_off(world: World, client: type[Http1] | type[Http2]) -> None:
    assert world.put(client, PORT, "route.test", "/off", 10 * EVERYWHERE).status == 200


def test_nothing_passes_a_policy_that_cannot_be_honoured(world: World, client: type[Http1] | type[Http2]) -> None:
    before = len(world.backend.requests)
    found = world.put(client, PORT, "route.test", "/wrong", 0)
    assert (found.status, found.body.partition(b":")[0]) == (500, b"policy_invalid")
    assert len(world.backend.requests) == before


@pytest.mark.parametrize(
    ("port", "sent", "forwarded"),
    [
        pytest.param(PORT, "6.6.6.6", "", id="nobody is believed by default"),
        pytest.param(TRUSTING_PORT, "6.6.6.6, 203.0.113.9", "6.6.6.6, 203.0.113.9, ", id="a proxy of the policy is"),
    ],
)
def test_whose_word_counts(
    world: World, client: type[Http1] | type[Http2], port: int, sent: str, forwarded: str
) -> None:
    """What clients say of where they come from goes on from proxies that the listener's policy trusts."""
    connection = client(world.gateway.address, port)
    path = f"/forwarded/{client.__name__}/{port}"
    fields = (("x-forwarded-for", sent), ("x-forwarded-proto", "https"), ("x_forwarded_for", "7.7.7.7"))
    try:
        assert connection.request("GET", "plain.test", path, fields, b"").status == 200
        own = connection.socket.getsockname()[0]
    finally:
        connection.close()
    [seen] = [each for each in world.backend.requests if each.target == path]
    assert [value for name, value in seen.headers if name.lower().replace("_", "-") == "x-forwarded-for"] == [
        f"{forwarded}{own}"
    ]
    assert dict(seen.headers)["x-forwarded-proto"] == ("https" if forwarded else "http")


def test_backends_know_the_client_that_a_proxy_of_the_policy_names(start: Any, backend: Any, client: Any) -> None:
    """By its address they are chosen, and its sessions are marked by how it came."""
    backends = [backend(name) for name in "abcd"]
    hashed = {"type": "Hash", "hash": {"key": ["client"]}}
    kept = {"type": "Cookie", "cookie": {"name": "sid"}}
    found: Gateway = start(
        gateway(listener(), listener("trusting", TRUSTING_PORT)),
        route(rule("/kept", "app", sessionPersistence=kept), rule("/", "app")),
        *service("app", *(each.address for each in backends)),
        backend_policy("hashed", "app", loadBalancing=hashed),
        policy(
            "ClientPolicy",
            "trusting",
            target("Gateway", "gateway", "trusting"),
            clientAddress={"trustedProxies": ["127.0.0.0/8"]},
        ),
    )

    def names(port: int, addresses: list[str]) -> list[str]:
        connection = client(found.address, port)
        try:
            answers = [connection.request("GET", "a.test", "/", (("x-forwarded-for", it),)) for it in addresses]
        finally:
            connection.close()
        return [str(each.echo["backend"]) for each in answers]

    addresses = [f"203.0.113.{number}" for number in range(40)]
    assert len(set(names(PORT, addresses))) == 1
    assert len(set(names(TRUSTING_PORT, addresses))) == 4
    assert names(TRUSTING_PORT, addresses) == names(TRUSTING_PORT, addresses)
    assert len(set(names(TRUSTING_PORT, ["203.0.113.7"] * 10))) == 1
    for port, secure in ((PORT, False), (TRUSTING_PORT, True)):
        connection = client(found.address, port)
        try:
            answer = connection.request("GET", "a.test", "/kept", (("x-forwarded-proto", "https"),))
        finally:
            connection.close()
        assert ("secure" in (answer.header("set-cookie") or "").lower().split("; ")) is secure
