"""No module needs itself: what import-linter holds for packages (`.importlinter`), held for every module."""

from __future__ import annotations

import graphlib

import grimp


def test_no_modules_go_in_circles() -> None:
    graph = grimp.build_graph("sluicegate")
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError with the circle
