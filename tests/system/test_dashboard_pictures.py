"""Pictures of the dashboards, drawn from what a Prometheus answers to each of their queries.

With `TEST_PICTURES=docs/pictures` they are written there; `TEST_PICTURES_SECONDS` says how long is recorded before.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from system_browser import PROGRAM, Browser
from system_gateway import until
from system_prometheus import PROMETHEUS, Watched
from system_shop import Shop
from test_monitoring import DASHBOARDS, VARIABLES

from dashboard_pictures import WIDTH, Series, page, query, show

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None or PROGRAM is None, reason="prometheus and chromium: apt-get install prometheus chromium"
)
PICTURES = os.environ.get("TEST_PICTURES")
SECONDS = float(os.environ.get("TEST_PICTURES_SECONDS", "8"))
#: A rate is over this; Grafana takes four times the interval of scrapes.
INTERVAL = "20s" if SECONDS > 60 else "4s"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bool], list[Series]]]:
    """Answers queries about some seconds of a shop."""
    watched = Watched(tmp_path_factory.mktemp("dashboards"), Shop)
    try:
        until(lambda: watched.ask("query", query="1"), "Prometheus answers")
        began = time.time()

        def recorded() -> bool:
            second = time.monotonic()
            watched.world.traffic()
            until(lambda: time.monotonic() - second >= 1, "the second is over")
            return time.time() - began > SECONDS

        while not recorded():
            pass
        ended = time.time()
        yield lambda expression, now: answered(watched, query(expression, VARIABLES, INTERVAL), began, ended, now=now)
    finally:
        watched.close()


def answered(watched: Watched, text: str, began: float, ended: float, *, now: bool) -> list[Series]:
    if now:
        found = watched.ask("query", query=text, time=str(ended))
        return [Series(_labels(item["metric"]), [(ended, float(item["value"][1]))]) for item in found["result"]]
    step = max(1, round((ended - began) / 240))
    found = watched.ask("query_range", query=text, start=str(began), end=str(ended), step=str(step))
    return [
        Series(_labels(item["metric"]), [(float(at), float(value)) for at, value in item["values"] if value != "NaN"])
        for item in found["result"]
    ]


def _labels(metric: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metric.items() if name != "__name__"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_is_drawn(path: Path, ask: Callable[[str, bool], list[Series]], tmp_path: Path) -> None:
    board = json.loads(path.read_text())
    browser = Browser(tmp_path / "profile")
    try:
        for scheme in ("light", "dark"):
            text, height = page(board, ask, dark=scheme == "dark")
            titles = re.findall(r"<h2>([^<]*)</h2>(?=<div class=\"none\")", text)
            assert titles == [], "panels without data"
            assert text.count("<section") == len(board["panels"])
            (tmp_path / "page.html").write_text(text)
            browser.open(tmp_path / "page.html")
            picture = browser.picture(WIDTH, height)
            assert picture.startswith(b"\x89PNG")
            assert browser.run("document.documentElement.scrollWidth") <= WIDTH
            assert browser.run("document.documentElement.scrollHeight") <= height
            if PICTURES:
                (Path(PICTURES) / f"dashboard-{path.stem}-{scheme}.png").write_bytes(picture)
    finally:
        browser.close()


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0123, "percentunit", "1.23 %"),
        (0.0123, "s", "12.3 ms"),
        (0, "s", "0 s"),
        (90_000 * 8, "s", "8.33 days"),
        (12.34, "reqps", "12.3 req/s"),
        (1234, "short", "1234"),
        (3 * 2**20, "bytes", "3 MiB"),
    ],
)
def test_figures_have_units(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown
