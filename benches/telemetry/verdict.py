"""What is compared with what, and whether it is within its bar. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The variant that the others are compared with.
BASE = "none"
#: The share of the machine that others may use where figures are to be written.
OTHERS = 0.05
#: Normal quantile of an interval that has the true median in 95 of 100 runs.
_NORMAL = 1.96


@dataclass(frozen=True)
class Variant:
    """A way of being traced.

    Attributes:
        title: for people.
        rate: per cent of requests that are sampled; 0: the policy has mode Disabled; None: there is no policy.
        bar: per cent of CPU time that it may take more than without a policy; 0: nothing that can be told from noise;
            None: it is only shown.
    """

    title: str
    rate: int | None = None
    bar: float | None = None


VARIANTS = {
    BASE: Variant("no policy"),
    "again": Variant("no policy, another Gateway: what noise makes"),
    "disabled": Variant("mode Disabled", 0, 0.0),
    "hundredth": Variant("1 % sampled", 1, 2.0),
    "all": Variant("100 % sampled", 100, 25.0),
}


@dataclass(frozen=True)
class Row:
    """One variant.

    Attributes:
        microseconds: CPU time of the process for each request, the median of the rounds.
        more: per cent more than without a policy, the median of what the rounds say.
        interval: where the true median of that is, in 95 of 100 runs.
        middle: from where to where the middle half of the rounds is.
        least: per cent more than without a policy, of the quickest rounds of both: what neighbours touched least.
        bar: as of its variant.
    """

    name: str
    title: str
    microseconds: float
    more: float
    interval: tuple[float, float]
    middle: tuple[float, float]
    least: float
    bar: float | None

    @property
    def verdict(self) -> str:
        """Whether it is within its bar; nothing where it has none."""
        if self.bar is None:
            return ""
        found = self.interval[0] if self.bar == 0 else self.more
        return "reached" if found <= self.bar else "MISSED"


def rows_of(rounds: Sequence[Mapping[str, float]]) -> list[Row]:
    """Compare round by round, since neighbours come and go; `rounds`: microseconds of a request, of each variant."""
    rows = []
    for name, variant in VARIANTS.items():
        more = sorted((each[name] / each[BASE] - 1) * 100 for each in rounds)
        low, _, high = statistics.quantiles(more, n=4, method="inclusive") if len(more) > 1 else (more[0],) * 3
        rows.append(
            Row(
                name,
                variant.title,
                statistics.median(each[name] for each in rounds),
                statistics.median(more),
                interval_of(more),
                (low, high),
                (min(each[name] for each in rounds) / min(each[BASE] for each in rounds) - 1) * 100,
                variant.bar,
            )
        )
    return rows


def interval_of(ordered: Sequence[float]) -> tuple[float, float]:
    """Interval of the median by order statistics, which asks nothing of how figures are spread."""
    count = len(ordered)
    half = _NORMAL * math.sqrt(count) / 2
    low, high = math.floor((count - 1) / 2 - half), math.ceil((count - 1) / 2 + half)
    return ordered[max(low, 0)], ordered[min(high, count - 1)]
