"""A table that becomes another by removals and upserts decides as one that is made for it.

The engine shares what did not change and takes out what is gone, candidate by candidate; the reference merges and
compiles anew. Tables are made by Hypothesis, so that routes, listeners and backends come, change and go in every way.
"""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parity_builds import difference, resources_of
from parity_connections import connections, l4_tables
from parity_requests import requests
from parity_seeded import run_examples
from parity_tables import tables

from sluicegate import _native, ir, reference
from sluicegate.reference import Connection, Request

#: Chains of tables, and tables of one chain.
CHAINS, STEPS = 60, 4

KINDS = {
    "requests": (tables(with_filters=True), requests((2, 3, 2))),
    "connections": (l4_tables(), connections((3, 2))),
    "both": (st.one_of(tables(with_filters=True), l4_tables()), st.one_of(requests((2, 3, 2)), connections((3, 2)))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_changes_add_up(kind: str) -> None:
    table, asked = KINDS[kind]
    seen: Counter[str] = Counter()

    @given(chain=st.lists(table, min_size=STEPS, max_size=STEPS), sent=asked)
    def check(chain: list[bytes], sent: list[Request | Connection]) -> None:
        native, state = _native.RouteTable(chain[0]), ir.decode(chain[0])
        before = resources_of(json.loads(chain[0]))
        for generation, data in enumerate(chain[1:], 1):
            after = resources_of(json.loads(data))
            change = difference(before, after, generation)
            native.apply(change)
            state = reference.merge(state, ir.decode(change))
            before = after
            merged, fresh = reference.compile(state), reference.compile(data)
            for each in sent:
                question = msgspec.json.encode(each)
                expected = reference.decide_json(fresh, question)
                assert reference.decide_json(merged, question) == expected
                assert json.loads(native.decide(question)) == json.loads(expected), (question, data, change)
                seen[json.loads(expected)["reason"]] += 1

    run_examples(check, CHAINS, shrinks=False)  # shrinking chains takes minutes
    assert seen["forwarded"] >= seen.total() // 20
