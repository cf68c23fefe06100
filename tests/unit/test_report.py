"""What `serve` tells of changes: each problem once, wherever its line moves, and that it is solved."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Options, Translator
from sluicegate.observe.log import Log
from sluicegate.processes.live import Step
from sluicegate.processes.serve.report import Reporter
from sluicegate.schema import violations

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, protocol: HTTP, port: 8080}]}
"""
WRONG = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: Wrong_Name}\nspec: {}\n"


class World:
    """A folder, and what is told of it in one form."""

    def __init__(self, folder: Path, output: str) -> None:
        self.folder = folder
        store = Store()
        self._source = Source(Reader([str(folder)]), store, violations)
        self._store = store
        self._translator = Translator("sluicegate.dev/controller", Options())
        self._told = io.StringIO()
        self._log = Log(output, out=self._told, err=self._told)
        self._reporter = Reporter(self._log, io.StringIO())

    def step(self) -> Step:
        refresh = self._source.refresh()
        translation = self._translator.translate(self._store.snapshot())
        told = self._source.with_lines(translation.diagnostics)
        return Step(refresh, translation, (*refresh.diagnostics, *told), None, 0.0)

    def begin(self) -> None:
        self._reporter.ready(self.step(), version="1", admin=None, seconds=0.0, hints=())
        self.told()

    def change(self, **files: str) -> str:
        for name, text in files.items():
            (self.folder / f"{name}.yaml").write_text(text)
        self._reporter.changed(self.step())
        return self.told()

    def told(self) -> str:
        self._log.close()
        text = self._told.getvalue()
        self._told.seek(0)
        self._told.truncate()
        return text


@pytest.mark.parametrize("text", ["a: [\n", WRONG], ids=["a file", "an object"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_problem_is_told_once_and_then_that_it_is_solved(tmp_path: Path, output: str, text: str) -> None:
    world = World(tmp_path, output)
    (tmp_path / "a.yaml").write_text(GATEWAY)
    world.begin()
    first = world.change(b=text)
    assert "b.yaml" in first
    assert "solved:" not in first
    # Its line is another one now, and nothing else.
    assert world.change(b=f"# moved\n\n{text}") == ""
    last = world.change(b="# nothing\n")
    what = "HTTPRoute/default/Wrong_Name" if text == WRONG else str(tmp_path / "b.yaml")
    if output == "text":
        assert last == f"solved: {what}\n"
    else:
        event = json.loads(last)
        assert event["event"] == "changed"
        assert event["problems"] == []
        assert {item["object"] or item["path"] for item in event["solved"]} == {what}
