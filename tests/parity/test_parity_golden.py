"""Every request of every golden case: all builds give what the case expects, and the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from parity_builds import agree, difference, open_all, resources_of

from sluicegate import _native
from sluicegate.reference import Connection, Request

GOLDEN = Path(__file__).parents[1] / "golden"
#: Those of `provision` are the configurations of many engines at once.
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/requests.yaml") if path.parts[-3] != "provision")


def name_of(case: Path) -> str:
    return f"{case.parent.name}/{case.name}"


def read(case: Path) -> tuple[bytes, list[tuple[Request | Connection, dict[str, Any]]]]:
    table = json.dumps(yaml.safe_load((case / "ir.yaml").read_text()), ensure_ascii=False).encode()
    items = yaml.safe_load((case / "requests.yaml").read_text())
    return table, [(read_request(item["request"]), item["expect"]) for item in items]


def read_request(item: dict[str, Any]) -> Request | Connection:
    return msgspec.convert(item, Connection if "transport" in item else Request)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_requests(case: Path) -> None:
    table, items = read(case)
    opened = open_all(table)
    for request, expected in items:
        decision = msgspec.to_builtins(agree(table, opened, request))
        shown = json.loads(json.dumps(decision))
        assert {key: shown[key] for key in expected} == expected, request


def test_one_table_through_all_cases() -> None:
    """A table that becomes case after case, each by removals and upserts, decides as one made for the case."""
    native: _native.RouteTable | None = None
    before: dict[str, dict[str, Any]] = {}
    for case in CASES:
        data, items = read(case)
        document = json.loads(data)
        resources = resources_of(document)
        if native is None:
            native = _native.RouteTable(data)
        else:
            native.apply(difference(before, resources, document["generation"]))
        before = resources
        fresh = _native.RouteTable(data)
        for request, _ in items:
            sent = msgspec.json.encode(request)
            assert native.decide(sent) == fresh.decide(sent), (name_of(case), request)
