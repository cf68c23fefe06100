"""Medians, ratios and verdicts. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benches.proxy.shapes import Bar, Figure, Shape

OWN = "sluicegate"
#: No peer: never the best of a shape.
REFERENCE = "reference"
#: The share of the machine that other processes may use.
OTHERS = 0.05


@dataclass(frozen=True)
class Sample:
    """One round of one proxy.

    Attributes:
        value: the figure of the shape, such as CPU microseconds for each request.
        per_second: units.
        busy: share of its core that the proxy used.
        p99_ms: of the response times.
        failed: requests without a 200, datagrams lost.
    """

    value: float
    per_second: float = 0.0
    busy: float = 0.0
    p99_ms: float = 0.0
    failed: int = 0


@dataclass(frozen=True)
class Ratio:
    """Ours to theirs, round by round, because neighbours come and go.

    Attributes:
        middle: the median.
        least, most: of the rounds.
    """

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ±{(self.most - self.least) / 2:.2f}"


@dataclass(frozen=True)
class Row:
    """A shape beside one of its bars; a shape without bars has one row.

    Attributes:
        shape: its name.
        title: of the shape.
        unit: such as `CPU us / request`.
        figures: proxy to the median of its rounds.
        best: the best peer of the shape, and our ratio to it; None where there is no peer.
        bar: None where there is none.
        compared: the peer of the bar that was the best of those named; None where the bar names none.
        ratio: ours to that peer's.
        reached: None where it cannot be said.
    """

    shape: str
    title: str
    unit: str
    figures: Mapping[str, float]
    best: tuple[str, Ratio] | None
    bar: Bar | None
    compared: str | None
    ratio: Ratio | None
    reached: bool | None

    @property
    def verdict(self) -> str:
        """In one or two words; empty without a bar."""
        if self.bar is None:
            return ""
        return {None: "not measured", True: "reached", False: "MISSED"}[self.reached]

    def document(self) -> dict[str, object]:
        """As JSON."""
        ratio = None if self.ratio is None else asdict(self.ratio)
        return {
            "shape": self.shape,
            "title": self.title,
            "unit": self.unit,
            "figures": self.figures,
            "best_peer": None if self.best is None else {"proxy": self.best[0], "ratio": asdict(self.best[1])},
            "bar": None if self.bar is None else {"limit": self.bar.limit, "peers": self.bar.peers},
            "compared_with": self.compared,
            "ratio": ratio,
            "verdict": self.verdict,
        }


def rows_of(shapes: Iterable[Shape], samples: Mapping[tuple[str, str], Sequence[Sample]]) -> list[Row]:
    """A row for each bar of each shape that has samples, and for each shape without bars.

    Args:
        shapes: in the order of the table.
        samples: of a shape's name and a proxy's, one for each round, in the order of the rounds.
    """
    return [
        row(shape, bar, measured)
        for shape in shapes
        if (measured := {name: each for (of, name), each in samples.items() if of == shape.name and each})
        for bar in shape.bars or (None,)
    ]


def row(shape: Shape, bar: Bar | None, measured: Mapping[str, Sequence[Sample]]) -> Row:
    """One row from the samples of a shape, by proxy."""
    figures = {name: statistics.median(sample.value for sample in each) for name, each in measured.items()}
    own = measured.get(OWN, ())
    peer = best_of(figures, [name for name in figures if name not in {OWN, REFERENCE}])
    best = (peer, ratio_of(own, measured[peer])) if peer and own else None
    compared, ratio, reached = None, None, None
    if bar is not None and own:
        if not bar.peers:
            reached = figures[OWN] <= bar.limit
        elif compared := best_of(figures, bar.peers):
            ratio = ratio_of(own, measured[compared])
            reached = ratio.middle <= bar.limit
    unit = shape.figure if shape.figure is Figure.P99 else f"{shape.figure} / {shape.unit}"
    return Row(shape.name, shape.title, str(unit), figures, best, bar, compared, ratio, reached)


def best_of(figures: Mapping[str, float], names: Iterable[str]) -> str | None:
    """The one of these that needs least, if one of them was measured."""
    return min((name for name in names if name in figures), key=figures.__getitem__, default=None)


def ratio_of(own: Sequence[Sample], theirs: Sequence[Sample]) -> Ratio:
    """Ours to theirs, round by round. Next to nothing (memory) counts as a thousandth."""
    ratios = [mine.value / max(other.value, 0.001) for mine, other in zip(own, theirs, strict=False)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def troubles(samples: Mapping[tuple[str, str], Sequence[Sample]], others: float) -> list[str]:
    """What makes figures doubtful.

    Args:
        samples: of which some may have requests that failed.
        others: share of the machine that other processes used meanwhile.
    """
    found = []
    if others > OTHERS:
        found.append(f"other processes used {others:.0%} of this machine: nothing here is to be published")
    for (shape, name), each in samples.items():
        failed = sum(sample.failed for sample in each)
        if failed:
            found.append(f"{shape}, {name}: {failed} failed")
    return found
