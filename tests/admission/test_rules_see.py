"""What rules see of an object is what they see of it with its defaults."""

from __future__ import annotations

from odd_objects import bases, entries, odd_objects

from sluicegate.schema.prepare import with_defaults
from sluicegate.schema.rules import check_rules
from sluicegate.schema.structure import Structure


def test_defaults_need_not_be_filled_in() -> None:
    broken = 0
    for item in odd_objects(11, 3_000, bases(), entries()):
        schema = entries()[item["apiVersion"], item["kind"]].schema
        body = {name: value for name, value in item.items() if name not in {"metadata", "status"}}
        whole, structure = with_defaults(body, schema), Structure()
        structure.check({**whole, "metadata": {}}, schema, "")
        if not structure.blocked:
            found = list(check_rules(body, schema))
            assert found == list(check_rules(whole, schema)), item
            broken += bool(found)
    assert broken > 20
