"""RateLimitPolicy `pods` on the wire: engines that are told to be two share a budget, or have all of it each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import msgspec
import pytest
from system_backends import Backend, response
from system_clients import Http1, Http2
from system_gateway import own_address
from system_manifests import Manifest, dump, gateway, policy, route, rule, service, target

from sluicegate import ir
from sluicegate.engine.native import Engine
from sluicegate.testing.offline import load_offline

PORT = 8080
HOST = "pods.test"
Client = type[Http1] | type[Http2]
BUDGET = 10


class Pod:
    """An engine at an address of its own with a limit of the budget, one of two pods, or alone where `pods` is 0."""

    def __init__(self, app: Backend, limit: Manifest, pods: int) -> None:
        self.address = own_address()
        manifests = dump(
            gateway(addresses=[{"type": "IPAddress", "value": self.address}]),
            route(rule("/", "app"), name="own"),
            policy("RateLimitPolicy", "own", target("HTTPRoute", "own"), local={"limits": [limit]}),
            *service("app", app.address),
        )
        self._transaction = load_offline(["-"], standard_input=manifests).transaction()
        self._engine = Engine({"workers": 2})
        self.told(pods)

    def told(self, pods: int) -> None:
        """As a controller tells it with all of the configuration."""
        replicas = (ir.Replicas(id="default/gateway", pods=pods),) if pods else ()
        upsert = msgspec.structs.replace(self._transaction.upsert, replicas=replicas)
        generation = self._transaction.generation + 1
        self._transaction = msgspec.structs.replace(self._transaction, upsert=upsert, generation=generation)
        self._engine.apply(ir.encode(self._transaction))

    def passed(self, client: Client) -> int:
        """How many of twice the budget pass, each over a connection of its own, so that all workers are asked."""
        found: Counter[int] = Counter()
        for _ in range(2 * BUDGET):
            with closing(client(self.address, PORT)) as connection:
                found[connection.request("GET", HOST, "/").status] += 1
        assert set(found) <= {200, 429}, found
        return found[200]

    def close(self) -> None:
        self._engine.shutdown()


@contextmanager
def two(app: Backend, limit: Manifest, pods: int) -> Iterator[list[Pod]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Pod(app, limit, pods))) for _ in range(2)]


@pytest.mark.parametrize(
    ("rest", "pods", "each"),
    [
        pytest.param({}, 2, BUDGET // 2, id="shared unless it says otherwise"),
        pytest.param({"pods": "Split"}, 2, BUDGET // 2, id="Split"),
        pytest.param({"pods": "Each"}, 2, BUDGET, id="Each"),
        pytest.param({"pods": "Split"}, 0, BUDGET, id="alone"),
    ],
)
def test_what_each_pod_gives(backend: Any, client: Client, rest: Manifest, pods: int, each: int) -> None:
    app: Backend = backend(lambda _: response(b""))
    limit = {"name": "all", "requests": BUDGET, "per": "1h", **rest}
    with two(app, limit, pods) as found:
        assert [pod.passed(client) for pod in found] == [each, each]


def test_a_pod_that_comes_takes_its_part(backend: Any, client: Client) -> None:
    """Who was alone and has given half of the budget has half of its part left; one that gives all of it goes on."""
    app: Backend = backend(lambda _: response(b""))
    for rest, left in (({"pods": "Split"}, BUDGET // 4), ({"pods": "Each"}, BUDGET // 2)):
        limit = {"name": "all", "requests": BUDGET, "per": "1h", **rest}
        with closing(Pod(app, limit, 1)) as pod:
            for _ in range(BUDGET // 2):
                with closing(client(pod.address, PORT)) as connection:
                    assert connection.request("GET", HOST, "/").status == 200
            pod.told(2)
            assert pod.passed(client) == left
