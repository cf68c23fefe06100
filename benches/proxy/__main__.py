"""Runs the comparison, prints a table, writes JSON and a plot to benches/results."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benches.proxy.peers import ADDRESS, HOST, PATHS, PEERS, Peer, backend

RESULTS = Path(__file__).parents[1] / "results"
PROXY_CORE, LOAD_CORE = 0, 1
#: Ports are fixed: everything is on loopback and ends with this process.
FIRST_PORT = 21_000
#: Scenario: connections, streams on each, HTTP/2.
SCENARIOS = {"http1 x32": (32, 1, False), "http1 x256": (256, 1, False), "http2 8x32": (8, 32, True)}
START_LIMIT = 30.0
#: The bars: scenario to (peers, most times the CPU time of the best of them).
BARS = {
    "http1 x32": ((("nginx", "haproxy"), 1.0), (("envoy",), 0.35)),
    "http1 x256": ((("nginx", "haproxy"), 1.0), (("envoy",), 0.35)),
    "http2 8x32": ((("haproxy",), 1.15),),
}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """One round of one proxy.

    Attributes:
        requests_per_second: completed.
        cpu_us: CPU time of the proxy for each request, microseconds.
        p99_ms: of the response times.
        failed: requests without a 200.
    """

    requests_per_second: float
    cpu_us: float
    p99_ms: float
    failed: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.proxy", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS), help="names, separated by commas")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    arguments = parser.parse_args()
    names, scenarios = arguments.peers.split(","), arguments.scenarios.split(",")
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = start_all(stack, folder, names)
        steps = [
            (scenario, peer, process)
            for _ in range(arguments.rounds + 1)
            for scenario in scenarios
            for peer, process in running
            if not SCENARIOS[scenario][2] or peer.http2
        ]
        warm: set[tuple[str, str]] = set()
        with Progress(transient=True) as progress:
            task = progress.add_task("measuring", total=len(steps))
            for scenario, peer, process in steps:
                progress.update(task, description=f"{scenario} {peer.name}", advance=1)
                sample = measure(peer, process.pid, scenario, folder, arguments.seconds)
                if (scenario, peer.name) in warm:  # the first round warms up
                    samples[scenario, peer.name].append(sample)
                warm.add((scenario, peer.name))
    rows = rows_of(samples)
    RESULTS.mkdir(exist_ok=True)
    document = {
        "rows": rows,
        "samples": {" ".join(key): [asdict(item) for item in each] for key, each in samples.items()},
    }
    (RESULTS / "proxy.json").write_text(json.dumps(document, indent=2) + "\n")
    show(rows)
    plot(rows, RESULTS / "proxy.svg")
    print(f"written: {RESULTS / 'proxy.json'}, {RESULTS / 'proxy.svg'}")
    return 0


def start_all(
    stack: contextlib.ExitStack, folder: Path, names: list[str]
) -> list[tuple[Peer, subprocess.Popen[bytes]]]:
    stack.enter_context(started(backend(folder, FIRST_PORT), LOAD_CORE, FIRST_PORT, folder / "backend.out"))
    running = []
    for number, name in enumerate(names, 1):
        place = folder / name
        place.mkdir()
        peer = PEERS[name](place, FIRST_PORT, FIRST_PORT + 10 * number)
        process = stack.enter_context(started(peer.command, PROXY_CORE, peer.http1, place / "out"))
        running.append((peer, process))
    return running


@contextlib.contextmanager
def started(command: list[str], core: int, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server pinned to a core until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                socket.create_connection((ADDRESS, port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} does not start:\n{log.read_text()}") from None
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(START_LIMIT)


def measure(peer: Peer, pid: int, scenario: str, folder: Path, seconds: int) -> Sample:
    connections, streams, http2 = SCENARIOS[scenario]
    port = peer.http2 if http2 else peer.http1
    log = folder / "load.log"
    log.unlink(missing_ok=True)
    command = ["taskset", "-c", str(LOAD_CORE), "h2load", "-D", str(seconds), "-c", str(connections)]
    command += ["-m", str(streams), "-t", "1", "--log-file", str(log), "-H", f":authority: {HOST}"]
    command += [] if http2 else ["--h1"]
    command += [f"http://{ADDRESS}:{port}{path}" for path in PATHS]
    before = cpu_seconds(pid)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = cpu_seconds(pid) - before
    found = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded", result.stdout)
    if found is None:
        raise SystemExit(f"h2load against {peer.name}: {result.stdout}{result.stderr}")
    done, succeeded = int(found[2]), int(found[3])
    times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    p99 = times[int(len(times) * 0.99)] / 1000 if times else 0.0
    return Sample(succeeded / seconds, spent / max(done, 1) * 1e6, p99, done - succeeded)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all below it."""
    total = 0.0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


def rows_of(samples: dict[tuple[str, str], list[Sample]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    own = {scenario: samples[scenario, "sluicegate"] for scenario, name in samples if name == "sluicegate"}
    for (scenario, name), each in samples.items():
        row: dict[str, object] = {
            "scenario": scenario,
            "proxy": name,
            "requests_per_second": round(statistics.median(item.requests_per_second for item in each)),
            "cpu_us": round(statistics.median(item.cpu_us for item in each), 1),
            "p99_ms": round(statistics.median(item.p99_ms for item in each), 2),
            "failed": sum(item.failed for item in each),
        }
        if scenario in own:
            # Round by round, because neighbours come and go.
            ratios = [mine.cpu_us / theirs.cpu_us for mine, theirs in zip(own[scenario], each, strict=True)]
            row["sluicegate_to_this"] = round(statistics.median(ratios), 2)
        rows.append(row)
    return rows


def show(rows: list[dict[str, object]]) -> None:
    table = Table(title="1,023 routes, one core each; medians of interleaved rounds")
    for name in ("scenario", "proxy", "requests/s", "CPU us/request", "p99 ms", "failed", "sluicegate / this"):
        table.add_column(name, justify="left" if name in {"scenario", "proxy"} else "right")
    for row in rows:
        figures = (f"{row['requests_per_second']:,}", row["cpu_us"], row["p99_ms"], row["failed"])
        table.add_row(*map(str, (row["scenario"], row["proxy"], *figures, row.get("sluicegate_to_this", ""))))
    Console().print(table)
    ratios = {(row["scenario"], row["proxy"]): row.get("sluicegate_to_this") for row in rows}
    for scenario, bars in BARS.items():
        for peers, bar in bars:
            found = [float(str(ratios[scenario, peer])) for peer in peers if ratios.get((scenario, peer)) is not None]
            if found:
                verdict = "held" if max(found) <= bar else "missed"
                best = " and ".join(peers)
                print(f"{scenario}: {max(found):.2f} times the CPU time of the better of {best}; bar {bar}: {verdict}")


def plot(rows: list[dict[str, object]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    scenarios = list(dict.fromkeys(str(row["scenario"]) for row in rows))
    figure, axes = plt.subplots(
        1, len(scenarios), figsize=(4 * len(scenarios), 3.2), layout="constrained", squeeze=False
    )
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        found = [row for row in rows if row["scenario"] == scenario and row["proxy"] != "reference"]
        axis.bar([str(row["proxy"]) for row in found], [float(str(row["cpu_us"])) for row in found])
        axis.set(title=scenario, ylabel="CPU us / request")
        axis.tick_params(axis="x", rotation=30)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
