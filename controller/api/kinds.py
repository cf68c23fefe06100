"""THE table of kinds: where each lives in the API, what it is to us, why we read or write it.

Derived from it: what is decoded (`decode`), the watches and paths (`sources.kubernetes.resources`), which statuses are
written, what the translator reads, the schemas (`tools/schemas.py`), the permissions of all installers, and the
documentation of both (`tools/permissions.py`). A kind that is not here is not read, written or granted.
"""

from __future__ import annotations

from .access_policy import AccessPolicy
from .backend_policy import BackendPolicy
from .client_policy import ClientPolicy
from .core import (
    CLASS_CRD,
    ClusterTrustBundle,
    ConfigMap,
    CustomResourceDefinition,
    EndpointSlice,
    Namespace,
    Node,
    Secret,
    Service,
)
from .extension import HTTPFilter, RequestHeaderFilter
from .external_backend import XBackend
from .gateway import Gateway, GatewayClass, ListenerSet
from .grpc_route import GRPCRoute
from .kind import Kind, Permission, Role
from .l4_route import TCPRoute, TLSRoute, UDPRoute
from .meta import EXPERIMENTAL_GROUP, GATEWAY_GROUP, OWN_GROUP, Object
from .parameters import GatewayParameters
from .policy import BackendTLSPolicy, ReferenceGrant
from .rate_limit import RateLimitPolicy
from .route import HTTPRoute
from .telemetry_policy import XTelemetryPolicy
from .traffic_policy import XBackendTrafficPolicy

#: Names of what the controller keeps for itself: its Lease, the CA of the config stream, the keys of session tickets.
LEASE, AUTHORITY, TICKETS = "sluicegate-controller", "sluicegate-controller-ca", "sluicegate-session-tickets"

#: Types of Secrets that are nobody's certificate and no policy's: releases of Helm alone may be megabytes.
OTHER_SECRETS = (
    "helm.sh/release.v1",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/dockercfg",
    "kubernetes.io/ssh-auth",
    "bootstrap.kubernetes.io/token",
)
_OWN_CRDS = "install Sluicegate's CRDs"
_ATTACHED = "whether and where it is attached, and what is wrong with it"


def _route(struct: type[Object], plural: str, reads: str, versions: tuple[str, ...], *, required: bool = False) -> Kind:
    return Kind(
        name=struct.__name__,
        plural=plural,
        role="route",
        group=GATEWAY_GROUP,
        versions=versions,
        struct=struct,
        reads=reads,
        status=_ATTACHED,
        required=required,
    )


def _policy(struct: type[Object], plural: str, reads: str) -> Kind:
    """A policy of ours."""
    return Kind(
        name=struct.__name__,
        plural=plural,
        role="policy",
        group=OWN_GROUP,
        versions=("v1alpha1",),
        struct=struct,
        reads=reads,
        status=_ATTACHED,
        required=False,
        remedy=_OWN_CRDS,
    )


def _provisioned(name: str, plural: str, why: str, group: str, version: str) -> Kind:
    return Kind(
        name=name,
        plural=plural,
        role="provisioned",
        group=group,
        versions=(version,),
        reads="the provisioned ones",
        provisions=why,
        node=False,
        labels="app.kubernetes.io/managed-by=sluicegate",
    )


#: In the order of documentation and of watches.
TABLE: tuple[Kind, ...] = (
    Kind(
        name="GatewayClass",
        group=GATEWAY_GROUP,
        versions=("v1", "v1beta1"),
        plural="gatewayclasses",
        role="topology",
        struct=GatewayClass,
        namespaced=False,
        reads="which Gateways are ours, and the parameters that they share",
        status="whether it is accepted, supported features and the version of the CRDs",
    ),
    Kind(
        name="Gateway",
        group=GATEWAY_GROUP,
        versions=("v1", "v1beta1"),
        plural="gateways",
        role="topology",
        struct=Gateway,
        reads="listeners and their addresses",
        status="conditions, addresses, attached routes",
        counted=True,
        permissions=(
            Permission(
                ("update",),
                "provisioned objects name their Gateway as owner that waits for them (`blockOwnerDeletion`), which the "
                "API server allows only with this; no finalizer is set",
                "finalizers",
                node=False,
            ),
        ),
    ),
    Kind(
        name="ListenerSet",
        group=GATEWAY_GROUP,
        plural="listenersets",
        role="topology",
        struct=ListenerSet,
        reads="more listeners for a Gateway",
        status="conditions, attached routes",
        counted=True,
        required=False,
    ),
    _route(HTTPRoute, "httproutes", "rules for HTTP", ("v1", "v1beta1"), required=True),
    _route(GRPCRoute, "grpcroutes", "rules for gRPC", ("v1", "v1alpha2")),
    _route(TLSRoute, "tlsroutes", "rules for TLS by server name", ("v1", "v1alpha3", "v1alpha2")),
    _route(TCPRoute, "tcproutes", "rules for TCP", ("v1", "v1alpha2")),
    _route(UDPRoute, "udproutes", "rules for UDP", ("v1", "v1alpha2")),
    Kind(
        name="ReferenceGrant",
        group=GATEWAY_GROUP,
        versions=("v1", "v1beta1"),
        plural="referencegrants",
        role="reference",
        struct=ReferenceGrant,
        reads="which references may cross namespaces",
        required=False,
    ),
    Kind(
        name="BackendTLSPolicy",
        group=GATEWAY_GROUP,
        versions=("v1", "v1alpha3"),
        plural="backendtlspolicies",
        role="policy",
        struct=BackendTLSPolicy,
        reads="TLS to backends",
        status=_ATTACHED,
        required=False,
    ),
    _policy(AccessPolicy, "accesspolicies", "who may send requests and open connections"),
    _policy(ClientPolicy, "clientpolicies", "how clients are spoken to, and what they may send"),
    _policy(RateLimitPolicy, "ratelimitpolicies", "how much clients may ask for"),
    Kind(
        name="XBackendTrafficPolicy",
        group=EXPERIMENTAL_GROUP,
        versions=("v1alpha1",),
        plural="xbackendtrafficpolicies",
        role="policy",
        struct=XBackendTrafficPolicy,
        reads="how much may be retries, and sessions",
        status=_ATTACHED,
        required=False,
    ),
    Kind(
        name="XTelemetryPolicy",
        group=EXPERIMENTAL_GROUP,
        versions=("v1alpha1",),
        plural="xtelemetrypolicies",
        role="policy",
        struct=XTelemetryPolicy,
        reads="which requests are traced, and who takes their spans",
        status=_ATTACHED,
        required=False,
    ),
    Kind(
        name="XBackend",
        group=EXPERIMENTAL_GROUP,
        versions=("v1alpha1",),
        plural="xbackends",
        role="reference",
        struct=XBackend,
        reads="hosts outside the cluster that requests go to",
        status="whether it can be used, for each Gateway that leads to it",
        required=False,
    ),
    Kind(
        name="Namespace",
        plural="namespaces",
        role="reference",
        struct=Namespace,
        namespaced=False,
        naming="label",
        reads="labels, for `allowedRoutes.namespaces.selector`",
    ),
    Kind(
        name="Service",
        plural="services",
        role="reference",
        struct=Service,
        naming="service",
        reads="backends; in the controller also the provisioned ones",
        provisions="each Gateway's address",
    ),
    Kind(
        name="EndpointSlice",
        group="discovery.k8s.io",
        plural="endpointslices",
        role="reference",
        struct=EndpointSlice,
        reads="where backends listen",
    ),
    Kind(
        name="Secret",
        plural="secrets",
        role="reference",
        struct=Secret,
        reads="certificates of listeners and of the gateway as a client, and what policies know; Secrets of types that "
        "are neither are not asked for (RBAC cannot say that)",
        selector=",".join(f"type!={name}" for name in OTHER_SECRETS),
        permissions=(
            Permission(
                ("create",), "the CA of the config stream and the keys of session tickets, once", own=True, node=False
            ),
            Permission(
                ("update", "patch"), "rotation of the CA of the config stream", names=(AUTHORITY,), own=True, node=False
            ),
            Permission(("update",), "rotation of the keys of session tickets", names=(TICKETS,), own=True, node=False),
        ),
    ),
    Kind(
        name="ConfigMap",
        plural="configmaps",
        role="reference",
        struct=ConfigMap,
        reads="CA bundles; in the controller also the provisioned ones",
        provisions="each data plane's settings",
    ),
    Kind(
        name="ClusterTrustBundle",
        group="certificates.k8s.io",
        versions=("v1", "v1beta1", "v1alpha1"),
        plural="clustertrustbundles",
        role="reference",
        struct=ClusterTrustBundle,
        namespaced=False,
        naming="signer",
        reads="CA bundles of v1.7.0's validation",
        required=False,
        remedy="turn on its feature gate and its API in the API server",
    ),
    Kind(
        name="RequestHeaderFilter",
        group=OWN_GROUP,
        versions=("v1alpha1",),
        plural="requestheaderfilters",
        role="reference",
        struct=RequestHeaderFilter,
        reads="header edits of whole listeners (GEP-5224)",
        required=False,
        remedy=_OWN_CRDS,
    ),
    Kind(
        name="HTTPFilter",
        group=OWN_GROUP,
        versions=("v1alpha1",),
        plural="httpfilters",
        role="reference",
        struct=HTTPFilter,
        reads="filters of rules beyond the standard ones: answers, rewrites by expression, header edits",
        required=False,
        remedy=_OWN_CRDS,
    ),
    Kind(
        name="BackendPolicy",
        group=OWN_GROUP,
        versions=("v1alpha1",),
        plural="backendpolicies",
        role="policy",
        struct=BackendPolicy,
        reads="how the endpoints of Services are used: balancing, limits, time limits, health",
        status=_ATTACHED,
        required=False,
        remedy=_OWN_CRDS,
    ),
    Kind(
        name="GatewayParameters",
        group=OWN_GROUP,
        versions=("v1alpha1",),
        plural="gatewayparameters",
        role="reference",
        struct=GatewayParameters,
        reads="how data planes are provisioned; `node` only looks whether the references are right",
        required=False,
        remedy=_OWN_CRDS,
    ),
    Kind(
        name="CustomResourceDefinition",
        group="apiextensions.k8s.io",
        plural="customresourcedefinitions",
        role="topology",
        struct=CustomResourceDefinition,
        namespaced=False,
        reads="which version of the Gateway API is installed (condition `SupportedVersion` of a GatewayClass); that "
        "one CRD alone is asked for, by its name",
        required=False,
        minor=True,
        files=False,
        selector=f"metadata.name={CLASS_CRD}",
        remedy="let the API server serve them",
    ),
    Kind(
        name="Node",
        plural="nodes",
        role="reference",
        struct=Node,
        namespaced=False,
        reads="addresses of the nodes that are ready, for Gateways whose Service is of type NodePort; nothing else of "
        "a node is kept",
        minor=True,
        node=False,
    ),
    _provisioned("ServiceAccount", "serviceaccounts", "each data plane's identity", "", "v1"),
    _provisioned("Deployment", "deployments", "each Gateway's pods", "apps", "v1"),
    _provisioned("PodDisruptionBudget", "poddisruptionbudgets", "each Gateway's budget", "policy", "v1"),
    _provisioned(
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "where GatewayParameters ask for one",
        "autoscaling",
        "v2",
    ),
    Kind(
        name="Event",
        group="events.k8s.io",
        plural="events",
        role="own",
        permissions=(
            Permission(
                ("create", "patch"),
                "what an operator must know, on the Gateways and routes; patch counts repetitions",
                node=False,
            ),
        ),
    ),
    Kind(
        name="TokenReview",
        group="authentication.k8s.io",
        plural="tokenreviews",
        role="own",
        namespaced=False,
        permissions=(
            Permission(("create",), "a data plane shows its ServiceAccount's token on the config stream", node=False),
        ),
    ),
    Kind(
        name="Lease",
        group="coordination.k8s.io",
        plural="leases",
        role="own",
        permissions=(
            Permission(("create",), "one writer at a time (`create` cannot be limited to a name)", own=True),
            Permission(("get", "update", "patch"), "renew the Lease and give it back", names=(LEASE,), own=True),
        ),
    ),
)

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in TABLE}


def of_role(*roles: Role) -> tuple[str, ...]:
    """Names of the kinds that are something to us."""
    return tuple(kind.name for kind in TABLE if kind.role in roles)


#: Kinds whose objects become structs: what the store and a snapshot hold.
READ_KINDS = tuple(kind.name for kind in TABLE if kind.struct is not None)
ROUTE_KINDS = of_role("route")
#: Kinds that routes attach to.
PARENT_KINDS = frozenset(kind.name for kind in TABLE if kind.counted)
#: Kinds whose status we write.
STATUS_KINDS = frozenset(kind.name for kind in TABLE if kind.status)
#: Kinds of what is made for Gateways.
PROVISIONED_KINDS = frozenset(kind.name for kind in TABLE if kind.provisions)
CLUSTER_SCOPED = frozenset(kind.name for kind in TABLE if not kind.namespaced)
