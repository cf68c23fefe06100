"""What `check` says of policies where datagrams come: which part cannot be honoured, why, and what can be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import (
    GROUP,
    Manifest,
    backend,
    dump,
    gateway,
    listener,
    metadata,
    opaque,
    policy,
    service,
    target,
)

Told = Callable[..., list[tuple[str, str, str]]]

ROUTE, LISTENER = target("UDPRoute", "udp"), target("Gateway", "gateway", "udp")
KEYS = {"apiKey": {"secretRefs": [{"name": "clients"}]}}
ADDRESSES = {"authorization": {"rules": [{"name": "known", "action": "Allow", "clients": ["10.0.0.0/8"]}]}}
WORLD = (
    gateway(listener("udp", 5353, "UDP"), listener("tcp", 5353, "TCP")),
    *(
        {
            "apiVersion": GROUP,
            "kind": kind,
            "metadata": metadata(name),
            "spec": {
                "parentRefs": [{"name": "gateway", "sectionName": name}],
                "rules": [{"backendRefs": [backend("app")]}],
            },
        }
        for kind, name in (("UDPRoute", "udp"), ("TCPRoute", "tcp"))
    ),
    *service("app", ("10.0.0.1", 53)),
    opaque("clients", one="0123456789abcdef0123456789abcdef"),
)
ONLY_ADDRESSES = "the flows of a UDPRoute, of which only the client's address is known"
USE_CLIENTS = "use authorization with clients (addresses)"


@pytest.fixture
def told(command: Callable[..., tuple[int, str]], tmp_path: Path) -> Told:
    """What `check` says of a policy: code, message and remedy."""

    def run(own: Manifest) -> list[tuple[str, str, str]]:
        (tmp_path / "world.yaml").write_text(dump(*WORLD, own))
        document = json.loads(command("check", "--for", "standalone", "--output", "json", tmp_path)[1])
        problems = [item for item in document["problems"] if item["object"] == f"{own['kind']}/default/own"]
        return [(item["code"], item["message"], item["remedy"]) for item in problems]

    return run


def limit(**spec: Any) -> Manifest:
    return {"local": {"limits": [{"name": "few", "requests": 5, "per": "1s", **spec}]}}


def rule(**spec: Any) -> Manifest:
    return {"authorization": {"rules": [{"name": "some", "action": "Allow", **spec}]}}


@pytest.mark.parametrize(
    ("kind", "spec", "code", "words", "remedy"),
    [
        ("AccessPolicy", KEYS, "invalid-policy", f"apiKey cannot be asked of {ONLY_ADDRESSES}", "correct the policy"),
        ("AccessPolicy", KEYS, "invalid-policy", "flows of UDPRoute default/udp are dropped", "correct the policy"),
        ("AccessPolicy", KEYS, "invalid-policy", USE_CLIENTS, "correct the policy"),
        (
            "AccessPolicy",
            {**ADDRESSES, **KEYS},
            "policy-part-unused",
            f"means nothing for {ONLY_ADDRESSES}",
            USE_CLIENTS,
        ),
        (
            "AccessPolicy",
            rule(methods=["GET"], when="true"),
            "policy-part-unused",
            "it goes by methods, when",
            USE_CLIENTS,
        ),
        ("AccessPolicy", rule(users=["ann"]), "no-client-validation", "datagrams come there", USE_CLIENTS),
        ("AccessPolicy", {"certificate": {}}, "no-client-validation", "datagrams come there", USE_CLIENTS),
        (
            "RateLimitPolicy",
            limit(key=["header:x-a"]),
            "policy-part-unused",
            "it goes by key header",
            "use the key client",
        ),
        ("RateLimitPolicy", limit(when="true"), "policy-part-unused", "it goes by when", "use the key client"),
        ("RateLimitPolicy", limit(key=["host"]), "policy-part-unused", "goes by a host", "use the key client"),
        ("ClientPolicy", {"body": {"maxSize": 1}}, "policy-part-unused", ONLY_ADDRESSES, "take it out, or attach"),
    ],
)
def test_what_a_route_cannot_honour(told: Told, kind: str, spec: Manifest, code: str, words: str, remedy: str) -> None:
    (found,) = told(policy(kind, "own", ROUTE, **spec))
    assert found[0] == code
    assert words in found[1]
    assert remedy in found[2]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("AccessPolicy", ADDRESSES),
        ("RateLimitPolicy", limit(key=["client"])),
        ("RateLimitPolicy", {"local": {"limits": [{"name": "few", "concurrent": 3}]}}),
    ],
)
def test_what_it_can(told: Told, kind: str, spec: Manifest) -> None:
    assert told(policy(kind, "own", ROUTE, **spec)) == []


def test_a_listener_of_datagrams(told: Told) -> None:
    """TLS ends at none, so nobody is told to validate certificates there."""
    ((code, _, remedy),) = told(policy("AccessPolicy", "own", LISTENER, certificate={}))
    assert (code, remedy.startswith(USE_CLIENTS)) == ("no-client-validation", True)
    ((code, message, remedy),) = told(policy("AccessPolicy", "own", LISTENER, **KEYS))
    assert (code, remedy.startswith(USE_CLIENTS)) == ("policy-part-unused", True), message


def test_routes_of_connections_besides(told: Told) -> None:
    ((code, message, _),) = told(policy("AccessPolicy", "own", ROUTE, target("TCPRoute", "tcp"), **KEYS))
    assert code == "invalid-policy"
    assert "of the connections and flows of a TCPRoute, a UDPRoute" in message
    assert message.endswith("connections of UDPRoute default/udp, TCPRoute default/tcp are reset, flows dropped")
