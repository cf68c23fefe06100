"""What the CRDs of our policies say to people and tools: the label of policies (GEP-713), columns of `kubectl get`."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LABEL = "gateway.networking.k8s.io/policy"
#: Inherited: what is set on a Gateway holds for its routes. Direct: for the target alone.
ATTACHED = {
    "AccessPolicy": "Inherited",
    "ClientPolicy": "Inherited",
    "RateLimitPolicy": "Inherited",
    "BackendPolicy": "Direct",
}
#: Of `kubectl get`; `Name` is always there.
COLUMNS = {"Target": "shop", "Accepted": "False", "Age": "2026-11-29T12:00:00Z"}
#: A policy as the API server has it, with the values that the columns are of among others that they are not of.
STORED = {
    "metadata": {"name": "p", "creationTimestamp": COLUMNS["Age"]},
    "spec": {"targetRefs": [{"kind": "HTTPRoute", "name": "shop"}, {"kind": "HTTPRoute", "name": "other"}]},
    "status": {
        "ancestors": [
            {
                "ancestorRef": {"name": "edge"},
                "conditions": [
                    {"type": "Programmed", "status": "Unknown"},
                    {"type": "Accepted", "status": "False"},
                ],
            }
        ]
    },
}


def crds(folder: str) -> dict[str, dict[str, Any]]:
    """The CRDs that a folder installs, by kind."""
    texts = (path.read_text() for path in sorted((ROOT / folder).glob("*.yaml")))
    found = (item for text in texts for item in yaml.safe_load_all(text))
    return {item["spec"]["names"]["kind"]: item for item in found if item["kind"] == "CustomResourceDefinition"}


def value(item: Any, path: str) -> Any:
    """What a column's JSONPath comes to: fields, places in lists, and a filter by one field."""
    parts = re.findall(r'\.(\w+)|\[(\d+)\]|\[\?\(@\.(\w+)=="([^"]*)"\)\]', path)

    def step(found: Any, part: tuple[str, str, str, str]) -> Any:
        field, place, name, wanted = part
        if name:
            [only] = [each for each in found if each[name] == wanted]
            return only
        return found[field] if field else found[int(place)]

    return reduce(step, parts, item)


@pytest.mark.parametrize("folder", ["deploy/crds", "deploy/chart/crds"])
def test_policies_are_labelled_as_such_and_nothing_else_is(folder: str) -> None:
    """Tools find the CRDs of policies by that label (GEP-713), and by its value what they have to look for."""
    found = crds(folder)
    assert {kind: item["metadata"].get("labels", {}).get(LABEL) for kind, item in found.items()} == {
        **dict.fromkeys(found),
        **ATTACHED,
    }
    assert set(ATTACHED) <= set(found)
    for kind, item in found.items():
        [version] = item["spec"]["versions"]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        # Whoever has targets is a policy; what is inherited says which level goes first.
        assert ("targetRefs" in spec) == (kind in ATTACHED), kind
        assert ("strategy" in spec) == (ATTACHED.get(kind) == "Inherited"), kind


@pytest.mark.parametrize("kind", ATTACHED)
def test_columns_show_the_target_and_what_became_of_it(kind: str) -> None:
    [version] = crds("deploy/crds")[kind]["spec"]["versions"]
    columns = version["additionalPrinterColumns"]
    assert {column["name"]: value(STORED, column["jsonPath"]) for column in columns} == COLUMNS
    assert [column["type"] for column in columns] == ["string", "string", "date"]
    assert version["subresources"] == {"status": {}}
