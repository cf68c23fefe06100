"""docs/migration.md has the figures of `benches/results/migrate.json`, and says of what day and versions they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migration.md").read_text()
MEASURED = json.loads((ROOT / "benches" / "results" / "migrate.json").read_text())
GROUPS = {"charts": "charts", "annotations": "cases of annotations"}


def test_the_page_says_when_and_what() -> None:
    assert MEASURED["date"] in PAGE
    assert f"ingress2gateway {MEASURED['versions']['ingress2gateway']}" in PAGE


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("converter", ["sluicegate", "sluicegate --standard-only", "ingress2gateway"])
def test_the_page_has_the_figures(group: str, converter: str) -> None:
    tally = MEASURED["totals"][group][converter]
    requests = tally["requests"]
    figures = (f"{tally['clean']} of {tally['inputs']}", *(f"{requests[name]:,}" for name in requests))
    name = "`sluicegate migrate --standard-only`" if converter.endswith("only") else "`sluicegate migrate`"
    name = "ingress2gateway" if converter == "ingress2gateway" else name
    assert f"| {GROUPS[group]} | {name} | {' | '.join(figures)} |" in PAGE
