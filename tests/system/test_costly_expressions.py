"""Expressions that take more steps than they may: they let nobody in, count as 1, and hold nobody up."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2, Response
from system_gateway import Gateway
from system_manifests import Manifest, gateway, opaque, policy, route, rule, service, target

PORT = 8080
HOST = "costly.test"
Client = type[Http1] | type[Http2]
NUMBERS = f"[{','.join(map(str, range(1, 34)))}]"
#: Each takes more than 20,000 steps: by small lists, by a text that doubles, by a long path.
COSTLY = {
    "product": f"{NUMBERS}.all(a, {NUMBERS}.all(b, {NUMBERS}.all(c, a + b + c > 0)))",
    "doubled": f"['aaaaaaaaaaaaaaaa']{'.map(x, x + x)' * 40}.size() == 1",
    "searched": f"{NUMBERS}.all(a, !request.path.matches('b$'))",
}
LONG = "a" * 30_000
CHEAP = {"when": "request.query == 'yes'"}


def allow(*rules: Manifest) -> Manifest:
    return {"authorization": {"rules": list(rules)}}


def costly(name: str) -> Manifest:
    return {"when": COSTLY[name]}


def access(name: str) -> dict[str, Manifest]:
    """AccessPolicies whose conditions are one of these, by the path where they hold."""
    return {
        f"allow-{name}": allow(costly(name)),
        f"deny-{name}": {"authorization": {"default": "Allow", "rules": [{"action": "Deny", **costly(name)}]}},
        f"exempt-{name}": {"apiKey": {"secretRefs": [{"name": "keys"}]}, "exempt": costly(name)},
        f"others-{name}": allow(costly(name), CHEAP),
    }


#: One takes a third of what all of a policy may take together, so nothing is left for the last rule.
TOGETHER = allow(*[costly("product")] * 3, CHEAP)


def limits(name: str) -> dict[str, Manifest]:
    """Limits of 2 whose expressions are one of these."""
    limit = {"name": "limit", "requests": 2, "per": "1h"}
    return {
        f"counted-{name}": {**limit, "when": COSTLY[name]},
        f"cost-{name}": {**limit, "cost": f"{COSTLY[name]} ? 2 : 0"},
        f"key-{name}": {**limit, "key": [f"cel:{COSTLY[name]} ? request.query : request.path"]},
    }


class World:
    def __init__(self, start: Callable[..., Gateway], backend: Any) -> None:
        self.app: Backend = backend("app")
        policies = {path: part for name in COSTLY for path, part in access(name).items()}
        policies["together"] = TOGETHER
        limited = {path: part for name in COSTLY for path, part in limits(name).items()}
        self.gateway = start(
            gateway(),
            *(route(rule(f"/{path}", "app"), name=path) for path in (*policies, *limited, "open")),
            *(policy("AccessPolicy", path, target("HTTPRoute", path), **part) for path, part in policies.items()),
            *(
                policy("RateLimitPolicy", path, target("HTTPRoute", path), local={"limits": [part]})
                for path, part in limited.items()
            ),
            opaque("keys", ann="0123456789abcdef"),
            *service("app", self.app.address),
        )

    def ask(self, client: Client, path: str, *fields: tuple[str, str], query: str = "") -> Response:
        with closing(client(self.gateway.address, PORT)) as connection:
            return connection.request("GET", HOST, f"/{path}/{LONG}?{query}", fields)

    def denied(self, path: str, part: str) -> int:
        labels = f'policy="AccessPolicy/default/{path}",part="{part}",verdict="deny"'
        pattern = rf"^sluicegate_policy_verdicts_total{{{re.escape(labels)}}} (\d+)$"
        found = re.search(pattern, self.gateway.admin("/metrics"), re.MULTILINE)
        return int(found[1]) if found else 0


@pytest.fixture
def world(start: Callable[..., Gateway], backend: Any) -> World:
    return World(start, backend)


@pytest.mark.parametrize("name", COSTLY)
def test_nobody_is_let_in_by_one(world: World, client: Client, name: str) -> None:
    """It allows nobody, denies everybody and exempts nobody; rules behind it hold, until all are too much together."""
    for path, part, query, status in (
        (f"allow-{name}", "authorization", "", 403),
        (f"deny-{name}", "authorization", "", 403),
        (f"exempt-{name}", "apiKey", "", 401),
        (f"others-{name}", "authorization", "yes", 200),
        (f"others-{name}", "authorization", "no", 403),
        ("together", "authorization", "yes", 403),
    ):
        before, reached = world.denied(path, part), len(world.app.requests)
        found = world.ask(client, path, query=query)
        assert found.status == status, path
        assert (world.denied(path, part), len(world.app.requests)) == (
            before + int(status != 200),
            reached + int(status == 200),
        )
        if status != 200:
            assert found.body.startswith(b"unauthenticated: " if status == 401 else b"forbidden: ")
    assert world.ask(client, f"exempt-{name}", ("x-api-key", "0123456789abcdef")).status == 200
    assert world.ask(client, "open").status == 200
    # It depends on the request, so nothing is wrong with the policy.
    assert world.gateway.ready["problems"] == []


@pytest.mark.parametrize("name", COSTLY)
def test_nobody_gets_around_a_limit_by_one(world: World, client: Client, name: str) -> None:
    """What it was to say counts as 1, and all such requests share a budget."""
    for path in limits(name):
        found = [world.ask(client, path, query=str(number)).status for number in range(3)]
        assert found == [200, 200, 429], path
