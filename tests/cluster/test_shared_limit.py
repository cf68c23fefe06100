"""A limit holds for all pods of a Gateway together."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter

from api import LIMIT, Api, is_ready
from faults import Serving, serving
from policy_parts import GROUP, SERVICE, is_programmed, named

__all__ = ["serving"]

SECONDS, OFFERED, ALLOWED, CLIENTS_AT_ONCE = 60.0, 1_000, 100, 40


def test_two_pods_share_a_limit(api: Api, serving: Serving) -> None:
    """Ten times as much as a limit of 100 a second comes to two pods: 98 to 104 a second pass, of both together."""
    name, parameters = "split", {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "split"}
    listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
    infrastructure = {"parametersRef": parameters}
    spec = {"gatewayClassName": "sluicegate", "listeners": listeners, "infrastructure": infrastructure}
    rules = [{"backendRefs": [SERVICE]}]
    targets = [{"group": GROUP, "kind": "HTTPRoute", "name": name}]
    # Five at once in each pod: less, and what is late by a moment is lost.
    limit = {"name": "all", "requests": ALLOWED, "per": "1s", "burst": 10}
    api.apply(
        [
            named(name, "GatewayParameters", "sluicegate.dev/v1alpha1", {"deployment": {"replicas": 2}}),
            named(name, "Gateway", f"{GROUP}/v1", spec),
            named(name, "HTTPRoute", f"{GROUP}/v1", {"parentRefs": [{"name": name}], "rules": rules}),
            named(
                name,
                "RateLimitPolicy",
                "sluicegate.dev/v1alpha1",
                {"targetRefs": targets, "local": {"limits": [limit]}},
            ),
        ],
        serving.namespace,
    )
    api.until("RateLimitPolicy", serving.namespace, name, is_programmed)
    api.until("Deployment", serving.namespace, f"{name}-sluicegate", is_ready, 2 * LIMIT)
    address = api.get("Gateway", serving.namespace, name)["status"]["addresses"][0]["value"]
    counted = offer(address, SECONDS)
    assert set(counted) <= {200, 429}, counted
    assert sum(counted.values()) >= 0.9 * OFFERED * SECONDS, counted
    assert 98 <= counted[200] / SECONDS <= 104, counted


def offer(address: str, seconds: float) -> Counter[int]:
    """Send requests at a steady rate over as many connections as find both pods; counts the statuses of the answers."""
    counted: Counter[int] = Counter()
    lock, pause = threading.Lock(), threading.Event()
    begin = time.monotonic() + 1.0
    each = CLIENTS_AT_ONCE / OFFERED

    def send(number: int) -> None:
        own: Counter[int] = Counter()
        connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)
        due = begin + number * each / CLIENTS_AT_ONCE
        while due < begin + seconds:
            pause.wait(max(due - time.monotonic(), 0.0))
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            own[response.status] += 1
            due += each
        connection.close()
        with lock:
            counted.update(own)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(CLIENTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + LIMIT)
    return counted
