"""Addresses of a Gateway at nodes: bounded, in an order that a change of something else does not touch."""

from __future__ import annotations

from typing import Any

from sluicegate.controller.api import ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Options, Translator
from sluicegate.controller.translate.addresses import MAX_ADDRESSES
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions

GATEWAY = ObjectKey("Gateway", "prod", "one")


def node(number: int, ready: str = "True", heartbeat: str = "2026-02-01T00:00:00Z") -> dict[str, Any]:
    """The nodes in the order of their numbers: the higher, the younger."""
    condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": heartbeat}
    addresses = [{"type": "InternalIP", "address": f"192.0.2.{number}"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{99 - number}", "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"},
        "status": {"addresses": addresses, "conditions": [condition], "images": [{"names": ["large"]}]},
    }


def slice_on(number: int, ready: bool = True) -> dict[str, Any]:
    endpoint = {"addresses": ["10.0.0.1"], "nodeName": f"node-{99 - number}", "conditions": {"ready": ready}}
    labels = {"kubernetes.io/service-name": "one-sluicegate"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "one-sluicegate-a", "namespace": "prod", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [endpoint],
    }


class Cluster:
    """A Gateway whose Service is of type NodePort."""

    def __init__(self, policy: str = "Cluster") -> None:
        self.store = Store(())
        self.translator = Translator(options=Options(provision=ProvisionOptions(authority="")))
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        self.apply(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": "one", "namespace": "prod", "uid": "one"},
                "spec": {"gatewayClassName": "sluicegate", "listeners": [listener]},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "one-sluicegate",
                    "namespace": "prod",
                    "ownerReferences": [{"uid": "one", "controller": True}],
                },
                "spec": {"type": "NodePort", "ipFamilies": ["IPv4"], "externalTrafficPolicy": policy},
            },
        )

    def apply(self, *documents: dict[str, Any]) -> None:
        for item in documents:
            self.store.handle(Apply(decode(item)))

    def status(self) -> Any:
        return self.translator.translate(self.store.snapshot()).statuses[GATEWAY]

    def nodes(self) -> list[int]:
        return [int(item.value.rpartition(".")[2]) for item in self.status().addresses]


def test_the_oldest_nodes_as_many_as_the_api_takes() -> None:
    cluster = Cluster()
    assert cluster.nodes() == []
    cluster.apply(*(node(number) for number in reversed(range(2, MAX_ADDRESSES + 4))))
    assert cluster.nodes() == list(range(2, MAX_ADDRESSES + 2))
    cluster.apply(node(1, ready="Unknown"), node(3, ready="False"))
    assert cluster.nodes() == [2, *range(4, MAX_ADDRESSES + 3)]
    cluster.store.handle(Delete(ObjectKey("Node", "", "node-97")))
    assert cluster.nodes() == list(range(4, MAX_ADDRESSES + 4))


def test_what_changes_no_address_changes_no_status() -> None:
    cluster = Cluster()
    cluster.apply(*(node(number) for number in range(1, MAX_ADDRESSES + 1)))
    before = cluster.status()
    snapshot = cluster.store.snapshot()
    cluster.apply(node(1, heartbeat="2026-02-01T00:05:00Z"))
    assert cluster.store.snapshot() is snapshot
    cluster.apply(node(MAX_ADDRESSES + 1), slice_on(1), {**node(2), "metadata": {**node(2)["metadata"], "labels": {}}})
    assert cluster.status() is before


def test_local_traffic_is_taken_where_a_pod_is_ready() -> None:
    cluster = Cluster(policy="Local")
    cluster.apply(node(1), node(2))
    assert cluster.nodes() == []
    for number, ready, found in ((2, True, [2]), (1, True, [1]), (1, False, [])):
        cluster.apply(slice_on(number, ready))
        assert cluster.nodes() == found
    cluster.apply(slice_on(2))
    assert cluster.nodes() == [2]
    cluster.store.handle(Delete(ObjectKey("EndpointSlice", "prod", "one-sluicegate-a")))
    assert cluster.nodes() == []
