"""The Service of a Gateway: its ports, static addresses, and the addresses that it has been given."""

from __future__ import annotations

from ...api import Service
from .plane import Manifest, PlaneGateway, PlanePort, controller_of

DEFAULT_TYPE = "LoadBalancer"
NODE_PORT = "NodePort"
#: Annotations by which load balancers take several addresses; one address is the Service's own field, which all read.
#: MetalLB (both names of it), Cilium LB IPAM, kube-vip.
ADDRESS_ANNOTATIONS = (
    "metallb.io/loadBalancerIPs",
    "metallb.universe.tf/loadBalancerIPs",
    "lbipam.cilium.io/ips",
    "kube-vip.io/loadbalancerIPs",
)


def service_spec(gateway: PlaneGateway, selector: dict[str, str]) -> Manifest:
    """`spec` of the Service."""
    wanted = gateway.parameters.service
    kind = service_type(gateway)
    spec: Manifest = {"type": kind, "selector": selector, "ports": [_port(item) for item in gateway.ports]}
    if wanted.ip_family_policy is not None:
        spec["ipFamilyPolicy"] = wanted.ip_family_policy
    if kind != "ClusterIP" and wanted.external_traffic_policy is not None:
        spec["externalTrafficPolicy"] = wanted.external_traffic_policy
    if kind == "LoadBalancer":
        if wanted.load_balancer_class is not None:
            spec["loadBalancerClass"] = wanted.load_balancer_class
        if wanted.load_balancer_source_ranges is not None:
            spec["loadBalancerSourceRanges"] = list(wanted.load_balancer_source_ranges)
        if len(gateway.addresses) == 1:
            spec["loadBalancerIP"] = gateway.addresses[0]
    within = gateway.cluster.values if gateway.cluster is not None else ()
    if kind == "ClusterIP":
        within = within or gateway.addresses
    if within:
        spec["clusterIP"] = within[0]
        spec["clusterIPs"] = list(within)
    return spec


def service_type(gateway: PlaneGateway) -> str:
    """`spec.type`: what the parameters say, unless the Gateway is to be reached from within the cluster only."""
    if gateway.cluster is not None and gateway.cluster.only:
        return "ClusterIP"
    return gateway.parameters.service.type or DEFAULT_TYPE


def service_annotations(gateway: PlaneGateway) -> dict[str, str]:
    """Annotations that make balancers do what the Gateway asks for; those of the parameters win."""
    wanted = gateway.parameters.service
    several = len(gateway.addresses) > 1 and service_type(gateway) == DEFAULT_TYPE
    asked = dict.fromkeys(ADDRESS_ANNOTATIONS, ",".join(gateway.addresses)) if several else {}
    return {**asked, **(wanted.annotations or {})}


def belongs(service: Service, controller_name: str, owner: str) -> bool:
    """Whether a Service is one that `apply` would not leave alone as somebody else's.

    Args:
        service: one of the name that a Gateway's Service has.
        controller_name: whose Gateway it is.
        owner: uid of the object that owns the Gateway's Service; empty: none does.
    """
    if owner and service.owner:
        return service.owner == owner  # and not a Gateway of the same name that is no more
    return controller_of(service.metadata.labels, service.metadata.annotations) == controller_name


def service_addresses(service: Service) -> tuple[tuple[str, str], ...]:
    """Addresses of a Service that nodes do not answer for, as (type, value) of `Gateway.status.addresses`.

    A load balancer's are those that it reported, none yet: empty; of type `ClusterIP` those within the cluster.
    """
    if service.spec.type == "LoadBalancer":
        ingress = service.status.load_balancer.ingress
        found = [("IPAddress", item.ip) if item.ip else ("Hostname", item.hostname) for item in ingress]
        return tuple(item for item in dict.fromkeys(found) if item[1])
    return tuple(("IPAddress", value) for value in cluster_addresses(service))


def cluster_addresses(service: Service) -> tuple[str, ...]:
    """Addresses that a Service has within the cluster, whatever its type."""
    values = service.spec.cluster_ips or (service.spec.cluster_ip,)
    return tuple(value for value in values if value and value != "None")


def _port(item: PlanePort) -> Manifest:
    return {
        "name": f"{item.transport.lower()}-{item.port}",
        "protocol": item.transport,
        "port": item.port,
        "targetPort": item.target,
    }
