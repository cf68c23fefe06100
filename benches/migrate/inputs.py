"""The Ingresses that are converted: the charts and the cases of annotations that the tests have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "migrate"), str(ROOT / "tests" / "golden")]

from migrate_cases import CHARTS, Case, cases  # noqa: E402 (its folder is no package)

#: Of objects that no API server would take.
_BAD = {"bad-objects"}


def inputs() -> Iterator[tuple[str, Case]]:
    """Each with the group that it is counted in: `charts` or `annotations`."""
    for case in cases():
        if case.provider.name == "nginx" and case.name not in _BAD:
            yield "charts" if case.path.parent == CHARTS else "annotations", case
