"""What the page costs: `python -m benches.page [ROUTES]`; nothing is asserted, it prints.

A gateway with so many routes (1,000) is started, and each of them asked once. Printed are the time from a request to
the whole answer of each section (the middle of 20), bytes, and the CPU of the gateway's process without a viewer and
with one, who asks for the counters as the page does.
"""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

ADMIN = "127.0.0.1:19781"
#: Seconds between looks at the counters: as `page.js` has it.
EVERY = 4.0
SECONDS = 12.0
#: What the page asks for: the routes that it shows.
SHOWN = "&".join(f"route=HTTPRoute%2Fdefault%2Fapp-{number}" for number in range(50))
_GROUP = "gateway.networking.k8s.io/v1"


def manifests(routes: int) -> str:
    """A Gateway with so many routes."""
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    objects: list[dict[str, object]] = [
        {
            "apiVersion": _GROUP,
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "sluicegate", "listeners": listeners},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": {"ports": [{"port": 80}]},
        },
    ]
    objects += [
        {
            "apiVersion": _GROUP,
            "kind": "HTTPRoute",
            "metadata": {"name": f"app-{number}", "namespace": "default"},
            "spec": {
                "parentRefs": [{"name": "edge"}],
                "hostnames": [f"app-{number}.example.com"],
                "rules": [{"backendRefs": [{"name": "app", "port": 80}]}],
            },
        }
        for number in range(routes)
    ]
    return yaml.safe_dump_all(objects)


def ask(path: str) -> bytes:
    """An answer, whole."""
    with urllib.request.urlopen(f"http://{ADMIN}{path}", timeout=30) as answer:
        return bytes(answer.read())


def cpu(process: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(process: int, *, viewed: bool) -> float:
    """Per cent of a core that it uses."""
    begun, used = time.monotonic(), cpu(process)
    while (gone := time.monotonic() - begun) < SECONDS:
        if viewed:
            ask(f"/api/v1/counters?{SHOWN}")
        time.sleep(min(EVERY, SECONDS - gone))
    return (cpu(process) - used) / (time.monotonic() - begun) * 100


def main() -> None:
    """Measure and print."""
    routes = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "all.yaml").write_text(manifests(routes))
        command = [sys.executable, "-m", "sluicegate", "serve", folder, "--admin", ADMIN, "--listen", "127.0.0.1"]
        command += ["--port-offset", "21800", "--backend", "default/app=127.0.0.1:9", "--keep-going"]
        gateway = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert gateway.stdout is not None
            for line in gateway.stdout:
                if line.startswith("Admin:"):
                    break
            connection = http.client.HTTPConnection("127.0.0.1", 21880, timeout=30)
            for number in range(routes):
                connection.request("GET", "/", headers={"Host": f"app-{number}.example.com"})
                connection.getresponse().read()
            connection.close()
            for path in (
                "/",
                "/routes",
                "/matches",
                "/problems",
                "/explain",
                "/api/v1/routes?limit=1000",
                f"/api/v1/counters?{SHOWN}",
            ):
                ask(path)
                times, size = [], 0
                for _ in range(20):
                    begun = time.perf_counter()
                    size = len(ask(path))
                    times.append(time.perf_counter() - begun)
                print(f"{path[:28]:28} {statistics.median(times) * 1000:8.1f} ms {size:10,} bytes")
            print(f"CPU without a viewer {share(gateway.pid, viewed=False):.2f} % of a core")
            print(f"CPU with one         {share(gateway.pid, viewed=True):.2f} % of a core")
        finally:
            gateway.terminate()
            gateway.wait()


if __name__ == "__main__":
    main()
