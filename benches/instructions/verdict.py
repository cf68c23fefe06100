"""Counts against the committed ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

#: More instructions than the baseline by this share fail. Runs differ by less than a thousandth.
TOLERANCE = 0.03


class Verdict(StrEnum):
    """What a count is, compared with its baseline."""

    HELD = "held"
    GREW = "GREW"
    SHRANK = "shrank, make it the baseline"
    NEW = "no baseline"


@dataclass(frozen=True)
class Build:
    """What counts depend on besides the code; those of two builds are compared only where it is the same.

    Attributes:
        compiler: rustc's version, as the library has it.
        machine: architecture, such as `x86_64`.
    """

    compiler: str
    machine: str


@dataclass(frozen=True)
class Row:
    """One unit of work.

    Attributes:
        work: its key in the baseline.
        before: instructions of the baseline; None where it has none.
        now: instructions.
    """

    work: str
    before: float | None
    now: float

    @property
    def change(self) -> float | None:
        """Growth as a share of the baseline."""
        return None if self.before is None else self.now / self.before - 1

    @property
    def verdict(self) -> Verdict:
        """Whether it held. An end within the tolerance is inside of it."""
        if self.change is None:
            return Verdict.NEW
        if self.change > TOLERANCE:
            return Verdict.GREW
        return Verdict.SHRANK if self.change < -TOLERANCE else Verdict.HELD


def rows_of(baseline: Mapping[str, float], counts: Mapping[str, float]) -> list[Row]:
    """A row for each count."""
    return [Row(work, baseline.get(work), now) for work, now in counts.items()]


def incomparable(baseline: Build, now: Build) -> str | None:
    """Why two builds cannot be compared, or None."""
    if baseline.machine != now.machine:
        return f"the baseline is of {baseline.machine}, this machine is {now.machine}"
    if baseline.compiler != now.compiler:
        return f"the baseline was built by {baseline.compiler}, this library by {now.compiler}"
    return None
