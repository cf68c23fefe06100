"""The control side on the test cluster, in one table: how soon what is created serves, what it costs, what stays.

    python -m benches.scenario.control [--form quick|usual|long] [--only PART]   (root; `make cluster install-cluster`)

- `quick`: up to 1,000 routes, a few minutes. `usual`: up to 3,000 routes. `long`: up to 10,000 routes, ten minutes of
  churn in 5,000 routes of 50 namespaces, and 2,500 ListenerSets with 16 routes each.
- Every figure comes with its bar and with the load of the machine while it was taken. The cluster, the gateway and the
  bench share the machine: where others use it too, look at the CPU times.
- The time of a route is that from the call that creates it to the first 200, asked for every `PAUSE`.

The table is printed as text and goes to `benches/results/control.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from api import Api, condition, is_ready, read  # noqa: E402
from harness.network import inside  # noqa: E402

from benches.scenario import control_churn, control_process  # noqa: E402
from benches.scenario.cluster import (  # noqa: E402
    LIMIT,
    NAMESPACE,
    Client,
    Creator,
    attached,
    gateway,
    percentiles,
    resident,
    route,
)

RESULTS = Path(__file__).parents[1] / "results"
#: Routes that are created and asked for one by one, for one figure.
SAMPLES = 100
#: Seconds after which the work of a burst has to be done.
SETTLED = 20.0
#: Seconds that the end of a namespace with thousands of routes may take.
GONE = 600.0
#: Seconds between the routes of that time: so many more must not come that the memory after them is that of others.
BETWEEN = 0.02
#: Connections that create objects at once.
WRITERS = 8
SECOND = "second-svc"
POLICIES = 1_000


@dataclass(frozen=True)
class Form:
    """How much is measured."""

    levels: tuple[int, ...]
    burst: int
    churn_seconds: float = 0.0
    listener_sets: int = 0


FORMS = {
    "quick": Form(levels=(0, 1_000), burst=1_000),
    "usual": Form(levels=(0, 1_000, 3_000), burst=1_000),
    "long": Form(levels=(0, 1_000, 3_000, 10_000), burst=1_000, churn_seconds=600.0, listener_sets=2_500),
}


PARTS = ("process", "cluster", "policies", "churn", "listenersets")


@dataclass
class Row:
    """A figure beside its bar; `reached` says whether it is at it, None where there is none."""

    name: str
    figure: dict[str, float]
    bar: dict[str, float] = field(default_factory=dict)
    unit: str = "ms"
    part: str = "cluster"
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 1))

    @property
    def reached(self) -> bool | None:
        """Whether every figure that has a bar is at it."""
        return all(self.figure[name] <= limit for name, limit in self.bar.items()) if self.bar else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=FORMS, default="usual")
    parser.add_argument(
        "--only", default="", choices=PARTS, help="measure only one part, and keep the rows of the others"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        command = inside(sys.executable, "-m", "benches.scenario.control", "--inside", *sys.argv[1:])
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    form = FORMS[arguments.form]
    rows: list[Row] = []
    for row in measure(form, arguments.only):
        rows.append(row)
        print(line(row), flush=True)
    RESULTS.mkdir(exist_ok=True)
    write(rows, arguments.form, arguments.only)
    missed = [row.name for row in rows if row.reached is False]
    print(f"{len(missed)} of {len(rows)} miss their bar" + (f": {', '.join(missed)}" if missed else ""))
    return 0


def write(rows: list[Row], form: str, only: str) -> None:
    """Write the table; where one part was measured, what the file has of the others stays."""
    path = RESULTS / "control.json"
    table = [{**dataclasses.asdict(row), "form": form, "reached": row.reached} for row in rows]
    if only and path.exists():
        table = [row for row in json.loads(path.read_text())["rows"] if row["part"] != only] + table
    path.write_text(json.dumps({"rows": table}, indent=2) + "\n")


def line(row: Row) -> str:
    """A row for people."""
    figure = ", ".join(f"{name} {value:g}" for name, value in row.figure.items())
    bar = ", ".join(f"{name} {value:g}" for name, value in row.bar.items())
    verdict = {True: "reached", False: "MISSED", None: ""}[row.reached]
    return f"{row.name:<46} {figure} {row.unit:<4} | bar {bar or '-'} | {verdict} (load {row.load:g})"


def measure(form: Form, only: str) -> Iterator[Row]:
    """Measure all of a form."""
    if only in {"", "process"}:
        for name, figure, bar, unit in control_process.rows(max(form.levels)):
            yield Row(name, figure, bar, unit, "process")
    if only in {"", "cluster"}:
        with Alone(Api()):
            pass  # the memory of a controller that has seen other things is another one
        with Site() as site:
            yield from cluster(site, form)
    if only in {"", "policies"}:
        with Site() as site:
            yield from policies(site)
    if form.churn_seconds and only in {"", "churn"}:
        yield from (Row(*item, "churn") for item in control_churn.churn(form.churn_seconds))
    if form.listener_sets and only in {"", "listenersets"}:
        yield from (Row(*item, "listenersets") for item in control_churn.listener_sets(form.listener_sets))


class Site:
    """A namespace with a Gateway that serves."""

    def __init__(self) -> None:
        self.api = Api()
        self.creator = Creator()
        self.number = 0

    def __enter__(self) -> Site:
        api = self.api
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        manifest = read(ROOT / "examples" / "cluster" / "example-svc.yaml")
        api.apply(manifest, NAMESPACE)
        api.apply(json.loads(json.dumps(manifest).replace("example-svc", SECOND)), NAMESPACE)
        for name in ("example-svc", SECOND):
            api.until("Deployment", NAMESPACE, name, is_ready)
        api.create(gateway("routes"))
        found = api.until("Gateway", NAMESPACE, "routes", lambda item: condition(item, "Programmed") == "True", LIMIT)
        self.client = Client(found["status"]["addresses"][0]["value"])
        self.client.until_answered("host-0.example.com")
        return self

    def __exit__(self, *_: object) -> None:
        self.api.delete("Namespace", "", NAMESPACE)
        # Until then routes go one by one, which is work for whatever is measured next.
        self.api.gone("Namespace", "", NAMESPACE, GONE)

    def route(self) -> tuple[dict[str, Any], str, str]:
        """The next route, with its host and path."""
        self.number += 1
        host, path = f"host-{self.number % 50}.example.com", f"/bench-{self.number}"
        return route(f"bench-{self.number}", "routes", host, path), host, path

    def add(self, count: int) -> float:
        """Create routes with several writers at once; seconds until the API server has all of them."""
        items = [self.route()[0] for _ in range(count)]
        started = time.perf_counter()
        self.api.create_all(items, WRITERS)
        return time.perf_counter() - started

    def until_attached(self) -> None:
        """Wait until the status of the Gateway counts all routes."""
        self.api.until("Gateway", NAMESPACE, "routes", lambda item: attached(item) == self.number, 300.0)

    def latencies(
        self, count: int, while_: Callable[[], bool] = lambda: True, between: float = 0.0
    ) -> list[tuple[float, float]]:
        """Create routes one after the other, so many seconds between them.

        Returns:
            Milliseconds from the call that creates a route to its first 200, and those of the call alone, which are the
            API server's.
        """
        found = []
        for _ in range(count):
            item, host, path = self.route()
            started = time.perf_counter()
            self.creator.create(item)
            called = time.perf_counter() - started
            self.client.until_served(host, path)
            found.append(((time.perf_counter() - started) * 1000, called * 1000))
            if not while_():
                break
            threading.Event().wait(between)
        return found

    def switches(self, count: int) -> list[tuple[float, float]]:
        """Milliseconds from the call that gives a route another backend to its first answer, and of the call alone."""
        found = []
        item, host, path = self.route()
        self.creator.create(item)
        self.client.until_served(host, path)
        for number in range(count):
            name = (SECOND, "example-svc")[number % 2]
            rule = {"matches": [{"path": {"value": path}}], "backendRefs": [{"name": name, "port": 8080}]}
            started = time.perf_counter()
            self.creator.patch("HTTPRoute", NAMESPACE, item["metadata"]["name"], {"spec": {"rules": [rule]}})
            called = time.perf_counter() - started
            self.client.until_from(host, path, name)
            found.append(((time.perf_counter() - started) * 1000, called * 1000))
        return found


def cpu_seconds(role: str) -> float:
    """CPU seconds that all processes `sluicegate <role>` have used."""
    return sum(control_churn.cpu_of(role).values())


def cluster(site: Site, form: Form) -> Iterator[Row]:
    """Latencies and memory at growing numbers of routes, and bursts."""
    for level in form.levels:
        if level > site.number:
            site.add(level - site.number)
            during = site.latencies(10_000, until_passed(SETTLED), BETWEEN)
            yield Row(f"route to first 200, {SETTLED:g} s after {level:,}", figures(during), {"p50": 20, "p99": 50})
        site.until_attached()
        used = cpu_seconds("controller")
        yield Row(f"route to first 200, {level:,} settled", figures(site.latencies(SAMPLES)), {"p50": 12, "p99": 30})
        spent = (cpu_seconds("controller") - used) / SAMPLES * 1000
        yield Row(f"CPU of all controllers for a new route, {level:,}", {"each": round(spent, 2)})
        yield Row(f"backend switched, {level:,}", figures(site.switches(30)), {"p50": 12})
        bars = {0: (90, 40), 1_000: (100, 0), 3_000: (130, 60)}.get(level, (0, 0))
        for role, bar in zip(("controller", "gateway"), bars, strict=True):
            largest = {"largest": max(resident(role), default=0.0)}
            yield Row(f"memory of {role}, {level:,} routes", largest, {"largest": bar} if bar else {}, "MiB")
    yield from burst(site, form)


def burst(site: Site, form: Form) -> Iterator[Row]:
    """Many routes by several writers: how long that takes, what it costs, and how a new route fares meanwhile."""
    used = cpu_seconds("controller")
    seconds = site.add(form.burst)
    started = time.perf_counter()
    site.until_attached()
    figure = {"created": round(seconds, 2), "attached_after": round(time.perf_counter() - started, 2)}
    figure["cpu"] = round(cpu_seconds("controller") - used, 2)
    yield Row(f"{form.burst:,} routes by {WRITERS} writers", figure, {"attached_after": 0.5, "cpu": 2.5}, "s")
    with Alone(site.api):
        seconds = site.add(form.burst)
    yield Row(f"{form.burst:,} routes without a controller", {"created": round(seconds, 2)}, {}, "s")
    site.until_attached()
    writer = threading.Thread(target=Api().create_all, args=([site.route()[0] for _ in range(form.burst)], WRITERS))
    writer.start()
    during = site.latencies(10_000, writer.is_alive)
    writer.join()
    yield Row(f"route to first 200 while {form.burst:,} are created", figures(during), {"p50": 20, "p99": 50})


def policies(site: Site) -> Iterator[Row]:
    """A policy on each of 1,000 routes: how soon a changed one holds, beside a changed route.

    Both are seen by the same request on a connection that stays.
    """
    first = site.number
    site.add(POLICIES)
    names = [f"bench-{first + 1 + number}" for number in range(POLICIES)]
    site.api.create_all([who_may(name) for name in names], WRITERS)
    site.until_attached()
    host, path = f"host-{(first + 1) % 50}.example.com", f"/bench-{first + 1}"
    site.client.until_refused(host, path)
    found = []
    for number in range(30):
        default, seen = (("Allow", site.client.until_served), ("Deny", site.client.until_refused))[number % 2]
        started = time.perf_counter()
        site.creator.patch("AccessPolicy", NAMESPACE, names[0], {"spec": {"authorization": {"default": default}}})
        called = time.perf_counter() - started
        seen(host, path)
        found.append(((time.perf_counter() - started) * 1000, called * 1000))
    place = f"{POLICIES:,} policies on {POLICIES:,} routes"
    yield Row(f"changed policy, {place}", figures(found), {"p50": 12}, part="policies")
    yield Row(f"backend switched, {place}", figures(site.switches(30)), {"p50": 12}, part="policies")


def who_may(name: str) -> dict[str, Any]:
    """An AccessPolicy of a route, which lets nobody in."""
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"targetRefs": [target], "authorization": {"default": "Deny"}},
    }


class Alone:
    """No controller for a while."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.replicas = 0

    def __enter__(self) -> None:
        item = self.api.get("Deployment", "sluicegate-system", "sluicegate-controller")
        self.replicas = item["spec"]["replicas"]
        self.scale(0)

    def __exit__(self, *_: object) -> None:
        self.scale(self.replicas)

    def scale(self, count: int) -> None:
        """Have so many replicas, and no process more."""
        api, place = self.api, ("Deployment", "sluicegate-system", "sluicegate-controller")
        api.patch(*place, {"spec": {"replicas": count}})
        api.until(*place, lambda item: item["status"].get("readyReplicas", 0) == count)
        while len(resident("controller")) > count:
            threading.Event().wait(0.1)


def until_passed(seconds: float) -> Callable[[], bool]:
    """True until so many seconds have passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def figures(found: list[tuple[float, float]]) -> dict[str, float]:
    """Percentiles of the whole, and the middle of what is left of it without the API server's call."""
    own = statistics.median(whole - call for whole, call in found)
    return {**percentiles([whole for whole, _ in found]), "after_call_p50": round(own, 1), "count": len(found)}


if __name__ == "__main__":
    sys.exit(main())
