"""A data plane as a process on a config stream: memory, start from the snapshot, and how soon a new route answers.

`python -m benches.scenario.stream [--routes 1000] [--changes 300]`; writes `benches/results/stream.json`.
The time of a change counts from the translation's result (`StreamServer.want`) to the first 200 of the new route, asked
for again and again on one connection; every answer before it has to be 404.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benches" / "results"
sys.path[:0] = [str(ROOT / "tests" / "stream"), str(ROOT / "tests" / "system"), str(ROOT / "tests" / "controller")]

from stream_processes import Controller, GatewayProcess, serving_state  # noqa: E402 (of the tests)
from stream_support import PLANE  # noqa: E402
from system_backends import Backend, response  # noqa: E402
from system_clients import Http1  # noqa: E402

from sluicegate.controller.stream.wanted import Wanted  # noqa: E402
from sluicegate.controller.translate import State  # noqa: E402

GATEWAYS = {PLANE: frozenset({"default/gateway"})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=300)
    arguments = parser.parse_args()
    controller = Controller()
    backend = Backend(lambda _request: response(b"ok"))
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), controller, backend, arguments)
    backend.close()
    controller.close()
    text = json.dumps(result, indent=2)
    (RESULTS / "stream.json").write_text(text + "\n")
    print(text)
    return 0


def measure(folder: Path, controller: Controller, backend: Backend, arguments: argparse.Namespace) -> dict[str, Any]:
    gateway = GatewayProcess(folder, controller, settings="drain = 5\nsettle = 0\nworkers = 2\n")
    address = gateway.address
    full = serving_state(address, backend.address, [f"route-{number}" for number in range(arguments.routes)])
    controller.want(full)
    gateway.named("connected")
    client = Http1(address, 8080)
    assert client.request("GET", "a", f"/route-{arguments.routes - 1}").status == 200
    found: dict[str, Any] = {"routes": arguments.routes, "rss_mb": round(gateway.rss(), 1)}
    times = changes(client, controller, backend, full, arguments)
    found["rss_after_changes_mb"] = round(gateway.rss(), 1)
    found["change_ms"] = {
        "p50": round(statistics.median(times), 2),
        "p99": round(times[int(len(times) * 0.99)], 2),
        "max": round(times[-1], 2),
    }
    client.close()
    gateway.stop()
    controller.stop()
    # Nobody is there: from the start of the process to the first 200.
    started = time.perf_counter()
    again = GatewayProcess(folder, controller, settings="drain = 5\nsettle = 0\nworkers = 2\n", address=address)
    while True:
        try:
            client = Http1(address, 8080)
            assert client.request("GET", "a", "/route-0").status == 200
            break
        except ConnectionError:
            continue
    found["start_from_snapshot_s"] = round(time.perf_counter() - started, 3)
    found["rss_from_snapshot_mb"] = round(again.rss(), 1)
    client.close()
    again.stop()
    controller.start()
    return found


def changes(
    client: Http1, controller: Controller, backend: Backend, full: State, arguments: argparse.Namespace
) -> list[float]:
    """Milliseconds from a new route to its first answer, sorted; incremental states, as the translator makes them."""
    owner, last, times = object(), full, []
    for number in range(arguments.changes):
        name = f"new-{number}"
        more = serving_state("127.0.0.1", backend.address, [name])
        (rule,) = more.http_rules.values()
        tables = {
            "http_rules": {**last.http_rules, rule.id: rule},
            "backends": {**last.backends, **more.backends},
            "endpoints": {**last.endpoints, **more.endpoints},
        }
        changed = {kind: frozenset(getattr(more, kind)) for kind in tables}
        state = State(listeners=last.listeners, **tables, serial=number, base=number - 1, changed=changed, owner=owner)

        def want(state: State = state) -> None:
            controller.side.server.want(Wanted(state, GATEWAYS))

        begun = time.perf_counter()
        controller.loop.call_soon_threadsafe(want)
        while (status := client.request("GET", "a", f"/{name}").status) != 200:
            assert status == 404, status
        times.append((time.perf_counter() - begun) * 1000)
        last = state
    return sorted(times)


if __name__ == "__main__":
    sys.exit(main())
