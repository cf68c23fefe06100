"""GatewayClass, Gateway and ListenerSet (`gateway.networking.k8s.io`)."""

from __future__ import annotations

import msgspec

from .meta import GATEWAY_GROUP, LabelSelector, Model, Object
from .policy import LocalObjectReference
from .route import ExternalAuthFilter


class ParametersReference(Model, frozen=True, kw_only=True):
    """`parametersRef` of a GatewayClass or of `Gateway.spec.infrastructure`."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""


class GatewayClassSpec(Model, frozen=True, kw_only=True):
    """`GatewayClass.spec`."""

    controller_name: str
    parameters_ref: ParametersReference | None = None


class GatewayClass(Object, frozen=True, kw_only=True):
    """A template of Gateways that one controller serves."""

    spec: GatewayClassSpec


class RouteGroupKind(Model, frozen=True, kw_only=True):
    """One of `allowedRoutes.kinds[]`."""

    kind: str
    group: str = GATEWAY_GROUP


class RouteNamespaces(Model, frozen=True, kw_only=True):
    """`allowedRoutes.namespaces`."""

    from_: str = msgspec.field(name="from", default="Same")
    selector: LabelSelector | None = None


class AllowedRoutes(Model, frozen=True, kw_only=True):
    """`listeners[].allowedRoutes`."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteGroupKind, ...] = ()


class SecretReference(Model, frozen=True, kw_only=True):
    """`SecretObjectReference`; without namespace it is the referrer's."""

    name: str
    group: str = ""
    kind: str = "Secret"
    namespace: str | None = None


class ObjectReference(Model, frozen=True, kw_only=True):
    """`ObjectReference`; without namespace it is the referrer's."""

    group: str
    kind: str
    name: str
    namespace: str | None = None


class ListenerTLS(Model, frozen=True, kw_only=True):
    """`listeners[].tls`."""

    mode: str = "Terminate"
    certificate_refs: tuple[SecretReference, ...] = ()
    options: dict[str, str] = msgspec.field(default_factory=dict)


class ListenerFilter(Model, frozen=True, kw_only=True):
    """`listeners[].filters.requests[]`. Of other types only the type is read: they are not supported."""

    type: str
    extension_ref: LocalObjectReference | None = None
    external_auth: ExternalAuthFilter | None = None


class ListenerFilters(Model, frozen=True, kw_only=True):
    """`listeners[].filters` (GEP-5224)."""

    requests: tuple[ListenerFilter, ...] = ()


class Listener(Model, frozen=True, kw_only=True):
    """`Gateway.spec.listeners[]` and `ListenerSet.spec.listeners[]`."""

    name: str
    port: int
    protocol: str
    hostname: str = ""
    tls: ListenerTLS | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()
    filters: ListenerFilters | None = None


class GatewayAddress(Model, frozen=True, kw_only=True):
    """`Gateway.spec.addresses[]`."""

    type: str = "IPAddress"
    value: str = ""
    routability: str = ""


class FrontendValidation(Model, frozen=True, kw_only=True):
    """`FrontendTLSValidation`: which client certificates are accepted."""

    ca_certificate_refs: tuple[ObjectReference, ...]
    mode: str = "AllowValidOnly"


class TLSConfig(Model, frozen=True, kw_only=True):
    """`TLSConfig`: the part of `spec.tls.frontend` that applies to a listener."""

    validation: FrontendValidation | None = None


class TLSPortConfig(Model, frozen=True, kw_only=True):
    """`spec.tls.frontend.perPort[]`."""

    port: int
    tls: TLSConfig = TLSConfig()


class FrontendTLS(Model, frozen=True, kw_only=True):
    """`spec.tls.frontend`."""

    default: TLSConfig = TLSConfig()
    per_port: tuple[TLSPortConfig, ...] = ()


class BackendTLS(Model, frozen=True, kw_only=True):
    """`spec.tls.backend`."""

    client_certificate_ref: SecretReference | None = None


class GatewayTLS(Model, frozen=True, kw_only=True):
    """`spec.tls`."""

    backend: BackendTLS | None = None
    frontend: FrontendTLS | None = None


class AllowedListenersNamespaces(Model, frozen=True, kw_only=True):
    """`spec.allowedListeners.namespaces`."""

    from_: str = msgspec.field(name="from", default="None")
    selector: LabelSelector | None = None


class AllowedListeners(Model, frozen=True, kw_only=True):
    """`spec.allowedListeners`: which ListenerSets may attach; none by default."""

    namespaces: AllowedListenersNamespaces = AllowedListenersNamespaces()


class GatewayInfrastructure(Model, frozen=True, kw_only=True):
    """`spec.infrastructure`."""

    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    parameters_ref: ParametersReference | None = None


class GatewaySpec(Model, frozen=True, kw_only=True):
    """`Gateway.spec`."""

    gateway_class_name: str
    listeners: tuple[Listener, ...] = ()
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners = AllowedListeners()
    tls: GatewayTLS = GatewayTLS()
    default_scope: str = "None"


class GatewayStatusAddress(Model, frozen=True, kw_only=True):
    """`Gateway.status.addresses[]`."""

    value: str = ""


class GatewayStatus(Model, frozen=True, kw_only=True):
    """`Gateway.status`: read for the address that a pool gave before (`translate.pool`)."""

    addresses: tuple[GatewayStatusAddress, ...] = ()


class Gateway(Object, frozen=True, kw_only=True):
    """Listeners and their addresses."""

    spec: GatewaySpec
    status: GatewayStatus = GatewayStatus()


class ParentGatewayReference(Model, frozen=True, kw_only=True):
    """`ListenerSet.spec.parentRef`."""

    name: str
    group: str = GATEWAY_GROUP
    kind: str = "Gateway"
    namespace: str | None = None


class ListenerSetSpec(Model, frozen=True, kw_only=True):
    """`ListenerSet.spec`."""

    parent_ref: ParentGatewayReference
    listeners: tuple[Listener, ...] = ()


class ListenerSet(Object, frozen=True, kw_only=True):
    """More listeners for a Gateway, owned by somebody else (GEP-1713)."""

    spec: ListenerSetSpec
