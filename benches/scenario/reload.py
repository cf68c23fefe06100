"""One route of many changes: from the rename of its file to the first request that meets it.

`python -m benches.scenario.reload [--routes 10000] [--files 100] [--changes 20]`
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
ADDRESS, PORT = "127.0.0.1", 21_500
GATEWAY = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gateway}}
spec:
  gatewayClassName: sluicegate
  listeners: [{{name: http, port: {PORT}, protocol: HTTP}}]
"""


def route(number: int, location: str) -> str:
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-{number}
spec:
  parentRefs:
  - name: gateway
  hostnames:
  - host-{number % 100}.example.com
  rules:
  - matches:
    - path: {{type: PathPrefix, value: /service-{number // 100}}}
    filters:
    - type: RequestRedirect
      requestRedirect: {{hostname: {location}.example.com}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--changes", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gateway.yaml").write_text(GATEWAY)
        each = arguments.routes // arguments.files
        for number in range(arguments.files):
            write(folder, number, range(number * each, (number + 1) * each), "first")
        command = [
            sys.executable,
            "-m",
            "sluicegate",
            "serve",
            name,
            "--listen",
            ADDRESS,
            "--admin",
            "off",
            "-o",
            "json",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            live, inside, engine = [], [], []
            for change in range(arguments.changes):
                target = change * 37 % arguments.files
                numbers = range(target * each, (target + 1) * each)
                live.append(change_one(folder, target, numbers, f"change-{change}"))
                event = json.loads(process.stdout.readline())
                inside.append(event["seconds"] * 1000)
                engine.append(event["apply_seconds"] * 1000)
        finally:
            process.terminate()
            process.stdout.read()
            process.wait()
    result = {
        "routes": arguments.routes,
        "files": arguments.files,
        "start_seconds": ready["seconds"],
        "rename_to_live_ms": summary(live),
        "files_to_live_ms": summary(inside),
        "engine_apply_ms": summary(engine),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"reload-{arguments.routes}-{arguments.files}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


def write(folder: Path, number: int, routes: range, location: str, changed: int | None = None) -> None:
    text = "".join(route(item, location if changed in {None, item} else "first") for item in routes)
    temporary = folder / f".{number}.new"
    temporary.write_text(text)
    temporary.rename(folder / f"{number}.yaml")


def change_one(folder: Path, file: int, routes: range, location: str) -> float:
    """Change one route; milliseconds from the rename to the first answer that shows it."""
    number = routes[len(routes) // 2]
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=10)
    wanted = f"http://{location}.example.com:{PORT}/service-{number // 100}"
    ask(connection, number)
    write(folder, file, routes, location, number)
    started = time.perf_counter()
    while ask(connection, number) != wanted:
        time.sleep(0.0002)
    passed = (time.perf_counter() - started) * 1000
    connection.close()
    return passed


def ask(connection: http.client.HTTPConnection, number: int) -> str | None:
    connection.request("GET", f"/service-{number // 100}", headers={"Host": f"host-{number % 100}.example.com"})
    response = connection.getresponse()
    response.read()
    return response.getheader("location")


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"median": round(statistics.median(values), 2), "max": round(ordered[-1], 2), "min": round(ordered[0], 2)}


if __name__ == "__main__":
    sys.exit(main())
