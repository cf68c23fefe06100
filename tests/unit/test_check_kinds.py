"""`sluicegate check` and `translate` know every kind of route: its schema, its conditions, what it comes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.controller.api import ROUTE_KINDS
from sluicegate.schema import violations

Command = Callable[..., tuple[int, str]]

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "protocols")
BACKENDS = [{"name": "app", "port": 80}]


def route(kind: str, version: str = "v1", **spec: Any) -> dict[str, Any]:
    spec = {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": BACKENDS}], **spec}
    if kind == "TLSRoute":
        spec.setdefault("hostnames", ["a.example.com"])
    metadata = {"name": "route"}
    return {"apiVersion": f"gateway.networking.k8s.io/{version}", "kind": kind, "metadata": metadata, "spec": spec}


def test_the_example_is_clean_and_every_route_is_accepted(command: Command) -> None:
    status, text = command("check", EXAMPLE, "--output", "json")
    assert status == 0, text
    document = json.loads(text)
    assert document["problems"] == []
    routes = {item["object"]: item["status"]["parents"] for item in document["objects"] if "Route/" in item["object"]}
    assert {name.partition("/")[0] for name in routes} == set(ROUTE_KINDS)
    for parents in routes.values():
        assert {condition["status"] for parent in parents for condition in parent["conditions"]} == {"True"}


def test_translate_shows_the_rules_of_every_kind(command: Command) -> None:
    status, text = command("translate", EXAMPLE)
    assert status == 0, text
    upsert = json.loads(text)["upsert"]
    rules = [*upsert["http_rules"], *upsert["l4_rules"]]
    assert {rule["id"].partition("/")[0] for rule in rules} == set(ROUTE_KINDS)
    assert {listener["protocol"] for listener in upsert["listeners"]} == {"HTTP", "TLS", "TCP", "UDP"}


@pytest.mark.parametrize("kind", ["GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"])
def test_good_ones(kind: str) -> None:
    assert violations(route(kind)) == []


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (route("TCPRoute", rules=[{"backendRefs": BACKENDS}] * 2), "spec.rules"),
        (route("UDPRoute", rules=[]), "spec.rules"),
        (route("UDPRoute", rules=[{"backendRefs": []}]), "spec.rules[0].backendRefs"),
        (route("TCPRoute", rules=[{"backendRefs": [{"name": "app"}]}]), "spec.rules[0].backendRefs[0]"),
        (route("TCPRoute", hostnames=["a.example.com"]), "spec.hostnames"),
        (route("TLSRoute", hostnames=[]), "spec.hostnames"),
        (route("TLSRoute", hostnames=["10.0.0.1"]), "spec.hostnames"),
        (route("TLSRoute", rules=[{"matches": [], "backendRefs": BACKENDS}]), "spec.rules[0].matches"),
        (route("GRPCRoute", rules=[{"matches": [{"method": {"service": "a/b"}}]}]), "spec.rules[0].matches[0].method"),
        (route("GRPCRoute", rules=[{"matches": [{"method": {"type": "Exact"}}]}]), "spec.rules[0].matches[0].method"),
        (route("GRPCRoute", rules=[{"filters": [{"type": "URLRewrite"}]}]), "spec.rules[0].filters[0].type"),
        (route("GRPCRoute", rules=[{"timeouts": {"request": "1s"}}]), "spec.rules[0].timeouts"),
        (route("TCPRoute", "v1beta1"), "apiVersion"),
    ],
)
def test_what_the_api_server_would_refuse(document: dict[str, Any], field: str) -> None:
    found = [item.field for item in violations(document)]
    assert field in found or any(item.startswith(field) for item in found), (yaml.safe_dump(document), found)


def test_translate_in_words(command: Command) -> None:
    status, text = command("translate", EXAMPLE, "--output", "text")
    assert status == 0, text
    assert "  UDP *:" in text
    assert all(f"[{kind}/" in text for kind in ROUTE_KINDS)
