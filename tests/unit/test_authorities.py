"""Hosts that policies and filters name: what the translator takes the engine takes; CRDs refuse what is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sluicegate.controller.translate.values import authority_error, host_field_error
from sluicegate.reference.authority import parse_host
from sluicegate.reference.contract import BadRequest

TAKEN = ["a", "a.test", "a.test:80", "192.0.2.1", "192.0.2.1:8080", "[2001:db8::1]", "[::1]:65535"]
REFUSED = [
    *(":80", "a.test:", "a.test:0", "a.test:65536", "a.test:99999", "a.test:x", "a:1:2", "*.a.test", "a_b.test"),
    *("[10.0.0.1", "10.0.0.1]", "[10.0.0.1]", "[a.test]", "[]", "[]:80", "2001:db8::1", "a.test/b", "a b", "-a.test"),
]
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
#: Of these nobody can say by a pattern of their characters.
NUMBERS = {"a.test:0", "a.test:65536", "a.test:99999", "[10.0.0.1]"}


@pytest.mark.parametrize("value", ["", *TAKEN])
def test_what_is_a_host(value: str) -> None:
    assert authority_error(value) is None


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_none(value: str) -> None:
    assert authority_error(value)


def patterns() -> list[str]:
    """Of every field of a CRD that is a host with or without a port."""

    def walk(schema: object) -> list[str]:
        if isinstance(schema, list):
            return [found for item in schema for found in walk(item)]
        if not isinstance(schema, dict):
            return []
        pattern = str(schema.get("pattern"))
        own = [pattern] if pattern.endswith("(:[0-9]{1,5})?$") else []
        return [*own, *(found for item in schema.values() for found in walk(item))]

    return [found for file in sorted(CRDS.glob("*.yaml")) for found in walk(list(yaml.safe_load_all(file.read_text())))]


def test_crds_refuse_what_is_none() -> None:
    found = patterns()
    assert len(found) == 3
    for pattern in found:
        assert [value for value in TAKEN if not re.search(pattern, value)] == []
        assert {value for value in REFUSED if re.search(pattern, value)} <= NUMBERS


@pytest.mark.parametrize(
    "value",
    [
        *("", *TAKEN, *REFUSED, "A.Test", "a_b.internal:8080", "~!$&'()*+;=", "a.", "a..", ".", "..", "a..:80", ":"),
        *(
            "x@y",
            "a/b",
            "a,b",
            "a%20b",
            "\u00e9",
            "a\r\nb",
            "a\n",
            "[::1",
            "[::1]80",
            "[::1%25eth0]",
            "a" * 254,
            "a" * 255,
        ),
        *("a:123456", "a:\u0661", "\u0661"),
    ],
)
def test_the_host_of_an_edit_is_what_the_engine_takes_of_a_client(value: str) -> None:
    try:
        parse_host(value)
    except BadRequest:
        assert host_field_error(value)
    else:
        assert host_field_error(value) is None
