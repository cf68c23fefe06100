"""`explain` of a request that no rule takes: what Gateway and listener say of it, from where and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import dump, gateway, http_filter, listener, opaque, policy, route, rule, service, target

Explain = Callable[..., tuple[int, str]]
KEY = "ann-0123456789abcdef"
KEYS = {"secretRefs": [{"name": "clients"}]}
FIELDS = {"headers": {"response": {"set": [{"name": "x-listener", "value": "fielded"}]}}}
REFERENCE = {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": "fields"}


def authorization(*rules: dict[str, Any], default: str = "Deny") -> dict[str, Any]:
    return {"authorization": {"default": default, "rules": list(rules)}}


WORLD = (
    gateway(
        listener("open", 80),
        listener("keyed", 81),
        listener("own", 82),
        listener("fielded", 83, filters={"requests": [{"type": "ExtensionRef", "extensionRef": REFERENCE}]}),
    ),
    http_filter("fields", **FIELDS),
    route(rule("/there", "app"), hostnames=["shop.test"]),
    *service("app", ("10.0.0.1", 80)),
    opaque("clients", ann=KEY),
    policy(
        "AccessPolicy",
        "whole",
        target("Gateway", "gateway"),
        **authorization({"name": "blocked", "action": "Deny", "clients": ["198.51.100.0/24"]}, default="Allow"),
    ),
    policy("AccessPolicy", "keyed", target("Gateway", "gateway", "keyed"), apiKey=KEYS),
    policy("AccessPolicy", "own", target("Gateway", "gateway", "own"), **authorization({"methods": ["GET"]})),
    policy("AccessPolicy", "of-route", target("HTTPRoute", "route"), csrf={}),
    policy(
        "RateLimitPolicy",
        "limits",
        target("Gateway", "gateway", "keyed"),
        local={"limits": [{"name": "each", "key": ["client"], "requests": 5, "per": "1m"}]},
    ),
)


@pytest.mark.parametrize(
    ("asked", "options", "lines", "answer"),
    [
        # Of the whole Gateway.
        (
            "http://shop.test/none",
            ("--from", "198.51.100.7"),
            ["authorization of AccessPolicy/default/whole: refuses: by rules[0] (blocked)  [Gateway default/gateway]"],
            "403 (forbidden)",
        ),
        (
            "http://shop.test/none",
            ("--from", "192.0.2.1"),
            [
                "authorization of AccessPolicy/default/whole: passes: no rule holds, and default is Allow"
                "  [Gateway default/gateway]"
            ],
            "404 (no_route)",
        ),
        # Of a host that nobody has.
        (
            "http://other.test/there",
            ("--from", "198.51.100.7"),
            ["authorization of AccessPolicy/default/whole: refuses: by rules[0] (blocked)  [Gateway default/gateway]"],
            "403 (forbidden)",
        ),
        # Of the listener besides, in the order of the chain.
        (
            "http://shop.test:81/none",
            ("--from", "192.0.2.1"),
            [
                "local of RateLimitPolicy/default/limits: counts; taken to pass here:"
                " each (5 in 60s, burst 5, key client)  [Gateway default/gateway/keyed]",
                "apiKey of AccessPolicy/default/keyed: refuses: there is no key in X-API-Key"
                "  [Gateway default/gateway/keyed]",
            ],
            "401 (unauthenticated)",
        ),
        (
            "http://shop.test:81/none",
            ("--from", "192.0.2.1", "-H", f"x-api-key: {KEY}"),
            [
                "local of RateLimitPolicy/default/limits: counts; taken to pass here:"
                " each (5 in 60s, burst 5, key client)  [Gateway default/gateway/keyed]",
                "apiKey of AccessPolicy/default/keyed: passes  [Gateway default/gateway/keyed]",
                "authorization of AccessPolicy/default/whole: passes: no rule holds, and default is Allow"
                "  [Gateway default/gateway]",
            ],
            "404 (no_route)",
        ),
        # The listener's own in place of the Gateway's.
        (
            "POST http://shop.test:82/none",
            ("--from", "198.51.100.7"),
            [
                "authorization of AccessPolicy/default/own: refuses: no rule holds, and default is Deny"
                "  [Gateway default/gateway/own]"
            ],
            "403 (forbidden)",
        ),
        (
            "http://shop.test:82/none",
            ("--from", "198.51.100.7"),
            ["authorization of AccessPolicy/default/own: passes: by rules[0]  [Gateway default/gateway/own]"],
            "404 (no_route)",
        ),
    ],
)
def test_what_the_chain_says(
    explain: Explain, tmp_path: Path, asked: str, options: tuple[str, ...], lines: list[str], answer: str
) -> None:
    (tmp_path / "all.yaml").write_text(dump(*WORLD))
    status, said = explain(tmp_path, "--request", asked, *options)
    assert status == 1
    found = [line.strip() for line in said.splitlines()]
    assert [line.removeprefix("policy").strip() for line in found if line.startswith("policy ")] == lines
    assert [line.removeprefix("answer").strip() for line in found if line.startswith("answer ")] == [answer]
    # What only a route says is nothing that this request has.
    assert "of-route" not in said


def test_what_a_listener_writes_into_its_answers(explain: Explain, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(dump(*WORLD))
    status, said = explain(tmp_path, "--request", "http://shop.test:83/none", "--from", "192.0.2.1", "--output", "json")
    found = json.loads(said)
    assert (status, found["decision"]["status"], found["decision"]["reason"]) == (1, 404, "no_route")
    assert ["x-listener", "fielded"] in found["decision"]["response"]["headers"]
    assert found["decision"]["listener"] == "Gateway/default/gateway/fielded"
    assert found["origins"] == ["Gateway default/gateway"]
