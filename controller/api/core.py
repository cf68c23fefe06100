"""The kinds of Kubernetes itself: Namespace, Node, Service, EndpointSlice, Secret, ConfigMap, and others."""

from __future__ import annotations

from typing import Any

import msgspec

from .meta import Model, Object, ObjectMeta

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
#: The CRD by which the version of the Gateway API is told.
CLASS_CRD = "gatewayclasses.gateway.networking.k8s.io"


class Namespace(Object, frozen=True, kw_only=True):
    """Only its labels are read (`allowedRoutes`, `allowedListeners`)."""


class CustomResourceDefinition(Object, frozen=True, kw_only=True):
    """Only its annotations are read: the version of the Gateway API that is installed."""


class NodeAddress(Model, frozen=True, kw_only=True):
    """`Node.status.addresses[]`."""

    type: str
    address: str


class NodeCondition(Model, frozen=True, kw_only=True):
    """`Node.status.conditions[]`, without the times: a heartbeat is no change."""

    type: str
    status: str


class NodeStatus(Model, frozen=True, kw_only=True):
    """`Node.status`."""

    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[NodeCondition, ...] = ()


class Node(Object, frozen=True, kw_only=True):
    """A machine of the cluster: only its addresses are read, and whether it is ready (Services of type NodePort)."""

    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> bool:
        """Whether its condition `Ready` holds; unknown is no."""
        return any(item.type == "Ready" and item.status == "True" for item in self.status.conditions)


class ServicePort(Model, frozen=True, kw_only=True):
    """`Service.spec.ports[]`."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""
    target_port: int | str | None = None


class ServiceSpec(Model, frozen=True, kw_only=True):
    """`Service.spec`."""

    ports: tuple[ServicePort, ...] = ()
    type: str = "ClusterIP"
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    traffic_distribution: str = ""
    external_name: str = ""
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = msgspec.field(name="clusterIPs", default=())
    ip_families: tuple[str, ...] = ()
    external_traffic_policy: str = "Cluster"


class LoadBalancerIngress(Model, frozen=True, kw_only=True):
    """One of `status.loadBalancer.ingress[]`."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Model, frozen=True, kw_only=True):
    """`status.loadBalancer`."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Model, frozen=True, kw_only=True):
    """`Service.status`: read for the addresses of Gateways."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class OwnerReference(Model, frozen=True, kw_only=True):
    """`metadata.ownerReferences[]`."""

    uid: str = ""
    controller: bool = False


class ServiceMeta(ObjectMeta, frozen=True, kw_only=True):
    """`Service.metadata`: with the owners, by which that of a Gateway is told from somebody else's of its name."""

    owner_references: tuple[OwnerReference, ...] = ()


class Service(Object, frozen=True, kw_only=True):
    """A named set of endpoints."""

    metadata: ServiceMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def owner(self) -> str:
        """The uid of its controlling owner; empty: it has none."""
        return next((item.uid for item in self.metadata.owner_references if item.controller), "")


class EndpointConditions(Model, frozen=True, kw_only=True):
    """`endpoints[].conditions`. Unset means unknown, and unknown readiness counts as ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class PlaceHint(Model, frozen=True, kw_only=True):
    """`endpoints[].hints.forZones[]` and `forNodes[]`."""

    name: str = ""


class EndpointHints(Model, frozen=True, kw_only=True):
    """`endpoints[].hints`: whose traffic should go there."""

    for_zones: tuple[PlaceHint, ...] = ()
    for_nodes: tuple[PlaceHint, ...] = ()


class SliceEndpoint(Model, frozen=True, kw_only=True):
    """`EndpointSlice.endpoints[]`."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str = ""
    zone: str = ""
    hints: EndpointHints | None = None


class EndpointPort(Model, frozen=True, kw_only=True):
    """`EndpointSlice.ports[]`; its name is the name of the Service port."""

    port: int | None = None
    name: str = ""
    protocol: str = "TCP"


class EndpointSlice(Object, frozen=True, kw_only=True):
    """Some of the endpoints of the Service that its label names."""

    address_type: str
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def service(self) -> str:
        """Name of the Service in the same namespace; empty where the label is missing."""
        return self.metadata.labels.get(SERVICE_NAME_LABEL, "")


class Secret(Object, frozen=True, kw_only=True):
    """`data` is base64 text (bytes where YAML decoded it: `!!binary`), `stringData` plain and stronger."""

    type: str = "Opaque"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    string_data: dict[str, str] = msgspec.field(default_factory=dict)


class ConfigMapData(Model, frozen=True, kw_only=True):
    """`ConfigMap.data`: the keys that policies, filters and client validation read; the others can be large."""

    bundle: str | None = msgspec.field(name="ca.crt", default=None)
    key_set: str | None = msgspec.field(name="jwks.json", default=None)
    page: str | None = msgspec.field(name="response.body", default=None)


class ConfigMapBinary(Model, frozen=True, kw_only=True):
    """`ConfigMap.binaryData`, the same."""

    bundle: Any = msgspec.field(name="ca.crt", default=None)


class ConfigMap(Object, frozen=True, kw_only=True):
    """CA certificates; `data` is text, `binaryData` base64 (bytes where YAML decoded it: `!!binary`)."""

    data: ConfigMapData = ConfigMapData()
    binary_data: ConfigMapBinary = ConfigMapBinary()


class ClusterTrustBundleSpec(Model, frozen=True, kw_only=True):
    """`ClusterTrustBundle.spec`: PEM, the order of certificates means nothing."""

    trust_bundle: str


class ClusterTrustBundle(Object, frozen=True, kw_only=True):
    """CA certificates of the whole cluster (`certificates.k8s.io`); named `<signer>:<name>` where a signer keeps it."""

    spec: ClusterTrustBundleSpec


#: A parsed YAML document.
Document = dict[str, Any]
