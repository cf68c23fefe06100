"""Tables and requests made by Hypothesis through every build: no difference, in at least 20,000 pairs.

Seeded, so that every run tests the same pairs and a failure is there again. What Hypothesis shrinks is shown with the
decisions of all builds.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from parity_builds import BUILDS, agree, open_all
from parity_connections import connections, l4_tables
from parity_requests import REFUSED_REQUESTS, requests
from parity_seeded import run_examples
from parity_tables import tables

from sluicegate.reference import Connection, Request

#: Authorities, targets and exchanges of one table; every combination is a request.
SIZE = (3, 4, 4)
REQUESTS_EACH = SIZE[0] * SIZE[1] * SIZE[2]
TABLES_EACH = 300
RUNS = 4

REASONS_OF_MATCHING = {
    "forwarded",
    "method_not_allowed",
    "bad_request",
    "expectation_failed",
    "headers_too_large",
    "unsupported_transfer_coding",
    "unrecognized_name",
    "scheme_mismatch",
    "no_listener",
    "misdirected",
    "no_route",
}
REASONS_OF_ACTIONS = REASONS_OF_MATCHING | {
    "rule_invalid",
    "redirect",
    "respond",
    "cors_preflight",
    "no_backend",
    "backend_invalid",
    "no_endpoint",
}


#: Server names, and sockets for each; each gives a connection and a request.
L4_SIZE = (4, 4)
L4_TABLES = 150
REASONS_OF_CONNECTIONS = {"forwarded", "no_listener", "no_route", "no_backend", "backend_invalid", "no_endpoint"}


def test_there_are_enough_pairs() -> None:
    assert REQUESTS_EACH * TABLES_EACH * RUNS >= 20_000
    assert L4_SIZE[0] * L4_SIZE[1] * L4_TABLES >= 2_000
    assert {"python", "native"} <= {build.name for build in BUILDS}


@pytest.mark.parametrize("with_filters", [False, True])
@pytest.mark.parametrize("run", range(RUNS // 2))
def test_builds_agree(run: int, with_filters: bool) -> None:
    seen: Counter[str] = Counter()

    @given(table=tables(with_filters=with_filters), sent=requests(SIZE))
    def check(table: bytes, sent: list[Request]) -> None:
        opened = open_all(table)
        for request in (*sent, *REFUSED_REQUESTS):
            seen[agree(table, opened, request).reason] += 1

    run_examples(check, TABLES_EACH, seed=run)
    assert seen.total() >= REQUESTS_EACH * TABLES_EACH
    # The alphabets reach every outcome, and often enough what they are for.
    assert set(seen) == (REASONS_OF_ACTIONS if with_filters else REASONS_OF_MATCHING)
    assert seen["forwarded"] >= seen.total() // 10


def test_builds_agree_on_connections() -> None:
    seen: Counter[str] = Counter()

    @given(table=l4_tables(), sent=connections(L4_SIZE))
    def check(table: bytes, sent: list[Request | Connection]) -> None:
        opened = open_all(table)
        for asked in sent:
            decision = agree(table, opened, asked)
            if isinstance(asked, Connection):
                seen[decision.reason] += 1

    run_examples(check, L4_TABLES)
    assert set(seen) == REASONS_OF_CONNECTIONS
    assert seen["forwarded"] >= seen.total() // 10
