"""Where the kinds live in the API: the paths of what is watched and written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...api import CLASS_CRD, ObjectKey


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API has it.

    Attributes:
        kind: the kind.
        version: `apiVersion` that is asked for first.
        plural: name in paths.
        namespaced: objects live in namespaces.
        required: the gateway cannot do without it; others may be missing from a cluster (older or fewer CRDs).
        selector: field selector of the watch.
        older: further versions that are read as well, the newest first: of one shape, as far as it is read.
        remedy: what to do where the cluster has none of them.
        labels: label selector of the watch.
        minor: only statuses tell of it: where it may not be watched, as with a ClusterRole of an older release, nothing
            waits for it.
    """

    kind: str
    version: str
    plural: str
    namespaced: bool = True
    required: bool = True
    selector: str = ""
    older: tuple[str, ...] = ()
    remedy: str = "install the Gateway API's CRDs"
    labels: str = ""
    minor: bool = False

    @property
    def versions(self) -> tuple[Resource, ...]:
        """The resource in each version that is read, in the order in which they are tried."""
        return (self, *(replace(self, version=version, older=()) for version in self.older))

    @property
    def prefix(self) -> str:
        """Path of the group and version."""
        return f"/api/{self.version}" if "/" not in self.version else f"/apis/{self.version}"

    @property
    def qualified_name(self) -> str:
        """`plural.group`, as kubectl takes it; also the name of its CRD."""
        group = self.version.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural

    @property
    def collection(self) -> str:
        """Path of all objects, in all namespaces."""
        return f"{self.prefix}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        """Path of one object."""
        place = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{self.prefix}{place}/{self.plural}/{name}"


_GATEWAY = "gateway.networking.k8s.io/v1"
_BETA = ("gateway.networking.k8s.io/v1beta1",)
_ALPHA2 = ("gateway.networking.k8s.io/v1alpha2",)
_ALPHA3 = ("gateway.networking.k8s.io/v1alpha3",)

#: Everything that is watched, in the order of DESIGN section 1.
WATCHED: tuple[Resource, ...] = (
    Resource("GatewayClass", _GATEWAY, "gatewayclasses", namespaced=False, older=_BETA),
    Resource("Gateway", _GATEWAY, "gateways", older=_BETA),
    Resource("ListenerSet", _GATEWAY, "listenersets", required=False),
    Resource("HTTPRoute", _GATEWAY, "httproutes", older=_BETA),
    Resource("GRPCRoute", _GATEWAY, "grpcroutes", required=False, older=_ALPHA2),
    Resource("TLSRoute", _GATEWAY, "tlsroutes", required=False, older=(*_ALPHA3, *_ALPHA2)),
    Resource("TCPRoute", _GATEWAY, "tcproutes", required=False, older=_ALPHA2),
    Resource("UDPRoute", _GATEWAY, "udproutes", required=False, older=_ALPHA2),
    Resource("ReferenceGrant", _GATEWAY, "referencegrants", required=False, older=_BETA),
    Resource("BackendTLSPolicy", _GATEWAY, "backendtlspolicies", required=False, older=_ALPHA3),
    Resource("Namespace", "v1", "namespaces", namespaced=False),
    Resource("Service", "v1", "services"),
    Resource("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
    Resource("Secret", "v1", "secrets", selector="type=kubernetes.io/tls"),
    Resource("ConfigMap", "v1", "configmaps"),
    Resource(
        "ClusterTrustBundle",
        "certificates.k8s.io/v1",
        "clustertrustbundles",
        namespaced=False,
        required=False,
        older=("certificates.k8s.io/v1beta1", "certificates.k8s.io/v1alpha1"),
        remedy="turn on its feature gate and its API in the API server",
    ),
    Resource(
        "RequestHeaderFilter",
        "sluicegate.dev/v1alpha1",
        "requestheaderfilters",
        required=False,
        remedy="install Sluicegate's CRDs",
    ),
    Resource(
        "GatewayParameters",
        "sluicegate.dev/v1alpha1",
        "gatewayparameters",
        required=False,
        remedy="install Sluicegate's CRDs",
    ),
    # Of all CRDs only that of classes: it tells the version of the Gateway API.
    Resource(
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        namespaced=False,
        required=False,
        selector=f"metadata.name={CLASS_CRD}",
        minor=True,
        remedy="let the API server serve them",
    ),
)

#: What besides is read by a controller that provisions: the addresses of Services of type NodePort.
NODE = Resource("Node", "v1", "nodes", namespaced=False, minor=True)

_OURS = "app.kubernetes.io/managed-by=sluicegate"

#: What a controller that provisions makes. (Services and ConfigMaps are watched anyway.)
OWNED: tuple[Resource, ...] = (
    Resource("ServiceAccount", "v1", "serviceaccounts", labels=_OURS),
    Resource("Deployment", "apps/v1", "deployments", labels=_OURS),
    Resource("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets", labels=_OURS),
    Resource("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers", labels=_OURS),
)

BY_KIND = {resource.kind: resource for resource in (*WATCHED, NODE, *OWNED)}


def path_of(key: ObjectKey, version: str = "") -> str:
    """Path of an object of a watched or owned kind, in the `apiVersion` given or else the usual one."""
    resource = BY_KIND[key.kind]
    return (replace(resource, version=version) if version else resource).path(key.namespace, key.name)
