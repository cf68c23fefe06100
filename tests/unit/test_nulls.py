"""A null is as if it were not there, as the API server has it: templates leave many behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.controller import api as model
from sluicegate.controller.sources.files import read
from sluicegate.schema import violations, without_nulls

GOLDEN = Path(__file__).parents[1] / "golden"
#: Maps of texts in Kubernetes' own kinds and in metadata: there a null is an empty text.
MAPS = {"labels", "annotations", "selector", "data", "stringData", "binaryData"}
CORE = {"Namespace", "Node", "Service", "EndpointSlice", "Secret", "ConfigMap"}
Steps = tuple[str | int, ...]


def fields(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """The path of every field."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield (*path, name)
            yield from fields(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, (*path, index))


def is_text_of_a_map(kind: str, path: Steps) -> bool:
    return len(path) > 1 and path[-2] in MAPS and (kind in CORE or path[0] == "metadata")


def changed(value: Any, path: Steps, *, null: bool) -> Any:
    """The value with one field set to null, or left out."""
    step, *rest = path
    copy = value.copy()
    if rest:
        copy[step] = changed(value[step], tuple(rest), null=null)
    elif null:
        copy[step] = None
    else:
        del copy[step]
    return copy


def documents() -> list[dict[str, Any]]:
    paths = sorted(map(str, GOLDEN.glob("*/*/in.yaml")))
    return [item.data for item in read(paths).documents if item.data.get("kind") in model.READ_KINDS]


def decoded(document: dict[str, Any]) -> Any:
    try:
        return model.decode(document)
    except model.DecodeError as error:
        return error.field


def test_a_null_is_as_if_the_field_were_not_there() -> None:
    """Every field of every kind of the golden inputs, once."""
    seen: set[tuple[str, str]] = set()
    for document in documents():
        kind = document["kind"]
        for path in fields({key: item for key, item in document.items() if key not in {"apiVersion", "kind"}}):
            name = ".".join("[]" if isinstance(step, int) else step for step in path)
            if (kind, name) in seen or is_text_of_a_map(kind, path):
                continue
            null, less = changed(document, path, null=True), changed(document, path, null=False)
            told = violations(null)
            if any(item.code == "unknown-field" and item.field.endswith(str(path[-1])) for item in told):
                continue
            seen.add((kind, name))
            assert told == violations(less), (kind, name)
            assert decoded(without_nulls(null)) == decoded(less), (kind, name)
            # Objects of an API server are not refused for the nulls that it leaves.
            assert isinstance(decoded(null), str) == isinstance(decoded(less), str), (kind, name)
    assert len(seen) >= 250
    assert {kind for kind, _ in seen} == set(model.READ_KINDS)


HELM = """
apiVersion: v1
kind: Service
metadata: {name: web, annotations: null, labels: null}
spec:
  selector: null
  ports: [{name: http, port: 80, targetPort: http, nodePort: null, protocol: null}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, annotations: null, creationTimestamp: null}
spec:
  parentRefs: [{name: gateway, sectionName: null, group: null, kind: null}]
  hostnames: null
  rules: [{matches: null, filters: null, backendRefs: [{name: web, port: 80, weight: null, kind: null}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, labels: {kubernetes.io/service-name: web, empty: null}}
addressType: IPv4
endpoints: null
ports: null
"""


def test_what_templates_leave_behind_is_taken() -> None:
    service, route, endpoints = [item.data for item in read(["-"], HELM).documents]
    for document in (service, route, endpoints):
        assert violations(document) == []
    found: Any = model.decode(without_nulls(route))
    assert found.spec.rules[0].backend_refs[0].weight == 1
    assert found.spec.parent_refs[0].kind == "Gateway"
    assert len(found.spec.rules[0].matches) == 1
    assert without_nulls(endpoints)["metadata"]["labels"]["empty"] == ""
    cleaned = without_nulls(service)
    assert cleaned["spec"] == {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    assert without_nulls(cleaned) is cleaned


def test_what_no_schema_knows_may_be_nested_deep() -> None:
    deep: Any = None
    for _ in range(100_000):
        deep = [deep]
    document = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "x": deep}, "spec": {"x": deep}}
    assert without_nulls(document)["spec"]["x"] is deep


@pytest.mark.parametrize(
    ("kind", "text", "field", "words"),
    [
        ("HTTPRoute", "spec: {hostnames: [null]}", "spec.hostnames[0]", "null is no string"),
        ("HTTPRoute", "spec: {rules: [null]}", "spec.rules[0]", "null is no object"),
        ("Gateway", "spec: {gatewayClassName: a, listeners: null}", "spec.listeners", "required"),
        ("Gateway", "spec: null", "spec", "required"),
        ("Service", "spec: {ports: [null]}", "spec.ports[0].port", "required"),
        ("Service", "spec: {ports: [{port: null}]}", "spec.ports[0].port", "required"),
    ],
)
def test_nulls_that_are_refused(kind: str, text: str, field: str, words: str) -> None:
    """Items of lists stay, and what has to be there is missing."""
    version = "v1" if kind in CORE else "gateway.networking.k8s.io/v1"
    [found] = violations({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, **yaml.safe_load(text)})
    assert found.field == field
    assert words in found.message
