"""Each part of each policy and of HTTPFilter has a case on the real cluster (`tests/cluster`)."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "tests" / "cluster"
#: What a policy has besides parts; a part whose place is kept can only be refused.
NO_PARTS = {"targetRefs", "strategy", "oidc"}


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The parts that cases have, by kind of policy."""
    monkeypatch.syspath_prepend(str(CLUSTER))
    found: dict[str, set[str]] = {}
    for case in importlib.import_module("policy_cases").CASES.values():
        found.setdefault(case.kind, set()).update(case.spec)
        for item in case.objects:
            found.setdefault(item.get("kind", ""), set()).update(item.get("spec", ()))
    # What only a Gateway has, in a test of its own.
    text = (CLUSTER / "test_policies.py").read_text()
    [clients] = [
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CLIENTS"
    ]
    assert "def test_clients_of_a_gateway" in text
    found["ClientPolicy"] |= set(ast.literal_eval(clients))
    return found


@pytest.mark.parametrize("kind", ["AccessPolicy", "RateLimitPolicy", "ClientPolicy", "BackendPolicy", "HTTPFilter"])
def test_each_part_is_seen_on_the_cluster(cases: dict[str, set[str]], kind: str) -> None:
    document: Any = yaml.safe_load((ROOT / "deploy" / "crds" / f"{kind.lower()}.yaml").read_text())
    [version] = document["spec"]["versions"]
    parts = set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]) - NO_PARTS
    assert parts, kind
    assert parts - cases[kind] == set()


def test_kinds_of_the_gateway_api_are_too(cases: dict[str, set[str]]) -> None:
    assert {"XBackend", "XBackendTrafficPolicy", "BackendTLSPolicy"} <= set(cases)
    assert {"retryConstraint", "sessionPersistence"} <= cases["XBackendTrafficPolicy"]
