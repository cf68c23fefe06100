"""What the bench of traces makes of its rounds."""

from __future__ import annotations

from collections import Counter

import pytest
from benches.telemetry.__main__ import check
from benches.telemetry.site import tracing_of
from benches.telemetry.verdict import VARIANTS, interval_of, rows_of


def round_(**more: float) -> dict[str, float]:
    """A round; per cent more than without a policy."""
    return {name: 10 * (1 + more.get(name, 0) / 100) for name in VARIANTS}


def test_verdicts() -> None:
    """A bar is reached by the median; where nothing is allowed, by what cannot be told from nothing."""
    noise = (-2, -1, 0, 1, 2)
    rows = rows_of([round_(disabled=1 + each, hundredth=1.9 + each, all=26 + each) for each in noise])
    assert [row.verdict for row in rows] == ["", "", "reached", "reached", "MISSED"]
    assert [round(row.more, 6) for row in rows] == [0, 0, 1, 1.9, 26]
    assert [round(row.least, 6) for row in rows] == [0, 0, -1, -0.1, 24]
    slower = rows_of([round_(disabled=3 + each) for each in noise])
    assert slower[2].verdict == "MISSED"


def test_one_round_says_something() -> None:
    [*_, row] = rows_of([round_(all=30)])
    assert (round(row.more), row.verdict) == (30, "MISSED")


def test_intervals_are_within_the_rounds() -> None:
    assert interval_of([1.0]) == (1.0, 1.0)
    assert interval_of([float(each) for each in range(100)]) == (39.0, 60.0)


def test_policies() -> None:
    assert tracing_of(VARIANTS["none"]) is None
    assert tracing_of(VARIANTS["disabled"]) == {"mode": "Disabled"}
    found = tracing_of(VARIANTS["hundredth"])
    assert found is not None
    assert found["samplingRate"] == {"numerator": 1, "denominator": 100}


@pytest.mark.parametrize(
    ("sampled", "said"),
    [
        ({"all exported": 2000, "hundredth exported": 20, "all dropped": 0}, ""),
        ({"all exported": 1990, "hundredth exported": 20, "all dropped": 10}, "not all spans"),
        ({"all exported": 2000, "hundredth exported": 20, "disabled exported": 2}, "not all spans"),
        ({"all exported": 2000, "hundredth exported": 80}, "should be 1 %"),
    ],
)
def test_what_was_measured_is_what_its_name_says(sampled: dict[str, int], said: str) -> None:
    if not said:
        check(Counter(sampled), 1000)
        return
    with pytest.raises(SystemExit, match=said):
        check(Counter(sampled), 1000)
