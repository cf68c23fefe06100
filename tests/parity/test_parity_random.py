"""Tables and requests made by Hypothesis through every build: no difference, in at least 20,000 pairs.

Derandomized, so that every run tests the same pairs and a failure is there again. What Hypothesis shrinks is shown with the
decisions of all builds.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from parity_builds import agree, open_all
from parity_strategies import requests, tables

from sluicegate.reference import Request

REQUESTS_EACH = 24
TABLES_EACH = 220

#: Four runs of 220 tables with 24 requests.
PAIRS_EACH = REQUESTS_EACH * TABLES_EACH

REASONS_OF_MATCHING = {"forwarded", "bad_request", "no_listener", "misdirected", "no_route"}
REASONS_OF_ACTIONS = REASONS_OF_MATCHING | {
    "rule_invalid",
    "redirect",
    "cors_preflight",
    "no_backend",
    "backend_invalid",
    "no_endpoint",
}


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize(("with_filters", "reasons"), [(False, REASONS_OF_MATCHING), (True, REASONS_OF_ACTIONS)])
def test_builds_agree(run: int, with_filters: bool, reasons: set[str]) -> None:  # noqa: FBT001 a parameter of pytest
    seen: Counter[str] = Counter()

    @settings(
        max_examples=TABLES_EACH,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        # `derandomize` draws from the strategies alone: another first draw makes another run.
        st.just(run),
        tables(with_filters=with_filters),
        st.lists(requests, min_size=REQUESTS_EACH, max_size=REQUESTS_EACH),
    )
    def check(_run: int, table: bytes, sent: list[Request]) -> None:
        opened = open_all(table)
        for request in sent:
            seen[agree(table, opened, request).reason] += 1

    check()
    assert seen.total() >= PAIRS_EACH
    # The alphabets reach every outcome, and often enough what they are for.
    assert set(seen) == reasons
    assert seen["forwarded"] >= PAIRS_EACH // 10
