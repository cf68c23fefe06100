"""The pace of writes: a change is told at once, a thousand in a row are told together."""

from __future__ import annotations

from sluicegate.controller.status.pace import LEAST, MOST, QUIET, Pace


def writes(changes: list[float]) -> list[float]:
    """When an object is written that changes at these times."""
    pace, written, left = Pace[str](), list[float](), list(changes)
    waiting: float | None = None
    while left or waiting is not None:
        # As the writer does it: a change asks, and what has to wait asks again at the time that it was told first.
        is_change = waiting is None or bool(left and left[0] < waiting)
        now = left.pop(0) if is_change else waiting
        assert now is not None
        due = pace.ask("a", now)
        if due is None:
            written.append(now)
        if not is_change or due is None or waiting is None:
            waiting = due
    return written


def test_a_change_after_a_rest_is_written_at_once() -> None:
    changes = [0.0, 10.0, 20.0, 20.0 + 3 * MOST]
    assert writes(changes) == changes


def test_the_second_change_waits_the_least_pause() -> None:
    assert writes([0.0, 0.01]) == [0.0, LEAST]


def test_a_thousand_changes_in_a_row_are_few_writes_and_the_last_is_told_within_the_longest_pause() -> None:
    changes = [number * 0.03 for number in range(1_000)]
    written = writes(changes)
    assert len(written) < 40
    assert changes[-1] <= written[-1] <= changes[-1] + LEAST + QUIET


def test_when_changes_stop_what_waits_is_written_soon() -> None:
    for last in range(150, 250):
        busy = [number * 0.03 for number in range(last)]
        written = writes(busy)
        assert busy[-1] <= written[-1] <= max(busy[-1] + 2 * QUIET, written[-2] + LEAST)


def test_changes_that_come_slowly_are_written_at_the_least_pause() -> None:
    changes = [number * 0.15 for number in range(100)]
    assert len(writes(changes)) <= changes[-1] / LEAST + 1


def test_after_a_rest_the_pause_is_short_again() -> None:
    busy = [number * 0.03 for number in range(200)]
    rested = busy[-1] + 3 * MOST
    written = writes([*busy, rested, rested + 0.01])
    assert written[-2:] == [rested, rested + LEAST]


def test_objects_have_a_pace_each_and_what_is_gone_begins_anew() -> None:
    pace = Pace[str]()
    assert pace.ask("a", 0.0) is None
    assert pace.ask("b", 0.0) is None
    assert pace.ask("a", 0.1) == LEAST
    pace.forget("a")
    assert pace.ask("a", 0.1) is None
