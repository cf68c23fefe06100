"""Draw a Grafana dashboard from what its queries give, as a page that a browser makes a picture of.

Grafana draws otherwise, and more: what is kept is the layout (`gridPos`), titles, units, thresholds, legends and every
query. `tests/system/test_dashboard_pictures.py` has the queries answered by a Prometheus, and writes the pictures.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

#: Pixels: of the page, a row of the grid, and what is between two panels; as Grafana has them.
WIDTH, ROW, GAP = 1180, 30, 8
#: Lines of a legend, and what is left out beyond.
_MOST = 5
_COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#8ab8ff", "#b877d9", "#37872d")
_NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
_STYLE = """
body { margin: 0; padding: 12px; font: 12px/1.3 "DejaVu Sans", sans-serif; background: #f4f5f5; color: #24292e }
h1 { font-size: 18px; margin: 0 0 2px } p { margin: 0 0 10px; color: #6e757c }
main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 30px; gap: 8px }
section { background: #fff; border: 1px solid #dfe2e6; border-radius: 3px; padding: 6px 8px; overflow: hidden;
  display: flex; flex-direction: column; min-width: 0 }
h2 { font-size: 12px; margin: 0 0 4px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
svg { overflow: visible; margin: 4px 0 auto } text { font-size: 10px; fill: #6e757c }
.line { stroke: #e4e7ea } table { border-collapse: collapse; width: 100%; font-size: 10.5px }
td, th { padding: 1px 4px; text-align: right; font-weight: normal; white-space: nowrap }
td:first-child, th:first-child { text-align: left; max-width: 0; width: 99%; overflow: hidden;
  text-overflow: ellipsis } th { color: #6e757c } .list td, .list th { text-align: left; width: auto; max-width: none;
  padding: 3px 6px; border-bottom: 1px solid #e4e7ea }
i { display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle }
.big { font-size: 30px; font-weight: bold; text-align: center } .none { margin: auto; color: #6e757c }
"""
_DARK = """
body { background: #111217; color: #d8d9da } section { background: #181b1f; border-color: #2c3235 }
p, text, th, .none { color: #9a9fa5; fill: #9a9fa5 } .line { stroke: #2c3235 }
.list td, .list th { border-color: #2c3235 }
"""


class Series(NamedTuple):
    """What a query gave.

    Attributes:
        labels: of the series.
        points: seconds since 1970 and value, in order; one of them for a query of now.
    """

    labels: dict[str, str]
    points: list[tuple[float, float]]


class Size(NamedTuple):
    """What a panel has for what it shows, in pixels."""

    width: int
    height: int


#: Answers a query: of the whole time, or (True) of its end alone.
Ask = Callable[[str, bool], "list[Series]"]


def page(board: dict[str, Any], ask: Ask, *, dark: bool) -> tuple[str, int]:
    """A dashboard as HTML, and its height in pixels.

    Args:
        board: as it is imported into Grafana.
        ask: answers a query, whose variables were replaced.
        dark: the colours.
    """
    panels = "".join(_panel(panel, ask) for panel in board["panels"])
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    head = f"<h1>{escape(board['title'])}</h1><p>{escape(board['description'])}</p>"
    style = _STYLE + (_DARK if dark else "")
    text = f"<!doctype html><meta charset=utf-8><style>{style}</style>{head}<main>{panels}</main>"
    return text, rows * (ROW + GAP) - GAP + 80


def query(expression: str, variables: Iterable[str], interval: str) -> str:
    """A query of a dashboard as Prometheus takes it: everything is chosen."""
    for name in variables:
        expression = expression.replace(f"${name}", ".*")
    return expression.replace("$__rate_interval", interval)


def _panel(panel: dict[str, Any], ask: Ask) -> str:
    grid, kind = panel["gridPos"], panel["type"]
    place = f"grid-column:{grid['x'] + 1}/span {grid['w']};grid-row:{grid['y'] + 1}/span {grid['h']}"
    defaults = panel["fieldConfig"]["defaults"]
    named = [
        (_name(target, series), series)
        for target in panel["targets"]
        for series in ask(target["expr"], kind == "table")
        if series.points
    ]
    size = Size(round((WIDTH - 24 + GAP) * grid["w"] / 24) - GAP - 18, grid["h"] * (ROW + GAP) - GAP - 38)
    inner = {"stat": _stat, "table": _table, "timeseries": _lines}[kind](named, defaults, size) if named else ""
    none = "" if inner else '<div class="none">No data</div>'
    return f'<section style="{place}"><h2>{escape(panel["title"])}</h2>{inner}{none}</section>'


def _name(target: dict[str, Any], series: Series) -> str:
    form = target.get("legendFormat") or ", ".join(series.labels.values())
    return re.sub(r"\{\{(\w+)\}\}", lambda found: series.labels.get(found[1], ""), form)


def _stat(named: Sequence[tuple[str, Series]], defaults: dict[str, Any], size: Size) -> str:
    [(_, series), *_] = named
    value = series.points[-1][1]
    colour = _colour(value, defaults)
    plot = _plot([series], [colour], Size(size.width, size.height - 42), axes=False, unit="")
    return f'<div class="big" style="color:{colour}">{show(value, defaults["unit"])}</div>{plot}'


def _table(named: Sequence[tuple[str, Series]], defaults: dict[str, Any], _: Size) -> str:
    names = list(named[0][1].labels)
    head = "".join(f"<th>{escape(name)}</th>" for name in (*names, "Value"))
    rows = ""
    for _, series in named:
        value = series.points[-1][1]
        cells = "".join(f"<td>{escape(series.labels.get(name, ''))}</td>" for name in names)
        colour = _colour(value, defaults) if "thresholds" in defaults else "inherit"
        rows += f'<tr>{cells}<td style="color:{colour}">{show(value, defaults["unit"])}</td></tr>'
    return f'<table class="list"><tr>{head}</tr>{rows}</table>'


def _lines(named: Sequence[tuple[str, Series]], defaults: dict[str, Any], size: Size) -> str:
    colours = [_COLOURS[index % len(_COLOURS)] for index in range(len(named))]
    unit = defaults["unit"]
    legend = ""
    for (name, series), colour in list(zip(named, colours, strict=True))[:_MOST]:
        values = [value for _, value in series.points]
        shown = "".join(f"<td>{show(value, unit)}</td>" for value in (values[-1], max(values)))
        legend += f'<tr><td><i style="background:{colour}"></i>{escape(name or "value")}</td>{shown}</tr>'
    if len(named) > _MOST:
        legend += f"<tr><td>and {len(named) - _MOST} more</td></tr>"
    rows = min(len(named), _MOST) + (len(named) > _MOST) + 1
    plot = _plot(
        [series for _, series in named], colours, Size(size.width, size.height - 17 * rows), axes=True, unit=unit
    )
    return f"{plot}<table><tr><th>Name</th><th>Last</th><th>Max</th></tr>{legend}</table>"


def _plot(every: Sequence[Series], colours: Sequence[str], size: Size, *, axes: bool, unit: str) -> str:
    width, height = size
    values = [value for series in every for _, value in series.points]
    times = [moment for series in every for moment, _ in series.points]
    step = _step(max(values), 2**20 if unit == "bytes" else 1) if axes else 0.0
    top = math.ceil(max(values) / step) * step if axes else max(values) * 1.1 or 1.0
    first, last = min(times), max(*times, min(times) + 1)
    left = 58 if axes else 0
    below = 14 if axes else 0

    def x(moment: float) -> float:
        return left + (moment - first) / (last - first) * (width - left)

    def y(value: float) -> float:
        return (height - below) * (1 - value / (top or 1.0))

    drawn = ""
    for index in range(round(top / step) + 1 if axes else 0):
        at = y(index * step)
        drawn += f'<path class="line" d="M{left} {at:.1f}H{width}"/>'
        drawn += f'<text x="{left - 5}" y="{at + 3:.1f}" text-anchor="end">{show(index * step, unit)}</text>'
    for moment in _moments(first, last) if axes else ():
        text = time.strftime("%H:%M", time.gmtime(moment))
        drawn += f'<text x="{x(moment):.1f}" y="{height}" text-anchor="middle">{text}</text>'
    for series, colour in zip(every, colours, strict=True):
        path = "L".join(f"{x(moment):.1f} {y(value):.1f}" for moment, value in series.points)
        drawn += f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        ends = (x(series.points[0][0]), x(series.points[-1][0]))
        area = f"M{ends[0]:.1f} {y(0):.1f}L{path}L{ends[1]:.1f} {y(0):.1f}Z"
        drawn += f'<path d="{area}" fill="{colour}" fill-opacity="0.08"/>'
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">{drawn}</svg>'


def _step(most: float, one: int) -> float:
    """Between two lines of a grid, of which there are up to five: 1, 2 or 5 times a power of ten of `one`."""
    if most <= 0:
        return float(one)
    power = one * 10.0 ** math.floor(math.log10(most / one / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 4 >= most)


def _moments(first: float, last: float) -> list[float]:
    """Whole minutes below the axis, five at most."""
    every = 60 * math.ceil((last - first) / 60 / 5)
    return [moment * every for moment in range(math.ceil(first / every), math.floor(last / every) + 1)]


def _colour(value: float, defaults: dict[str, Any]) -> str:
    steps = defaults.get("thresholds", {}).get("steps") or [{"color": "green", "value": None}]
    reached = [item["color"] for item in steps if item["value"] is None or value >= item["value"]]
    return _NAMED[reached[-1]]


def show(value: float, unit: str) -> str:
    """A figure with its unit, as short as Grafana has it."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    if unit == "s":
        for size, name in ((604_800, "weeks"), (86_400, "days"), (3_600, "hours"), (60, "mins"), (1, "s")):
            if abs(value) >= size * (1.5 if size > 1 else 1):
                return f"{value / size:.3g} {name}"
        return f"{value * 1e3:.3g} ms" if value else "0 s"
    ending = {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")
    return f"{value:.0f}{ending}" if abs(value) >= 100 else f"{value:.3g}{ending}"
