"""The gate on instructions: what callgrind's output says, and what a count is beside its baseline."""

from __future__ import annotations

from pathlib import Path

import pytest
from benches.instructions import steps
from benches.instructions.callgrind import instructions_of
from benches.instructions.times import Time, times_of
from benches.instructions.verdict import TOLERANCE, Build, Row, Verdict, incomparable, rows_of

from sluicegate import _native

#: Costs of the library: 7, 5 and 2. What it calls costs 900 and 40, what calls it 11 and 3.
OUTPUT = """\
version: 1
positions: line
events: Ir
summary: 968

ob=(1) /usr/lib/libc.so.6
fl=(1) memcpy.c
fn=(1) memcpy
12 11
cob=(2) /a/folder/_native.abi3.so
cfn=(2) 0x1000
calls=3 0
+1 14

ob=(2)
fl=(2) ???
fn=(2)
0 7
* 5
cob=(1)
cfn=(1)
calls=1 12
0 900
fn=(3) 0x2000
-2 2
cfn=(2)
calls=1 0
0 40

ob=(1)
fn=(4) free
+3 3
"""


def test_only_what_runs_inside_the_library_counts() -> None:
    assert instructions_of(OUTPUT.splitlines(), "_native.abi3.so") == 7 + 5 + 2
    assert instructions_of(OUTPUT.splitlines(), "libc.so.6") == 11 + 3


def test_a_library_that_did_not_run_is_no_zero() -> None:
    with pytest.raises(ValueError, match=r"nothing of other\.so"):
        instructions_of(OUTPUT.splitlines(), "other.so")


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (1_000, 1_000, Verdict.HELD),
        (1_000, 1_000 * (1 + TOLERANCE) - 1, Verdict.HELD),
        (1_000, 1_000 * (1 + TOLERANCE) + 1, Verdict.GREW),
        (1_000, 1_000 * (1 - TOLERANCE) + 1, Verdict.HELD),
        (1_000, 1_000 * (1 - TOLERANCE) - 1, Verdict.SHRANK),
        (None, 1_000, Verdict.NEW),
    ],
)
def test_verdict(before: float | None, now: float, verdict: Verdict) -> None:
    assert Row("resolve", before, now).verdict is verdict


def test_a_work_without_a_baseline_is_not_left_out() -> None:
    rows = rows_of({"resolve": 10.0, "gone": 1.0}, {"resolve": 10.0, "change": 20.0})
    assert [(row.work, row.before, row.now) for row in rows] == [("resolve", 10.0, 10.0), ("change", None, 20.0)]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (Build("rustc version 1.95.0", "x86_64"), None),
        (
            Build("rustc version 1.96.0", "x86_64"),
            "built by rustc version 1.95.0, this library by rustc version 1.96.0",
        ),
        (Build("rustc version 1.95.0", "aarch64"), "this machine is aarch64"),
    ],
)
def test_other_compilers_and_machines_are_not_compared(now: Build, words: str | None) -> None:
    reason = incomparable(Build("rustc version 1.95.0", "x86_64"), now)
    assert reason is None if words is None else words in str(reason)


def test_a_step_takes_what_it_adds_to_the_same_round() -> None:
    rounds = [{"plain": plain, "limit": plain + more} for plain, more in [(1_000, 90), (4_000, 100), (1_200, 120)]]
    plain, times = times_of(rounds, {"limit": 100.0})
    assert (plain, times["limit"].nanoseconds, times["limit"].verdict) == (1_200, 100, "reached")
    assert Time(101.0, (100.0, 102.0), bar=100.0).verdict == "MISSED"


def test_only_what_goes_to_an_endpoint_is_measured(tmp_path: Path) -> None:
    head = steps.write(steps.STEPS["plain"], tmp_path, "127.77.0.4", 0, 9)
    engine = _native.Engine((tmp_path / "settings.json").read_bytes())
    try:
        engine.apply((tmp_path / "engine.json").read_bytes())
        assert engine.bench([head], 3) > 0
        for other in (head.replace(b"www.", b"other."), head[:-2]):
            with pytest.raises(ValueError, match="would not go to an endpoint"):
                engine.bench([head, other], 1)
    finally:
        engine.shutdown()
