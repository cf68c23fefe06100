"""`make bench-telemetry`: what traces take of the CPU time of a gateway's process, with bars.

Small requests over HTTP/1.1 through one worker that is pinned to a core; the ways of being traced take turns, round by
round, each time in another order. A round ends when its spans have left, so that what sending costs is in it. Spans go
over HTTP to a server that takes everything. It is seen that all were sent and none was dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.proxy import processes
from benches.proxy.load import counted_of
from benches.proxy.peers.site import ADDRESS
from benches.telemetry.counts import counted
from benches.telemetry.site import PATH, Site, backend, gateway, site_of
from benches.telemetry.verdict import BASE, OTHERS, VARIANTS, Row, rows_of

RESULTS = Path(__file__).parents[1] / "results" / "telemetry.json"
#: Connections of the load.
CLIENTS = 32
#: Spans wait a second for company (`LINGER` of `telemetry/outbox.rs`); then they have left.
LEAVE = 1.3
#: Seconds for a round that hangs.
LIMIT = 60


def main() -> int:
    arguments = parse()
    with contextlib.ExitStack() as stack:
        site = site_of(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        site.folder.chmod(0o755)  # nginx's workers are another user where it is started by root
        out = site.folder / "out"
        stack.enter_context(processes.started(backend(site), processes.OTHER_CORES, [site.backend], out))
        listens = [*site.ports.values(), site.admin]
        run = processes.started(gateway(site), processes.PROXY_CORES, listens, site.folder / "gateway")
        process = stack.enter_context(run).pid
        for name in VARIANTS:
            measure(site, process, name, arguments.requests)
        sampled = figures(site)
        began, machine, own = time.monotonic(), processes.machine_seconds(), processes.own_seconds()
        rounds = []
        for number in range(1, arguments.rounds + 1):
            order = random.sample(list(VARIANTS), len(VARIANTS))
            rounds.append({name: measure(site, process, name, arguments.requests) for name in order})
            told = ", ".join(f"{name} {rounds[-1][name]:.2f}" for name in VARIANTS)
            print(f"[{number}/{arguments.rounds}] CPU us of a request: {told}", file=sys.stderr, flush=True)
        strange = processes.machine_seconds() - machine - (processes.own_seconds() - own)
        others = max(0.0, strange / (time.monotonic() - began) / processes.CORES)
        sampled = figures(site) - sampled
    check(sampled, arguments.rounds * arguments.requests)
    rows = rows_of(rounds)
    show(rows, arguments.rounds, others)
    instructions = counted()
    show_counts(instructions)
    if others > OTHERS:
        print(f"# Others used {others:.0%} of the machine: CPU times are worth little, and none is written.")
    elif arguments.update:
        settings = {"rounds": arguments.rounds, "requests": arguments.requests, "others": round(others, 3)}
        write(rows, settings, instructions)
        print(f"written: {RESULTS}")
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="that count; one before them warms up (%(default)s)")
    parser.add_argument("--requests", type=int, default=8_000, help="in each round (%(default)s)")
    parser.add_argument("--update", action="store_true", help=f"write what is measured to {RESULTS.name}")
    return parser.parse_args()


def measure(site: Site, process: int, name: str, requests: int) -> float:
    """One round of a variant: microseconds of CPU time for each request.

    Raises:
        SystemExit: a request failed.
    """
    url = f"http://{ADDRESS}:{site.ports[name]}{PATH}"
    command = ["taskset", "-c", processes.OTHER_CORES, "h2load", "--h1", "-t1", f"-c{CLIENTS}", f"-n{requests}", url]
    before = processes.cpu_seconds(process)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    counted = counted_of(done.stdout, [])
    if counted is None or counted.done != requests:
        raise SystemExit(f"h2load against {name}: {done.stdout}{done.stderr}")
    # All of them wait, since a process that serves has things of its own to do meanwhile.
    time.sleep(LEAVE)
    return (processes.cpu_seconds(process) - before) / requests * 1e6


def figures(site: Site) -> Counter[str]:
    """What became of spans so far, by the variant and the outcome: `all exported`."""
    with urllib.request.urlopen(f"http://{ADDRESS}:{site.admin}/metrics", timeout=LIMIT) as answer:
        lines = answer.read().decode().splitlines()
    found: Counter[str] = Counter()
    for line in lines:
        if line.startswith("sluicegate_trace_spans_total{"):
            policy, outcome = line.split('"')[1::2][:2]
            found[f"{policy.rpartition('/')[2]} {outcome}"] += int(line.rpartition(" ")[2])
    return found


def check(sampled: Counter[str], requests: int) -> None:
    """See that what was measured is what its name says; `requests`: of each variant.

    Raises:
        SystemExit: spans were not sent, or there were others than there should be.
    """
    # Counter drops nothing by itself: outcomes that are zero are left out here.
    found = {key: count for key, count in sampled.items() if count}
    hundredth = found.get("hundredth exported", 0) / 2 / requests
    if found.keys() != {"hundredth exported", "all exported"} or found["all exported"] != 2 * requests:
        raise SystemExit(f"not all spans of {requests:,} requests were sent: {found}")
    if not 0.005 < hundredth < 0.015:
        raise SystemExit(f"{hundredth:.2%} of the requests were sampled where it should be 1 %: {found}")


def show(rows: Sequence[Row], rounds: int, others: float) -> None:
    title = f"CPU time of a request in microseconds; medians of {rounds} rounds that took turns"
    table = Table(title=f"{title}, others used {others:.0%} of the machine")
    for name in ("traces", "us", "more", "95 in 100 runs", "middle half", "quickest", "bar", ""):
        table.add_column(name, justify="left" if name in {"traces", ""} else "right")
    for row in rows:
        cells = ("",) * 5 if row.name == BASE else cells_of(row)
        table.add_row(row.title, f"{row.microseconds:.2f}", *cells, row.verdict)
    Console().print(table)


def cells_of(row: Row) -> tuple[str, ...]:
    between = (f"{low:+.1f} to {high:+.1f} %" for low, high in (row.interval, row.middle))
    bar = "" if row.bar is None else f"{row.bar:g} %" if row.bar else "noise"
    interval, middle = between
    return f"{row.more:+.1f} %", interval, middle, f"{row.least:+.1f} %", bar


def show_counts(instructions: dict[str, float]) -> None:
    """Instructions, and what they are more than without a policy."""
    if not instructions:
        print("# NOT COUNTED: instructions; there is no valgrind.")
    for name, count in instructions.items():
        more = count / instructions[BASE] - 1
        print(f"{name:>10}: {count:8,.0f} instructions of a request in the native library, {more:+.1%}")


def write(rows: Sequence[Row], settings: dict[str, float], instructions: dict[str, float]) -> None:
    figures = {
        row.name: {
            "title": row.title,
            "microseconds": round(row.microseconds, 2),
            "more": round(row.more, 2),
            "least": round(row.least, 2),
            "interval": [round(each, 2) for each in row.interval],
            "bar": row.bar,
            "verdict": row.verdict,
        }
        for row in rows
    }
    document = {
        "unit": "microseconds of CPU time of the gateway's process for a request; per cent more than without a policy",
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "settings": settings,
        "variants": figures,
        "instructions": instructions,
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
