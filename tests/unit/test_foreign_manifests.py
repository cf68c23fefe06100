"""What our pages and folders write for other programs is as these describe it (`tools/foreign_schemas.py`)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from json_schema import errors

from foreign_schemas import OUT, SOURCES, written

SCHEMAS = json.loads(OUT.read_text())
WRITTEN = list(written())


def wrong(item: dict[str, Any]) -> list[str]:
    return list(errors(item, SCHEMAS[f"{item['apiVersion']}/{item['kind']}"]))


@pytest.mark.parametrize(
    ("place", "item"), WRITTEN, ids=[f"{place}-{item['kind']}-{index}" for index, (place, item) in enumerate(WRITTEN)]
)
def test_they_fit(place: str, item: dict[str, Any]) -> None:
    assert wrong(item) == [], place


def test_there_is_one_of_each_kind() -> None:
    assert {item["kind"] for _, item in WRITTEN} == set(SOURCES) == {name.rpartition("/")[2] for name in SCHEMAS}


def test_a_name_that_is_none_is_found() -> None:
    for _, item in WRITTEN:
        changed = copy.deepcopy(item)
        changed["spec"]["syncPolicies"] = {}
        assert wrong(changed) == ["$.spec: syncPolicies is not described"]


def test_a_value_of_another_type_is_found() -> None:
    [item] = [copy.deepcopy(item) for _, item in WRITTEN if item["kind"] == "Application"]
    item["spec"]["syncPolicy"]["syncOptions"] = "ServerSideApply=true"
    assert wrong(item) == ["$.spec.syncPolicy.syncOptions: 'ServerSideApply=true' is not of type ['array']"]
