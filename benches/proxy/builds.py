"""Builds of this project side by side: what a change of the code costs or saves."""

from __future__ import annotations

import functools
import statistics
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import sluicegate
from benches.proxy.peers.site import Peer, Site
from benches.proxy.peers.sluicegate import peer
from benches.proxy.report import WIDTH, number
from benches.proxy.shapes import Figure, Shape
from benches.proxy.verdict import Sample

LIBRARY = "_native.abi3.so"


@dataclass(frozen=True)
class Comparison:
    """Two builds in one shape.

    Attributes:
        shape: what was measured.
        figures: the medians of the earlier and the later one.
        ratio: the later to the earlier, the median of the rounds.
        quarter, three_quarters: between these lies the middle half of the rounds' ratios.
        rounds: how many.
    """

    shape: Shape
    figures: tuple[float, float]
    ratio: float
    quarter: float
    three_quarters: float
    rounds: int


def parse_builds(text: str) -> dict[str, Path]:
    """`NAME=PATH,NAME=PATH`: at least two, the earlier first.

    Raises:
        ArgumentTypeError: it is no such list, or a path is neither a library nor a tree.
    """
    builds: dict[str, Path] = {}
    for part in text.split(","):
        name, equals, path = part.partition("=")
        place = Path(path).resolve()
        if not name or not equals or name in builds:
            raise ArgumentTypeError(f"{part!r} is not NAME=PATH with a name of its own")
        if not place.is_file() and not (place / "python" / "sluicegate" / LIBRARY).is_file():
            raise ArgumentTypeError(f"{path}: neither a library nor a source tree with python/sluicegate/{LIBRARY}")
        builds[name] = place
    if len(builds) < 2:
        raise ArgumentTypeError("there are two builds to compare at least")
    return builds


def peers_of(builds: Mapping[str, Path], folder: Path) -> dict[str, Callable[[Site], Peer]]:
    """How each build is started. A library gets the Python of this tree, a source tree has its own.

    Args:
        builds: name to a library or a source tree.
        folder: for packages that are put together.
    """
    return {name: functools.partial(build_peer, packages_of(path, folder / name)) for name, path in builds.items()}


def build_peer(packages: Path, site: Site) -> Peer:
    """Sluicegate from a folder of packages."""
    usual = peer(site)
    return Peer(usual.name, ["env", f"PYTHONPATH={packages}", *usual.command], usual.ports)


def packages_of(path: Path, folder: Path) -> Path:
    """What goes into PYTHONPATH for a build."""
    if path.is_dir():
        return path / "python"
    package = folder / "packages" / "sluicegate"
    package.mkdir(parents=True)
    for entry in Path(sluicegate.__file__).parent.iterdir():
        if entry.name not in {LIBRARY, "__pycache__"}:
            (package / entry.name).symlink_to(entry)
    (package / LIBRARY).symlink_to(path)
    return package.parent


def compare(
    shapes: Iterable[Shape], samples: Mapping[tuple[str, str], Sequence[Sample]], earlier: str, later: str
) -> list[Comparison]:
    """Two builds in each shape, round by round."""
    found = []
    for shape in shapes:
        pair = samples.get((shape.name, earlier), ()), samples.get((shape.name, later), ())
        ratios = [new.value / old.value for old, new in zip(*pair, strict=False)]
        if len(ratios) < 2:
            continue
        quarter, middle, three_quarters = statistics.quantiles(ratios, n=4, method="inclusive")
        medians = [statistics.median(sample.value for sample in each) for each in pair]
        figures = (medians[0], medians[1])
        found.append(Comparison(shape, figures, middle, quarter, three_quarters, len(ratios)))
    return found


def show(found: Sequence[Comparison], earlier: str, later: str, troubles: Iterable[str]) -> None:
    """Print a table of two builds."""
    table = Table(title=f"{later} against {earlier}: medians, ratios round by round", box=SIMPLE_HEAD)
    for name in ("shape", "", earlier, later, "ratio", "middle half of the rounds", "rounds"):
        table.add_column(name, justify="left" if name in {"shape", ""} else "right", no_wrap=True)
    for each in found:
        shape = each.shape
        unit = shape.figure if shape.figure is Figure.P99 else f"{shape.figure} / {shape.unit}"
        middle_half = f"{each.quarter:.3f} to {each.three_quarters:.3f}"
        ratio = f"{each.ratio:.3f}"
        table.add_row(shape.title, unit, *map(number, each.figures), ratio, middle_half, str(each.rounds))
    Console(width=WIDTH).print(table)
    for line in troubles:
        print(f"# {line}")
