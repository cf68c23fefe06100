"""Which fields of a policy are not known: none that its CRD has, and each that it has not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.controller.api import OWN_GROUP, POLICY_KINDS, unknown_field
from sluicegate.controller.api.kinds import BY_NAME

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
OURS = sorted(kind for kind in POLICY_KINDS if BY_NAME[kind].group == OWN_GROUP)


def spec_of(kind: str) -> dict[str, Any]:
    """The schema of its spec."""
    crd = yaml.safe_load((CRDS / f"{kind.lower()}.yaml").read_text())
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    # What is reserved cannot be set: stored all the same, it closes a policy as what nobody knows does.
    rules = {item["rule"] for item in found.get("x-kubernetes-validations", ())}
    fields = {name: item for name, item in found["properties"].items() if f"!has(self.{name})" not in rules}
    return {**found, "properties": fields}


def made(schema: dict[str, Any]) -> Any:
    """A value that has every field of a schema."""
    if "properties" in schema:
        return {name: made(item) for name, item in schema["properties"].items()}
    return [made(schema["items"])] if "items" in schema else "x"


def holders(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from holders(item)


def asked(kind: str, spec: Any) -> str:
    struct = BY_NAME[kind].struct
    assert struct is not None
    return unknown_field({"apiVersion": BY_NAME[kind].api_versions[0], "spec": spec}, struct)


@pytest.mark.parametrize("kind", OURS)
def test_every_field_of_a_crd_is_known(kind: str) -> None:
    assert asked(kind, made(spec_of(kind))) == ""


@pytest.mark.parametrize("kind", OURS)
def test_every_other_field_is_not(kind: str) -> None:
    whole = made(spec_of(kind))
    every = list(holders(whole))
    assert len(every) >= 3  # the spec, a target, a part
    for holder in every:
        holder["newer"] = 1
        assert asked(kind, whole).endswith(".newer"), holder
        del holder["newer"]


def test_what_is_reserved_is_not() -> None:
    assert asked("AccessPolicy", {"csrf": {}, "oidc": {"issuer": "https://login.test"}}) == "spec.oidc"


def test_kinds_of_others_are_the_business_of_others() -> None:
    struct = BY_NAME["BackendTLSPolicy"].struct
    assert struct is not None
    assert unknown_field({"apiVersion": "gateway.networking.k8s.io/v1", "spec": {"newer": 1}}, struct) == ""


@pytest.mark.parametrize("spec", [None, 5, [1, [2]], {"targetRefs": 5}])
def test_odd_specs_raise_nothing(spec: Any) -> None:
    assert asked("AccessPolicy", spec) == ""
