"""What policies say of a request is the same in all builds, for tables made at once and for tables that change."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from parity_builds import agree, difference, open_all, resources_of
from parity_policies import policy_requests, policy_tables
from parity_seeded import run_examples

from sluicegate import _native, ir, reference
from sluicegate.reference import Request

TABLES, CHAINS, STEPS = 400, 80, 4
#: Why requests are refused.
REFUSED = {"headers_too_large", "body_too_large", "policy_invalid", "unauthenticated", "forbidden", "csrf", "fault"}


def is_refused(decision: reference.Decision) -> bool:
    """Whether a policy refuses; what is no request is refused before any is asked."""
    return decision.reason in REFUSED or (decision.reason == "bad_request" and bool(decision.policies))


def test_builds_agree_on_policies() -> None:
    decided: Counter[str] = Counter()
    words: Counter[str] = Counter()

    @given(table=policy_tables(), sent=policy_requests)
    def check(table: ir.Transaction, sent: list[Request]) -> None:
        data = ir.encode(table)
        opened = open_all(data)
        for request in sent:
            decision = agree(data, opened, request)
            decided[decision.reason] += 1
            words.update(item.verdict for item in decision.policies)
            refuses = "deny" in [item.verdict for item in decision.policies]
            assert refuses == is_refused(decision)

    run_examples(check, TABLES)
    assert set(decided) >= {"forwarded", "redirect", "no_route", *REFUSED}
    assert set(words) >= {"pass", "deny", "absent", "asked"}
    assert decided["forwarded"] >= decided.total() // 5


def test_changes_of_policies_add_up() -> None:
    seen: Counter[str] = Counter()

    @given(chain=st.lists(policy_tables(), min_size=STEPS, max_size=STEPS), sent=policy_requests)
    def check(chain: list[ir.Transaction], sent: list[Request]) -> None:
        documents = [ir.encode(table) for table in chain]
        native, before = _native.RouteTable(documents[0]), resources_of(msgspec.json.decode(documents[0]))
        for generation, data in enumerate(documents[1:], 1):
            after = resources_of(msgspec.json.decode(data))
            native.apply(difference(before, after, generation))
            before = after
            fresh = reference.compile(data)
            for request in sent:
                question = msgspec.json.encode(request)
                expected = msgspec.json.decode(reference.decide_json(fresh, question))
                assert msgspec.json.decode(native.decide(question)) == expected, (question, data)
                seen[expected["reason"]] += 1

    run_examples(check, CHAINS, shrinks=False)  # shrinking chains takes minutes
    assert set(seen) >= {"forwarded", *REFUSED}
