"""`make bench`: run the micro-benchmarks, print one comparison table, write JSON and a plot to benches/results."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benches" / "results"
BUILDS = ("python", "cython", "rust")
#: The bars of the project: (kind, size) to the least ratio of python and of cython to rust, and the most nanoseconds.
BARS = {("match (spread)", 10_000): (100.0, 20.0, 1_000.0), ("match (one-host)", 10_000): (100.0, 20.0, 1_000.0)}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "benches" / "micro")]
        command += [f"--benchmark-json={path}", "--benchmark-disable-gc"]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status != 0:
            return status
        measured = json.loads(path.read_text())
    rows = rows_of(measured["benchmarks"])
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": measured["machine_info"]["cpu"].get("brand_raw", ""), "unit": "ns", "rows": rows}
    (RESULTS / "micro.json").write_text(json.dumps(document, indent=2) + "\n")
    show(rows)
    plot(rows, RESULTS / "micro.svg")
    print(f"written: {RESULTS / 'micro.json'}, {RESULTS / 'micro.svg'}")
    return 0


def rows_of(benchmarks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for item in benchmarks:
        info = item["extra_info"]
        row = found.setdefault((info["kind"], info["size"]), {"kind": info["kind"], "routes": info["size"]})
        row[info["build"]] = round(info["per_call_ns"], 1)
    for row in found.values():
        row["python/rust"] = round(row["python"] / row["rust"], 1)
        row["cython/rust"] = round(row["cython"] / row["rust"], 1)
    return list(found.values())


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="One operation, nanoseconds")
    for name in ("operation", "routes", *BUILDS, "python / rust", "cython / rust", "bar"):
        table.add_column(name, justify="left" if name == "operation" else "right")
    for row in rows:
        bar = BARS.get((row["kind"], row["routes"]))
        verdict = ""
        if bar is not None:
            held = row["python/rust"] >= bar[0] and row["cython/rust"] >= bar[1] and row["rust"] <= bar[2]
            verdict = "held" if held else f"missed (100x, 20x, {bar[2]:.0f} ns)"
        figures = [f"{row[build]:,.0f}" for build in BUILDS]
        ratios = [f"{row[name]:,.1f}" for name in ("python/rust", "cython/rust")]
        table.add_row(row["kind"], f"{row['routes']:,}" if row["routes"] else "", *figures, *ratios, verdict)
    Console().print(table)
    for shape in ("match (spread)", "match (one-host)"):
        rust = [row["rust"] for row in rows if row["kind"] == shape]
        print(f"{shape}: largest to smallest over the table sizes in Rust: {max(rust) / min(rust):.2f} (bar 2)")


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    kinds = [kind for kind in dict.fromkeys(row["kind"] for row in rows) if kind != "parse"]
    figure, axes = plt.subplots(1, len(kinds), figsize=(4 * len(kinds), 3.6), layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        for build in BUILDS:
            points = [(row["routes"], row[build]) for row in rows if row["kind"] == kind]
            axis.plot(*zip(*points, strict=True), marker="o", label=build)
        axis.set(title=kind, xlabel="routes", ylabel="nanoseconds", xscale="log", yscale="log")
        axis.grid(visible=True, alpha=0.3)
        axis.legend()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
