"""`make bench-instructions`: count, compare with benches/results/instructions.json, fail where something grew.

Status 0: all held. 1: something grew by more than the tolerance. 3: nothing was compared, and why is said loudly: there
is no valgrind, or the baseline is of another compiler or architecture.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.instructions import callgrind
from benches.instructions.count import TITLES, count
from benches.instructions.steps import STEPS
from benches.instructions.verdict import TOLERANCE, Build, Row, Verdict, incomparable, rows_of
from sluicegate import _native

BASELINE = Path(__file__).parents[1] / "results" / "instructions.json"
NOT_COMPARED = 3
#: Of the section `.comment`; and, where that was stripped, of the paths of the standard library.
_COMPILER = (re.compile(rb"rustc version [ -~]+"), re.compile(rb"/rustc/[0-9a-f]{40}"))
_RULE = "#" * 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="make what is counted now the baseline")
    arguments = parser.parse_args()
    if reason := callgrind.missing():
        return not_compared("NOT MEASURED", reason)
    library = Path(_native.__file__)
    build = Build(compiler_of(library.read_bytes()), platform.machine())
    counts = {work: round(counted(work, library), 1) for work in TITLES}
    show_steps(counts)
    if arguments.update:
        write(build, counts)
        print(f"written: {BASELINE}")
        return 0
    if not BASELINE.exists():
        show(rows_of({}, counts))
        return not_compared("NOT COMPARED", f"there is no {BASELINE.name}: `make bench-instructions UPDATE=1`")
    document = json.loads(BASELINE.read_text())
    rows = rows_of(document["instructions"], counts)
    show(rows)
    if reason := incomparable(Build(**document["build"]), build):
        return not_compared("NOT COMPARED", f"{reason}: `make bench-instructions UPDATE=1` makes a baseline of it")
    if any(row.verdict in {Verdict.GREW, Verdict.NEW} for row in rows):
        print(
            f"More instructions than in {BASELINE.name} by over {TOLERANCE:.0%}, or none known there. Is the library a"
            " release build (`make` builds one)? Where the growth is meant: `make bench-instructions UPDATE=1`, and say"
            " why in the commit."
        )
        return 1
    return 0


def counted(work: str, library: Path) -> float:
    print(f"counting: {TITLES[work]}", file=sys.stderr, flush=True)
    return count(work, library)


def compiler_of(library: bytes) -> str:
    """The version of rustc that built a library."""
    for pattern in _COMPILER:
        if found := pattern.search(library):
            return found[0].decode()
    raise SystemExit("the native library does not say which rustc built it")


def not_compared(what: str, reason: str) -> int:
    print(f"{_RULE}\n# {what}: instructions.\n# {reason}\n{_RULE}")
    return NOT_COMPARED


def write(build: Build, counts: dict[str, float]) -> None:
    document = {
        "unit": "instructions in the native library for each unit of work, by callgrind",
        "build": {"compiler": build.compiler, "machine": build.machine},
        "instructions": counts,
    }
    BASELINE.write_text(json.dumps(document, indent=2) + "\n")


def show(rows: list[Row]) -> None:
    table = Table(title=f"Instructions in the native library; more than {TOLERANCE:.0%} above the baseline fails")
    for name in ("work", "baseline", "now", "change", ""):
        table.add_column(name, justify="left" if name in {"work", ""} else "right")
    for row in rows:
        before = "" if row.before is None else f"{row.before:,.0f}"
        change = "" if row.change is None else f"{row.change:+.2%}"
        table.add_row(TITLES[row.work], before, f"{row.now:,.0f}", change, row.verdict)
    Console().print(table)


def show_steps(counts: dict[str, float]) -> None:
    """What each step costs beside the same request without it. How long that takes: `make bench-steps`."""
    table = Table(title="What policies cost a request")
    for name in ("step", "instructions"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for name, step in STEPS.items():
        if step.bar:
            table.add_row(step.title, f"{counts[name] - counts['plain']:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
