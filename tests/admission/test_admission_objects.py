"""The objects that are compared with an API server: the same for a seed, of every kind, odd in every way."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import yaml
from odd_objects import ODD, Object, bases, entries, odd_objects
from stored import comparable, stored

from sluicegate.controller.api import decode
from sluicegate.controller.api.kinds import TABLE
from sluicegate.controller.sources.files.loader import load
from sluicegate.schema import violations, without_nulls

COUNT = 900


@pytest.fixture(scope="module")
def right() -> list[Object]:
    return bases()


def made(right: list[Object], seed: int = 1, count: int = COUNT) -> list[Object]:
    return list(odd_objects(seed, count, right, entries()))


def test_every_kind_that_is_served_is_made(right: list[Object]) -> None:
    read = {kind.name for kind in TABLE if kind.struct and kind.files and not kind.minor}
    assert {kind for _, kind in entries()} == read
    counts = Counter((item["apiVersion"], item["kind"]) for item in made(right))
    assert counts.keys() == entries().keys()
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_seed_makes_the_same_objects(right: list[Object]) -> None:
    assert made(right, 3, 100) == made(right, 3, 100)
    assert made(right, 3, 100) != made(right, 4, 100)


def test_bases_are_right_and_left_alone(right: list[Object]) -> None:
    before = copy.deepcopy(right)
    made(right)
    assert right == before
    assert [violations(item) for item in right] == [[] for _ in right]


def values(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for item in inner for found in values(item))]


def test_every_odd_value_is_there_and_objects_are_taken_and_refused(right: list[Object]) -> None:
    objects = made(right)
    there = [found for item in objects for found in values(item)]
    written = {repr(found) for found in there}
    assert [odd for odd in (*ODD, None) if repr(odd) not in written] == []
    refused = sum(any(found.severity == "error" for found in violations(item)) for item in objects)
    assert 0.3 < refused / len(objects) < 0.7


def test_defaults_are_the_same_in_schemas_and_structs(right: list[Object]) -> None:
    """A custom resource is served as if an API server had stored it."""
    for written in made(right):
        item: Any = load(yaml.safe_dump(written)).value
        if entries()[item["apiVersion"], item["kind"]].custom and not violations(item):
            assert decode(stored(item)).same_content(decode(without_nulls(item))), item


ROUTE = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
SERVICE = {"apiVersion": "v1", "kind": "Service"}
#: As an API server of version 1.34 stores them.
STORED: list[tuple[Object, Object]] = [
    (
        {
            **ROUTE,
            "metadata": {"name": "a", "annotations": None, "labels": {"a": None}, "creationTimestamp": None},
            "spec": {
                "hostnames": None,
                "parentRefs": [{"name": "a", "sectionName": None}],
                "rules": [
                    {"matches": None, "filters": None, "backendRefs": [{"name": "a", "port": 80.0, "weight": None}]},
                    {"timeouts": None, "colour": "red"},
                ],
            },
            "status": None,
        },
        {
            **ROUTE,
            "metadata": {"name": "a", "labels": {"a": ""}},
            "spec": {
                "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a"}],
                "rules": [
                    {
                        "backendRefs": [{"group": "", "kind": "Service", "name": "a", "port": 80, "weight": 1}],
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    },
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]},
                ],
            },
        },
    ),
    (
        {
            **SERVICE,
            "metadata": {"name": "a", "annotations": {}},
            "spec": {
                "selector": {"a": None},
                "ports": [{"port": 80.0, "nodePort": None, "protocol": "", "name": None}],
            },
        },
        {
            **SERVICE,
            "metadata": {"name": "a"},
            "spec": {
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
                "selector": {"a": ""},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            },
        },
    ),
]


@pytest.mark.parametrize(("written", "kept"), STORED, ids=["route", "service"])
def test_nulls_and_numbers_as_an_api_server_stores_them(written: Object, kept: Object) -> None:
    assert [found for found in violations(written) if found.severity == "error"] == []
    assert comparable(stored(written)) == kept
