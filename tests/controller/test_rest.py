"""When a round of the loop may begin."""

from __future__ import annotations

import pytest

from sluicegate.processes.rest import LEAST, MOST, Rest


def test_what_comes_alone_waits_for_nothing() -> None:
    rest = Rest()
    for number in range(100):
        now = number * 2 * LEAST
        assert rest.left(now) == 0.0
        rest.begin(now, 1)


def test_what_comes_one_by_one_waits_for_the_least() -> None:
    """Whoever makes a route as soon as the last one serves comes within every pause."""
    rest, now = Rest(), 0.0
    for _ in range(100):
        rest.begin(now, 1)
        now += LEAST / 2
        assert rest.left(now) == pytest.approx(LEAST / 2)
        now += rest.left(now)


def test_the_pause_grows_while_changes_come_together() -> None:
    rest, now, pauses = Rest(), 0.0, []
    for _ in range(5):
        rest.begin(now, 2)
        pauses.append(rest.left(now))
        now += pauses[-1]
    assert pauses == [pytest.approx(item) for item in (2 * LEAST, MOST, MOST, MOST, MOST)]
    rest.begin(now, 1)
    assert rest.left(now) == pytest.approx(LEAST)
