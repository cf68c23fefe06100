"""The installed gateway on the test cluster: how soon a Gateway and its routes serve, and what that costs.

    python -m benches.scenario.cluster [--routes 1000] [--gateways 5]      (root; `make cluster install-cluster`)

- Gateways, one after the other: from the created object to `Programmed`, and to the first 200.
- HTTPRoutes, one after the other: from the created object to the first 200, asked for every `PAUSE`, with every answer
  before it counted; `attachedRoutes` after the last; writes of the Gateway's status meanwhile.
- Memory (RSS) of the controller's and of the data plane's processes with all routes.

The result goes to `benches/results/cluster.json`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from api import Api, condition, is_ready, path_of, read  # noqa: E402
from harness.network import API_PORT, NODE_ADDRESS, inside  # noqa: E402
from harness.paths import PKI  # noqa: E402

RESULTS = Path(__file__).parents[1] / "results"
#: Of its own: that of a run before may still be ending.
NAMESPACE = f"bench-{secrets.token_hex(4)}"
#: Seconds that anything may take.
LIMIT = 60.0
#: Seconds between two requests while a route is waited for: without a pause the client takes a core of its own from
#: a cluster that has two.
PAUSE = 0.002


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=1_000)
    parser.add_argument("--gateways", type=int, default=5)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        return subprocess.run(
            inside(sys.executable, "-m", "benches.scenario.cluster", "--inside", *sys.argv[1:]), cwd=ROOT, check=False
        ).returncode
    api = Api()
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), NAMESPACE)
        api.until("Deployment", NAMESPACE, "example-svc", is_ready)
        result = {"gateways": gateways(api, arguments.gateways), **routes(api, arguments.routes)}
    finally:
        api.delete("Namespace", "", NAMESPACE)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cluster.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


def gateways(api: Api, count: int) -> dict[str, Any]:
    """Create Gateways, each with a route, and go on with the next when it serves."""
    programmed, served = [], []
    for number in range(count):
        name = f"gateway-{number}"
        api.create(route(f"first-{name}", name, f"{name}.example.com", "/"))
        started = time.perf_counter()
        api.create(gateway(name))
        found = api.until("Gateway", NAMESPACE, name, lambda item: condition(item, "Programmed") == "True", LIMIT)
        programmed.append(time.perf_counter() - started)
        client = Client(found["status"]["addresses"][0]["value"])
        client.until_served(f"{name}.example.com", "/")
        served.append(time.perf_counter() - started)
        api.delete("HTTPRoute", NAMESPACE, f"first-{name}")
        api.delete("Gateway", NAMESPACE, name)
        api.gone("Gateway", NAMESPACE, name)
    return {"count": count, "programmed_seconds": rounded(programmed), "served_seconds": rounded(served)}


def routes(api: Api, count: int) -> dict[str, Any]:
    """Create routes of one Gateway, each when the one before serves."""
    api.create(gateway("routes"))
    found = api.until("Gateway", NAMESPACE, "routes", lambda item: condition(item, "Programmed") == "True", LIMIT)
    client = Client(found["status"]["addresses"][0]["value"])
    client.until_answered("host-0.example.com")
    writes = Writes(found["metadata"]["resourceVersion"])
    creator = Creator()
    times, posts, answers = [], [], Counter[str]()
    for number in range(count):
        host, path = f"host-{number % 50}.example.com", f"/bench-{number}"
        item = route(f"bench-{number}", "routes", host, path)
        started = time.perf_counter()
        creator.create(item)
        posts.append((time.perf_counter() - started) * 1000)
        answers += client.until_served(host, path)
        times.append((time.perf_counter() - started) * 1000)
        if number % 100 == 99:
            print(f"{number + 1} of {count} routes", file=sys.stderr)
    last = time.perf_counter()
    api.until("Gateway", NAMESPACE, "routes", lambda item: attached(item) == count, LIMIT)
    right = time.perf_counter() - last
    return {
        "routes": count,
        # The API server's part of what follows.
        "create_call_ms": percentiles(posts),
        "created_to_served_ms": percentiles(times),
        "call_answered_to_served_ms": percentiles([total - post for total, post in zip(times, posts, strict=True)]),
        "answers_before": dict(answers),
        "attached_routes_right_after_seconds": round(right, 3),
        "gateway_status_writes": writes.count,
        "resident_mib": {role: resident(role) for role in ("controller", "gateway")},
    }


class Client:
    """Requests over one connection, which is opened anew when it ends."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)

    def ask(self, host: str, path: str) -> str:
        """One request; returns its status, or what went wrong."""
        try:
            self._connection.request("GET", path, headers={"Host": host})
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return type(error).__name__
        return str(response.status)

    def until_served(self, host: str, path: str) -> Counter[str]:
        """Ask until 200; returns what came before."""
        return self._until(host, path, "200")

    def until_from(self, host: str, path: str, backend: str) -> None:
        """Ask until the demo backend of this name answers."""
        deadline = time.perf_counter() + LIMIT
        while self.told(host, path) != backend:
            if time.perf_counter() > deadline:
                raise SystemExit(f"{host}{path} is not served by {backend}")
            threading.Event().wait(PAUSE)

    def told(self, host: str, path: str) -> str:
        """Which demo backend answered; empty where none did."""
        try:
            self._connection.request("GET", path, headers={"Host": host})
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return ""
        return content.decode().split()[2] if response.status == http.client.OK else ""

    def until_refused(self, host: str, path: str) -> None:
        """Ask until 403."""
        self._until(host, path, "403")

    def until_answered(self, host: str) -> None:
        """Ask until the gateway itself answers: it knows no route yet."""
        self._until(host, "/", "404")

    def _until(self, host: str, path: str, wanted: str) -> Counter[str]:
        before = Counter[str]()
        deadline = time.perf_counter() + LIMIT
        pause = threading.Event()
        while (status := self.ask(host, path)) != wanted:
            before[status] += 1
            pause.wait(PAUSE)
            if time.perf_counter() > deadline:
                raise SystemExit(f"{host}{path} is not served: {dict(before)}")
        return before


class Creator:
    """Creates objects over one connection, as controllers and pipelines do: no TLS handshake for each."""

    def __init__(self) -> None:
        tls = ssl.create_default_context(cafile=PKI / "ca.crt")
        tls.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        self._connection = http.client.HTTPSConnection(NODE_ADDRESS, API_PORT, context=tls, timeout=LIMIT)

    def create(self, item: dict[str, Any]) -> None:
        """Create an object; returns when the API server has it."""
        path = path_of(item["kind"], item["metadata"]["namespace"])
        self._ask("POST", path, item, "application/json", http.client.CREATED)

    def patch(self, kind: str, namespace: str, name: str, body: dict[str, Any]) -> None:
        """Change an object; returns when the API server has it."""
        self._ask("PATCH", path_of(kind, namespace, name), body, "application/merge-patch+json", http.client.OK)

    def _ask(self, method: str, path: str, body: dict[str, Any], kind: str, wanted: int) -> None:
        self._connection.request(method, path, json.dumps(body), {"Content-Type": kind})
        response = self._connection.getresponse()
        said = response.read()
        if response.status != wanted:
            raise SystemExit(f"{method} {path}: {response.status} {said.decode(errors='replace')}")


class Writes:
    """Counts the writes to the Gateway from a version on, by watching it."""

    def __init__(self, version: str) -> None:
        self.count = 0
        self._version = version
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        def seen(event: str, item: dict[str, Any]) -> bool:
            if event == "MODIFIED" and item["metadata"]["name"] == "routes":
                self.count += 1
            return False

        Api().watch(path_of("Gateway", NAMESPACE), "metadata.name=routes", seen, 3600.0)


def attached(item: dict[str, Any]) -> int:
    return int(item["status"]["listeners"][0]["attachedRoutes"])


def gateway(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "gatewayClassName": "sluicegate",
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}],
        },
    }


def route(name: str, parent: str, hostname: str, path: str) -> dict[str, Any]:
    backend = {"name": "example-svc", "port": 8080}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "parentRefs": [{"name": parent}],
            "hostnames": [hostname],
            "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [backend]}],
        },
    }


def resident(role: str) -> list[float]:
    """Resident memory in MiB of each process `sluicegate <role>`, largest first."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            status = (process / "status").read_text()
        except OSError:
            continue
        if b"sluicegate" in command and role.encode() in command:
            line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "VmRSS: 0")
            found.append(round(int(line.split()[1]) / 1024, 1))
    return sorted(found, reverse=True)


def percentiles(values: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[int(len(ordered) * 0.99)], 1),
        "max": round(ordered[-1], 1),
    }


def rounded(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "max": round(max(values), 2)}


if __name__ == "__main__":
    sys.exit(main())
