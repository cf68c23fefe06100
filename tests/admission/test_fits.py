"""What the quick look at the structure of an object takes the thorough one takes too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from odd_objects import bases, entries, odd_objects

from sluicegate.schema.fits import fits
from sluicegate.schema.prepare import with_defaults
from sluicegate.schema.structure import MAX_MATCHED, Structure

Schema = dict[str, Any]


def parts(value: Any, schema: Schema) -> Iterator[tuple[Any, Schema]]:
    """A value and all below it that has a schema."""
    yield value, schema
    if isinstance(value, list):
        for item in value:
            yield from parts(item, schema.get("items", {}))
    elif isinstance(value, dict):
        for name, item in value.items():
            below = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if isinstance(below, dict):
                yield from parts(item, below)


def is_right(value: object, schema: Schema) -> bool:
    structure = Structure()
    structure.check(with_defaults(value, schema), schema, "")
    return not structure.violations


def test_objects_of_every_kind() -> None:
    verdicts = Counter[tuple[bool, bool]]()
    for item in odd_objects(7, 3_000, bases(), entries()):
        schema = entries()[item["apiVersion"], item["kind"]].schema
        for value, known in parts({**item, "metadata": {}}, schema):
            verdict = is_right(value, known)
            quick = fits(known)(value)
            assert verdict or not quick, (value, known)
            verdicts[quick, verdict] += 1
    assert verdicts[False, False] > 100
    # Odd forms of what is right (443.0) are left to the thorough look.
    assert verdicts[True, True] > 100 * verdicts[False, True]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": "^a*$"}, "a\n"),
        ({"type": "string", "pattern": "^a*$"}, "a" * (MAX_MATCHED + 1)),
        ({"type": "string", "pattern": "^a*$", "maxLength": MAX_MATCHED + 1}, "a" * (MAX_MATCHED + 1)),
        ({"type": "string", "enum": ["a"]}, "b"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 2**63),
        ({"type": "integer", "format": "int32"}, 2**31),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1),
        ({"type": "number"}, 1.5),
        ({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}, ["a", "a"]),
        ({"type": "array", "items": {"type": "string"}}, ["a", None]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": 1}),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {"a": None}),
        ({"type": "object", "maxProperties": 0}, {"a": 1}),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "a"),
        ({}, object()),
    ],
)
def test_what_stands_at_an_edge(schema: Schema, value: object) -> None:
    known = {"properties": {}, **schema}
    assert is_right(value, known) or not fits(known)(value)
