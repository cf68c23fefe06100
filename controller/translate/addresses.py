"""Which addresses data planes have: those of their Services to `Gateway.status.addresses`.

A Service of type NodePort answers at the nodes. Rules:
- A Service of somebody else that only has the name counts for nothing.
- Only nodes that are ready; where `externalTrafficPolicy` is `Local`, only those with a ready pod: others drop.
- Of a node the external addresses, or the internal ones where it has no external one, of the Service's IP families.
- The oldest nodes come first: the API takes `MAX_ADDRESSES`, and a node that joins must not push another one out.
- A Gateway that asks for addresses gets these alone, as far as nodes have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from ..api import EndpointSlice, Node, ObjectKey, Service
from ..store.snapshot import Snapshot
from .infrastructure.service import NODE_PORT, belongs, cluster_addresses, service_addresses
from .status import Address
from .topology import GatewayFacts
from .values import normal_address

#: `maxItems` of `Gateway.status.addresses`.
MAX_ADDRESSES = 16

#: Namespace and name.
Pair = tuple[str, str]


def assigned_addresses(
    snapshot: Snapshot, controller_name: str, gateways: Iterable[GatewayFacts], slices: Mapping[Pair, Set[Pair]]
) -> dict[ObjectKey, tuple[Address, ...]]:
    """Addresses that the Services of Gateways have been given, by Gateway; those without a Service are left out.

    Args:
        snapshot: has the Services, nodes and EndpointSlices.
        controller_name: whose Gateways they are.
        gateways: where data planes are provisioned; others have no Service.
        slices: EndpointSlices by Service.
    """
    services = snapshot.table("Service")
    given = {
        facts.object.key: (facts, service)
        for facts in gateways
        if facts.service is not None
        and isinstance(service := services.get(facts.service), Service)
        and belongs(service, controller_name, facts.service_owner)
    }
    by_nodes = any(service.spec.type == NODE_PORT for _, service in given.values())
    nodes = _ready_nodes(snapshot) if by_nodes else []
    result: dict[ObjectKey, tuple[Address, ...]] = {}
    for key, (facts, service) in given.items():
        found: Iterable[tuple[str, str]] = service_addresses(service)
        if service.spec.type == NODE_PORT:
            hosts = _with_pods(snapshot, service, slices, nodes)
            found = (("IPAddress", value) for node in hosts for value in _of_node(node, service, facts.requested))
        # Those within the cluster say so where the Gateway asks for such.
        inner = cluster_addresses(service) if facts.cluster is not None else ()
        outer: dict[tuple[str, str], None] = {}
        for kind, value in found:
            if len(outer) + len(inner) == MAX_ADDRESSES:
                break
            if value not in inner:
                outer[kind, value] = None
        result[key] = (
            *(_address(kind, value) for kind, value in outer),
            *(_address("IPAddress", value, "Cluster") for value in inner),
        )
    return result


def _address(kind: str, value: str, routability: str | None = None) -> Address:
    return Address(type=kind, value=normal_address(value) or value, routability=routability)


def _ready_nodes(snapshot: Snapshot) -> list[Node]:
    nodes = (item for item in snapshot.table("Node").values() if isinstance(item, Node) and item.ready)
    return sorted(nodes, key=lambda item: (item.metadata.created, item.name))


def _with_pods(
    snapshot: Snapshot, service: Service, slices: Mapping[Pair, Set[Pair]], nodes: list[Node]
) -> Iterable[Node]:
    """Those of some nodes that take connections for a Service."""
    if service.spec.external_traffic_policy != "Local":
        return nodes
    table = snapshot.table("EndpointSlice")
    names = {
        endpoint.node_name
        for pair in slices.get((service.namespace, service.name), ())
        if isinstance(item := table.get(pair), EndpointSlice)
        for endpoint in item.endpoints
        if endpoint.conditions.ready is not False
    }
    return (node for node in nodes if node.name in names)


def _of_node(node: Node, service: Service, requested: tuple[str, ...]) -> list[str]:
    """Addresses of a node at which a Service answers, sorted: their order in the status of a node means nothing."""
    found: dict[str, set[str]] = {"ExternalIP": set(), "InternalIP": set()}
    for item in node.status.addresses:
        address = normal_address(item.address)
        family = "IPv6" if ":" in item.address else "IPv4"
        if address is not None and item.type in found and family in service.spec.ip_families:
            found[item.type].add(address)
    if requested:
        return [address for address in requested if any(address in values for values in found.values())]
    return sorted(found["ExternalIP"] or found["InternalIP"])
