"""Routes on the test cluster, one after the other: from the created object to the first 200.

    python -m benches.scenario.cluster [--routes 1000]      (root, `make cluster`, a running gateway)

Expects the quickstart's Gateway `example-gateway` and a Service `example-svc` with a backend. Runs inside the cluster's
network namespace.
"""

from __future__ import annotations

import argparse
import http.client
import json
import ssl
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from harness.network import NODE_ADDRESS, inside  # noqa: E402
from harness.paths import PKI  # noqa: E402

RESULTS = Path(__file__).parents[1] / "results"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"
GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/example-gateway"
LIMIT = 30.0


class Api:
    """The API server, over one connection."""

    def __init__(self) -> None:
        tls = ssl.create_default_context(cafile=PKI / "ca.crt")
        tls.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        self._connection = http.client.HTTPSConnection(NODE_ADDRESS, 6443, context=tls, timeout=LIMIT)

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:  # noqa: ANN401 (JSON)
        """Ask; ends the program where it is refused."""
        content = json.dumps(body) if body is not None else None
        self._connection.request(method, path, content, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        found = json.loads(response.read())
        if response.status >= 400:
            raise SystemExit(f"{method} {path}: {found.get('message')}")
        return dict(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=1_000)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        command = [sys.executable, "-m", "benches.scenario.cluster", "--inside", "--routes", arguments.routes]
        return subprocess.run(inside(*command), cwd=ROOT, check=False).returncode
    api = Api()
    address = api.call("GET", GATEWAY)["status"]["addresses"][0]["value"]
    before = int(api.call("GET", GATEWAY)["status"]["listeners"][0]["attachedRoutes"])
    first_version = int(api.call("GET", GATEWAY)["metadata"]["resourceVersion"])
    client = http.client.HTTPConnection(address, 80, timeout=LIMIT)
    times, answers = [], Counter[int]()
    for number in range(arguments.routes):
        api.call("POST", ROUTES, route(number))
        started = time.perf_counter()
        while (status := ask(client, number)) != 200:
            answers[status] += 1
            if time.perf_counter() - started > LIMIT:
                raise SystemExit(f"route {number} is not served")
        times.append((time.perf_counter() - started) * 1000)
    created = time.perf_counter()
    while int(api.call("GET", GATEWAY)["status"]["listeners"][0]["attachedRoutes"]) != before + arguments.routes:
        if time.perf_counter() - created > LIMIT:
            raise SystemExit("attachedRoutes is not right")
    attached = time.perf_counter() - created
    times.sort()
    result = {
        "routes": arguments.routes,
        "created_to_served_ms": {
            "p50": round(statistics.median(times), 1),
            "p99": round(times[int(len(times) * 0.99)], 1),
            "max": round(times[-1], 1),
        },
        "answers_before": dict(answers),
        "attached_seconds": round(attached, 3),
        "gateway_version_from": first_version,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cluster-routes.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    api.call("DELETE", f"{ROUTES}?labelSelector=bench%3Droutes")
    return 0


def route(number: int) -> dict[str, Any]:
    backend = {"name": "example-svc", "port": 8080}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"bench-{number}", "labels": {"bench": "routes"}},
        "spec": {
            "parentRefs": [{"name": "example-gateway"}],
            "hostnames": [f"host-{number % 50}.example.com"],
            "rules": [{"matches": [{"path": {"value": f"/bench-{number}"}}], "backendRefs": [backend]}],
        },
    }


def ask(client: http.client.HTTPConnection, number: int) -> int:
    client.request("GET", f"/bench-{number}", headers={"Host": f"host-{number % 50}.example.com"})
    response = client.getresponse()
    response.read()
    return response.status


if __name__ == "__main__":
    sys.exit(main())
