"""What is counted: `python -I -S child.py LIBRARY FOLDER WORK TIMES`, under callgrind.

It loads the native library by its path and nothing else, so that little is run that is not asked for. The folder has
`full.json`, `change-0.json`, `change-1.json`, `request.json` (`table`) or `engine.json`, `settings.json` (`proxy`).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def load(path: str) -> Any:  # noqa: ANN401 (the module of that library)
    spec = importlib.util.spec_from_file_location("sluicegate._native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(library: str, folder: Path, work: str, times: int) -> None:
    native = load(library)
    if work == "proxy":
        engine = native.Engine((folder / "settings.json").read_bytes())
        print(engine.apply((folder / "engine.json").read_bytes()).decode(), flush=True)
        sys.stdin.read()  # requests come meanwhile
        engine.shutdown()
        return
    full = (folder / "full.json").read_bytes()
    table = native.RouteTable(full)
    if work == "compile":
        for _ in range(times):
            native.RouteTable(full)
    elif work == "change":
        changes = [(folder / f"change-{number}.json").read_bytes() for number in (0, 1)]
        for number in range(times):
            table.apply(changes[number % 2])
    elif work == "resolve":
        table.bench([(folder / "request.json").read_bytes()], times)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
