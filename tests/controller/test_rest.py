"""When a round of the loop may begin."""

from __future__ import annotations

import pytest

from sluicegate.processes.rest import LEAST, MOST, Rest


def test_what_comes_alone_waits_for_nothing() -> None:
    rest = Rest()
    for number in range(100):
        now = number * 2 * LEAST
        assert rest.left(now) == 0.0
        rest.begin(now)


def test_the_pause_grows_while_changes_go_on_coming() -> None:
    rest, now, pauses = Rest(), 0.0, []
    rest.begin(now)
    for _ in range(5):
        left = rest.left(now)
        pauses.append(left)
        now += left
        rest.begin(now)
    assert pauses == [pytest.approx(item) for item in (LEAST, 2 * LEAST, MOST, MOST, MOST)]
    now += MOST * 1.01
    assert rest.left(now) == 0.0
    rest.begin(now)
    assert rest.left(now) == pytest.approx(LEAST)
