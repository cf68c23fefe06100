"""The pace of writes: a change is told at once, a thousand in a row are told together."""

from __future__ import annotations

from sluicegate.controller.status.pace import LEAST, MOST, Pace


def writes(changes: list[float]) -> list[float]:
    """When an object is written that changes at these times."""
    pace, written = Pace[str](), list[float]()
    waiting: float | None = None
    for now in changes:
        while waiting is not None and waiting <= now:
            assert pace.ask("a", waiting) is None
            written.append(waiting)
            waiting = None
        due = pace.ask("a", now)
        if due is None:
            written.append(now)
        else:
            waiting = due
    return written if waiting is None else [*written, waiting]


def test_a_change_after_a_rest_is_written_at_once() -> None:
    changes = [0.0, 10.0, 20.0, 20.0 + 3 * MOST]
    assert writes(changes) == changes


def test_the_second_change_waits_the_least_pause() -> None:
    assert writes([0.0, 0.01]) == [0.0, LEAST]


def test_a_thousand_changes_in_a_row_are_few_writes_and_the_last_is_told_within_the_longest_pause() -> None:
    changes = [number * 0.03 for number in range(1_000)]
    written = writes(changes)
    assert len(written) < 40
    assert changes[-1] <= written[-1] <= changes[-1] + MOST


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
