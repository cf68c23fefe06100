"""The table, the JSON and the plot."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benches.proxy.verdict import OWN, REFERENCE, Row, Sample

#: Characters, where the output is no terminal.
WIDTH = 190
_COLUMNS = 5


def show(rows: Sequence[Row], troubles: Sequence[str], rounds: int) -> None:
    """Print the table, and what makes it doubtful; ± is half of what lies between the least and the most ratio."""
    proxies = list(dict.fromkeys(name for row in rows for name in row.figures))
    title = f"1,023 routes, one core each; medians of {rounds} interleaved rounds, ratios round by round"
    table = Table(title=title, box=SIMPLE_HEAD)
    for name in ("shape", "", *proxies, "ours / best peer", "bar", "ours / named", ""):
        table.add_column(name, justify="right" if name in proxies else "left", no_wrap=name != "shape")
    before = ""
    for row in rows:
        figures = [number(row.figures[name]) if name in row.figures else "" for name in proxies]
        head = [row.title, row.unit, *figures, "" if row.best is None else f"{row.best[1]}  {row.best[0]}"]
        if row.shape == before:
            head = [""] * len(head)
        bar = "" if row.bar is None else str(row.bar)
        table.add_row(*head, bar, "" if row.ratio is None else str(row.ratio), row.verdict)
        before = row.shape
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(table)
    for line in troubles:
        print(f"# {line}")


def number(value: float) -> str:
    """With three digits that matter, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def document(
    rows: Sequence[Row], samples: Mapping[tuple[str, str], Sequence[Sample]], settings: Mapping[str, object]
) -> dict[str, object]:
    """As JSON."""
    return {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "settings": settings,
        "rows": [row.document() for row in rows],
        "samples": {" ".join(key): [asdict(sample) for sample in each] for key, each in samples.items()},
    }


def plot(rows: Sequence[Row], path: Path) -> None:
    """A panel for each shape: the proxies' figures, and the bars as dashed lines."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    shapes = {row.shape: row for row in rows}
    columns = min(_COLUMNS, len(shapes))
    lines = -(-len(shapes) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3 * columns, 2.6 * lines), layout="constrained", squeeze=False)
    for axis, (name, row) in zip(axes.flat, shapes.items(), strict=False):
        proxies = [proxy for proxy in row.figures if proxy != REFERENCE]
        colours = ["tab:blue" if proxy == OWN else "tab:gray" for proxy in proxies]
        axis.bar(proxies, [row.figures[proxy] for proxy in proxies], color=colours)
        for each in rows:
            if each.shape == name and each.bar is not None and (each.compared or not each.bar.peers):
                axis.axhline(each.bar.limit * row.figures.get(each.compared or "", 1.0), color="black", linestyle="--")
        axis.set_title(row.title, fontsize=9)
        axis.set_ylabel(row.unit, fontsize=8)
        axis.tick_params(axis="x", rotation=30, labelsize=8)
    for axis in list(axes.flat)[len(shapes) :]:
        axis.set_visible(False)
    figure.savefig(path)
