"""`check` tells of timeouts of routes that never come, because a ClientPolicy gives requests there less time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import Manifest, dump, gateway, listener, policy, route, rule, service, target

Told = Callable[..., dict[str, str]]

GATEWAY = target("Gateway", "gateway")
LONG = {"timeouts": {"request": "60s"}}


def limit(request: str, *, overrides: bool = True, at: Manifest = GATEWAY, **rest: Any) -> Manifest:
    strategy = {"strategy": "Overrides"} if overrides else {}
    return policy("ClientPolicy", rest.pop("name", "edge"), at, **strategy, timeouts={"request": request, **rest})


@pytest.fixture
def told(command: Callable[..., tuple[int, str]], tmp_path: Path) -> Told:
    """What `check` says of one rule: messages by field."""

    def run(spec: Manifest, *manifests: Manifest, listeners: tuple[Manifest, ...] = ()) -> dict[str, str]:
        world = (gateway(*listeners), route({**rule("/", "app"), **spec}), *service("app", ("10.0.0.1", 80)))
        (tmp_path / "world.yaml").write_text(dump(*world, *manifests))
        document = json.loads(command("check", "--for", "standalone", "--output", "json", tmp_path)[1])
        problems = [item for item in document["problems"] if item["code"] == "shorter-timeout"]
        assert all((item["object"], item["severity"]) == ("HTTPRoute/default/route", "warning") for item in problems)
        assert all(item["line"] and item["remedy"] for item in problems)
        return {item["field"]: item["message"] for item in problems}

    return run


@pytest.mark.parametrize(
    ("spec", "own", "field"),
    [
        (LONG, limit("5s"), "request"),
        ({"timeouts": {"request": "60s", "backendRequest": "50s"}}, limit("5s"), "request"),
        ({"timeouts": {"backendRequest": "50s"}}, limit("5s"), "backendRequest"),
        # Where the route sets no time for a whole request, that of a default holds too.
        ({"timeouts": {"backendRequest": "50s"}}, limit("5s", overrides=False), "backendRequest"),
        (LONG, limit("5s", at=target("Gateway", "gateway", "http")), "request"),
    ],
    ids=["whole", "both", "each-try", "each-try-by-default", "of-a-listener"],
)
def test_a_timeout_that_never_comes(told: Told, spec: Manifest, own: Manifest, field: str) -> None:
    found = told(spec, own)
    assert list(found) == [f"spec.rules[0].timeouts.{field}"]
    (message,) = found.values()
    assert "ClientPolicy/default/edge gives a whole request" in message
    assert message.endswith("so 5s is what holds at Gateway/default/gateway/http")


@pytest.mark.parametrize(
    ("spec", "manifests"),
    [
        (LONG, []),
        ({}, [limit("5s")]),
        (LONG, [limit("60s")]),
        (LONG, [limit("5s", overrides=False)]),
        ({"timeouts": {"request": "60s", "backendRequest": "50s"}}, [limit("5s", overrides=False)]),
        ({"timeouts": {"backendRequest": "5s"}}, [limit("5s")]),
        (LONG, [policy("ClientPolicy", "edge", GATEWAY, strategy="Overrides", timeouts={"head": "5s"})]),
        (LONG, [policy("ClientPolicy", "edge", GATEWAY, strategy="Overrides", timeouts={"mode": "Disabled"})]),
        (LONG, [limit("5s", at=target("Gateway", "other"))]),
    ],
    ids=["no-policy", "no-timeout", "equal", "default", "default-and-tries", "try", "other-time", "off", "elsewhere"],
)
def test_timeouts_that_hold(told: Told, spec: Manifest, manifests: list[Manifest]) -> None:
    assert told(spec, *manifests, gateway(listener(port=8081), name="other")) == {}


def test_listeners_of_one_limit_are_told_together(told: Told) -> None:
    listeners = tuple(listener(f"l{index}", 8080 + index) for index in range(3))
    own = limit("7s", at=target("Gateway", "gateway", "l1"), name="own")
    (message,) = told(LONG, limit("5s"), listeners=listeners).values()
    assert message.endswith("Gateway/default/gateway/l0, Gateway/default/gateway/l1, Gateway/default/gateway/l2")
    (message,) = told(LONG, own, listeners=listeners).values()
    assert message.endswith("so 7s is what holds at Gateway/default/gateway/l1")


def test_many_policies_are_one_warning(told: Told) -> None:
    """Of the one that gives least: 1,000 routes with 64 policies were 64,000 warnings."""
    listeners = tuple(listener(f"l{index}", 8080 + index) for index in range(4))
    limits = [
        limit(f"{9 - index}s", at=target("Gateway", "gateway", f"l{index}"), name=f"p{index}") for index in range(4)
    ]
    (message,) = told(LONG, *limits, listeners=listeners).values()
    assert "ClientPolicy/default/p3 gives" in message
    assert message.endswith(
        "so 6s is what holds at Gateway/default/gateway/l3; 3 other ClientPolicies shorten it elsewhere"
    )
