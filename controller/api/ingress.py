"""Ingress and IngressClass (`networking.k8s.io`): what a migration reads; the gateway itself does not watch them.

`v1` and the two beta versions before it are read into one struct: where a beta has another field, both are here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .core import Secret, Service
from .kind import Kind
from .meta import Model, Object

NETWORKING_GROUP = "networking.k8s.io"


class ServiceBackendPort(Model, frozen=True, kw_only=True):
    """`ServiceBackendPort`: a name or a number."""

    name: str = ""
    number: int = 0


class IngressServiceBackend(Model, frozen=True, kw_only=True):
    """`IngressServiceBackend`."""

    name: str = ""
    port: ServiceBackendPort = ServiceBackendPort()


class IngressResource(Model, frozen=True, kw_only=True):
    """`TypedLocalObjectReference`."""

    api_group: str = ""
    kind: str = ""
    name: str = ""


class IngressBackend(Model, frozen=True, kw_only=True):
    """`IngressBackend`; `service_name` and `service_port` are those of the beta versions."""

    service: IngressServiceBackend | None = None
    resource: IngressResource | None = None
    service_name: str = ""
    service_port: int | str = 0

    def of_service(self) -> IngressServiceBackend | None:
        """The Service that is meant, however it is written; None: there is none."""
        if self.service is not None or not self.service_name:
            return self.service
        port = self.service_port
        written = port if isinstance(port, int) else int(port) if port.isdigit() else 0
        named = port if isinstance(port, str) and not written else ""
        return IngressServiceBackend(name=self.service_name, port=ServiceBackendPort(name=named, number=written))


class HTTPIngressPath(Model, frozen=True, kw_only=True):
    """`HTTPIngressPath`; the beta versions may leave the type out."""

    path: str = ""
    path_type: str = ""
    backend: IngressBackend = IngressBackend()


class HTTPIngressRuleValue(Model, frozen=True, kw_only=True):
    """`HTTPIngressRuleValue`."""

    paths: tuple[HTTPIngressPath, ...] = ()


class IngressRule(Model, frozen=True, kw_only=True):
    """`IngressRule`; an empty host means all."""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Model, frozen=True, kw_only=True):
    """`IngressTLS`."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Model, frozen=True, kw_only=True):
    """`Ingress.spec`; `backend` is the default backend of the beta versions."""

    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    backend: IngressBackend | None = None
    tls: tuple[IngressTLS, ...] = ()
    rules: tuple[IngressRule, ...] = ()


class Ingress(Object, frozen=True, kw_only=True):
    """Rules by host and path, and what annotations add to them."""

    spec: IngressSpec = IngressSpec()

    @property
    def default_backend(self) -> IngressServiceBackend | None:
        """The Service of `spec.defaultBackend`; None: there is none."""
        found = self.spec.default_backend or self.spec.backend
        return found.of_service() if found is not None else None

    @property
    def has_default_backend(self) -> bool:
        """Whether `spec.defaultBackend` is written, be it a Service or another resource."""
        return (self.spec.default_backend or self.spec.backend) is not None


class IngressClassSpec(Model, frozen=True, kw_only=True):
    """`IngressClass.spec`."""

    controller: str = ""


class IngressClass(Object, frozen=True, kw_only=True):
    """Says which controller serves the Ingresses of a class."""

    spec: IngressClassSpec = IngressClassSpec()


class TextMap(Object, frozen=True, kw_only=True):
    """A ConfigMap with all of its keys: settings of a controller, header fields of an annotation."""

    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Middleware(Object, frozen=True, kw_only=True):
    """A `Middleware` of Traefik, as it is written: what it does is said by the one key of its `spec`."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)


#: What a migration reads, by kind: apart from `kinds.TABLE`, which is what the gateway may read of a cluster.
INGRESS_KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="Ingress",
            plural="ingresses",
            role="reference",
            group=NETWORKING_GROUP,
            versions=("v1", "v1beta1"),
            struct=Ingress,
            reads="hosts and paths, where Ingresses are served",
            status="the addresses of the Gateway that serves them",
            remedy="let the API server serve them",
        ),
        Kind(
            name="IngressClass",
            plural="ingressclasses",
            role="reference",
            group=NETWORKING_GROUP,
            versions=("v1", "v1beta1"),
            struct=IngressClass,
            namespaced=False,
            reads="which Ingresses are served",
            remedy="let the API server serve them",
        ),
        Kind(name="Service", plural="services", role="reference", struct=Service, naming="label"),
        Kind(name="Secret", plural="secrets", role="reference", struct=Secret),
        Kind(name="ConfigMap", plural="configmaps", role="reference", struct=TextMap),
        Kind(
            name="Middleware",
            plural="middlewares",
            role="reference",
            group="traefik.io",
            versions=("v1alpha1",),
            struct=Middleware,
            reads="what annotations of Traefik name",
            required=False,
            remedy="install the CRDs of Traefik",
        ),
    )
}
#: `Ingress` was in this group before Kubernetes 1.14, with the same fields.
OLD_INGRESS_VERSION = "extensions/v1beta1"
#: What the gateway reads besides its own kinds where Ingresses are served.
SERVED_INGRESS_KINDS: dict[str, Kind] = {
    name: INGRESS_KINDS[name] for name in ("Ingress", "IngressClass", "Middleware")
}


def written_field(document: dict[str, Any], field: str) -> str:
    """A field as a document of this version calls it."""
    is_old = str(document.get("apiVersion", "")).endswith("/v1beta1")
    return field.replace("spec.defaultBackend", "spec.backend", 1) if is_old else field


def as_read(document: dict[str, Any]) -> dict[str, Any]:
    """An Ingress of the group that it was in at first as one of the group that it is in now; all others as they are."""
    if document.get("apiVersion") == OLD_INGRESS_VERSION and document.get("kind") == "Ingress":
        return {**document, "apiVersion": f"{NETWORKING_GROUP}/v1beta1"}
    return document
