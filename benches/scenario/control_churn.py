"""Long forms on the test cluster: ten minutes of churn in 5,000 routes, and 2,500 ListenerSets with 16 routes each."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api import Api, condition, is_ready, path_of, read

from benches.scenario.cluster import LIMIT, Client, gateway, percentiles, resident, route

ROOT = Path(__file__).parents[2]
GATEWAY_API = "gateway.networking.k8s.io/v1"
ROUTES, NAMESPACES = 5_000, 50
#: Changes in a second.
RATE = 10.0
ROUTES_OF_A_SET = 16
#: `maxItems` of `ReferenceGrant.spec.from`.
MAX_FROM = 16
#: CPU seconds are in these parts.
TICK = 100

Figure = tuple[str, dict[str, float], dict[str, float], str]


def cpu_of(role: str) -> dict[int, float]:
    """CPU seconds of each process `sluicegate <role>`, by pid."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            if b"sluicegate" in command and role.encode() in command:
                used = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
                found[int(process.name)] = sum(map(int, used)) / TICK
        except OSError:
            continue
    return found


class Place:
    """Namespaces with a backend each, and a Gateway in the first that takes routes of all."""

    def __init__(self, count: int) -> None:
        prefix = f"churn-{secrets.token_hex(3)}"
        self.api = Api()
        self.names = [f"{prefix}-{number}" for number in range(count)]

    def __enter__(self) -> Place:
        api, first = self.api, self.names[0]
        for name in self.names:
            api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), first)
        api.until("Deployment", first, "example-svc", is_ready)
        item = self.placed(gateway("routes"), first)
        item["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}
        item["spec"]["allowedListeners"] = {"namespaces": {"from": "All"}}
        api.create(item)
        for number in range(1, len(self.names), MAX_FROM):
            source = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}
            grant = {
                "from": [{**source, "namespace": name} for name in self.names[number : number + MAX_FROM]],
                "to": [{"group": "", "kind": "Service"}],
            }
            metadata = {"name": f"grant-{number}", "namespace": first}
            api.create({"apiVersion": GATEWAY_API, "kind": "ReferenceGrant", "metadata": metadata, "spec": grant})
        found = api.until("Gateway", first, "routes", lambda item: condition(item, "Programmed") == "True", LIMIT)
        self.client = Client(found["status"]["addresses"][0]["value"])
        self.client.until_answered("host-0.example.com")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            self.api.delete("Namespace", "", name)

    @staticmethod
    def placed(item: dict[str, Any], namespace: str) -> dict[str, Any]:
        """Put an object into a namespace."""
        item["metadata"]["namespace"] = namespace
        return item

    def route(self, number: int, namespace: str, parent: dict[str, str] | None = None) -> dict[str, Any]:
        """A route to the one backend."""
        item = self.placed(route(f"r-{number}", "routes", "churn.example.com", f"/r-{number}"), namespace)
        item["spec"]["parentRefs"] = [parent or {"name": "routes", "namespace": self.names[0]}]
        item["spec"]["rules"][0]["backendRefs"][0]["namespace"] = self.names[0]
        return item

    def churned(self, number: int, namespace: str, turn: int) -> dict[str, Any]:
        """A route as it is in its turn: of one size in each, so that memory grows by what is lost only."""
        item = self.route(number, namespace)
        field = {"name": "x-churn", "value": f"{turn:05}"}
        item["spec"]["rules"][0]["filters"] = [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [field]}}
        ]
        return item


def churn(seconds: float) -> Iterator[Figure]:
    """Change routes at a steady rate under constant traffic."""
    with Place(NAMESPACES) as place:
        each = ROUTES // NAMESPACES
        for index, name in enumerate(place.names):
            place.api.create_all([place.churned(index * each + number, name, 0) for number in range(each)])
        place.client.until_served("churn.example.com", f"/r-{ROUTES - 1}")
        answers, stop = Counter[str](), threading.Event()
        asking = threading.Thread(target=_ask, args=(place.client, answers, stop))
        memory = {role: max(resident(role)) for role in ("controller", "gateway")}
        before = {role: cpu_of(role) for role in memory}
        asking.start()
        began = time.monotonic()
        number = 0
        while (passed := time.monotonic() - began) < seconds:
            if passed < number / RATE:
                stop.wait(number / RATE - passed)
            target = ROUTES // 2 + number % (ROUTES // 2)
            name, labels = place.names[target // each], {"churn": str(number)}
            rules = place.churned(target, name, number)["spec"]["rules"]
            body = {"metadata": {"labels": labels}, "spec": {"rules": rules}}
            place.api.patch("HTTPRoute", name, f"r-{target}", body)
            number += 1
        passed = time.monotonic() - began
        used = {role: cpu_of(role) for role in memory}
        stop.set()
        asking.join()
        for role, limit in (("controller", 25), ("gateway", 5)):
            share = max(used[role][pid] - before[role].get(pid, 0.0) for pid in used[role]) / passed * 100
            yield f"churn, CPU of the busiest {role}", {"share": round(share, 2)}, {"share": limit}, "%"
            grown = max(resident(role)) - memory[role]
            yield f"churn, memory of {role} grows", {"by": round(grown, 1)}, {"by": 10}, "MiB"
        failed = sum(answers.values()) - answers["200"]
        yield (
            "churn, failed requests",
            {"failed": failed, "of": sum(answers.values()), "changes": number},
            {"failed": 0},
            "",
        )


def _ask(client: Client, answers: Counter[str], stop: threading.Event) -> None:
    number = 0
    while not stop.wait(0.01):
        answers[client.ask("churn.example.com", f"/r-{number % (ROUTES // 2)}")] += 1
        number += 1


def listener_sets(count: int) -> Iterator[Figure]:
    """Many ListenerSets with some routes each: how soon all of them serve, and a change after that."""
    with Place(1) as place:
        (name,) = place.names
        sets, routes = [], []
        for number in range(count):
            listener = {"name": "http", "protocol": "HTTP", "port": 80, "hostname": f"s{number}.example.com"}
            spec = {"parentRef": {"name": "routes"}, "listeners": [listener]}
            metadata = {"name": f"s{number}", "namespace": name}
            sets.append({"apiVersion": GATEWAY_API, "kind": "ListenerSet", "metadata": metadata, "spec": spec})
            for each in range(ROUTES_OF_A_SET):
                item = place.route(number * ROUTES_OF_A_SET + each, name, {"kind": "ListenerSet", "name": f"s{number}"})
                item["spec"]["hostnames"] = [f"s{number}.example.com"]
                routes.append(item)
        place.api.create_all(sets)
        place.api.create_all(routes)
        began = time.perf_counter()
        place.client.until_served(f"s{count - 1}.example.com", f"/r-{len(routes) - 1}")
        what = f"{count:,} ListenerSets x {ROUTES_OF_A_SET} routes"
        yield f"{what}: the last serves", {"after": round(time.perf_counter() - began, 2)}, {"after": 60}, "s"
        times = []
        for number in range(20):
            item = place.route(len(routes) + number, name, {"kind": "ListenerSet", "name": "s7"})
            item["spec"]["hostnames"] = ["s7.example.com"]
            began = time.perf_counter()
            place.api.call("POST", path_of("HTTPRoute", name), item)
            place.client.until_served("s7.example.com", f"/r-{len(routes) + number}")
            times.append((time.perf_counter() - began) * 1000)
        yield f"{what}: a new route", percentiles(times), {"p50": 50}, "ms"
        memory = {role: max(resident(role)) for role in ("controller", "gateway")}
        yield f"{what}: memory", memory, {}, "MiB"
