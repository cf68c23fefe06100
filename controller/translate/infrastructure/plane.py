"""What is planned and from what: `PlaneRequest` in, `DataPlane` out.

A data plane is one Deployment with what belongs to it. It serves one Gateway, in that Gateway's namespace (GEP-1762),
or in the shared mode all Gateways of a class, in the controller's namespace; each Gateway has a Service of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...api import GatewayParametersSpec, ObjectKey

#: A Kubernetes object as JSON has it.
Manifest = dict[str, Any]

MANAGER = "sluicegate"
#: Labels of what is provisioned. The first two: GEP-1762.
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
CLASS_LABEL = "gateway.networking.k8s.io/gateway-class-name"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
#: Names the Deployment that an object belongs to, in the same namespace.
PLANE_LABEL = "app.kubernetes.io/instance"
#: `app.kubernetes.io/component` of the pods.
COMPONENT = "gateway"
#: The controller that an object belongs to; a label cannot hold its `/`.
CONTROLLER_ANNOTATION = "sluicegate.dev/controller-name"
#: A digest of the manifest that was applied, so that a field that is no longer wanted is seen.
DIGEST_ANNOTATION = "sluicegate.dev/manifest"
#: A digest of the settings, in the pod template: other settings are other pods.
SETTINGS_ANNOTATION = "sluicegate.dev/settings"

#: Port of `/healthz`, `/readyz` and `/metrics` in a data-plane pod.
ADMIN_PORT = 19000


@dataclass(frozen=True, slots=True)
class ProvisionOptions:
    """Settings of provisioning, the same for all Gateways.

    Attributes:
        namespace: the controller's own: of shared data planes, and of the Secret with its CA.
        image: of data-plane pods.
        image_pull_policy: `Always`, `IfNotPresent`, `Never`; empty: as Kubernetes thinks.
        stream: `host:port` of the controller's config stream, as pods dial it.
        authority: name of the Secret whose `ca.crt` data planes trust the controller by; empty: none is waited for.
    """

    namespace: str = "sluicegate-system"
    image: str = "sluicegate"
    image_pull_policy: str = ""
    stream: str = "sluicegate-controller.sluicegate-system.svc:18000"
    authority: str = "sluicegate-controller-ca"


@dataclass(frozen=True, slots=True, order=True)
class PlanePort:
    """A port of a Gateway: `port` of the Service leads to `target` of the pods. `transport` is `TCP` or `UDP`."""

    transport: str
    port: int
    target: int


@dataclass(frozen=True, slots=True)
class ClusterAddresses:
    """Addresses of routability `Cluster` that a Gateway asks for: those of its Service within the cluster.

    Attributes:
        values: static ones.
        only: it asks for no others, so nothing outside of the cluster may reach it.
    """

    values: tuple[str, ...]
    only: bool


@dataclass(frozen=True, slots=True)
class PlaneGateway:
    """A Gateway as its data plane sees it.

    Attributes:
        key: the Gateway.
        uid: of the Gateway: its owner references carry it.
        service: name of its Service.
        ports: sorted; one for each transport and port of its listeners.
        addresses: static addresses that it asks for (`spec.addresses`).
        cluster: what it asks for of routability `Cluster`; None: nothing.
        labels, annotations: `spec.infrastructure`.
        parameters: its own over the class's; of a Gateway in a shared data plane only those of the Service count.
        kept: its Service stays as it is, because something about the Gateway is wrong (shared mode).
    """

    key: ObjectKey
    uid: str
    service: str
    ports: tuple[PlanePort, ...]
    addresses: tuple[str, ...] = ()
    cluster: ClusterAddresses | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    parameters: GatewayParametersSpec = field(default_factory=GatewayParametersSpec)
    kept: bool = False


@dataclass(frozen=True, slots=True)
class PlaneRequest:
    """All that a plan depends on, besides options; equal requests have equal plans.

    Attributes:
        namespace, name: of the Deployment and its ServiceAccount.
        controller_name: whose it is.
        class_name: GatewayClass of the Gateways.
        shared: serves all Gateways of the class.
        gateways: those that it serves; exactly one where not shared.
        parameters: of the Deployment: the Gateway's over the class's, or where shared the class's alone.
        trust: PEM of the CA certificates that the controller's server is verified with.
        kept: nothing can be planned now (bad parameters, no usable listener): what is there stays as it is.
    """

    namespace: str
    name: str
    controller_name: str
    class_name: str
    shared: bool
    gateways: tuple[PlaneGateway, ...]
    parameters: GatewayParametersSpec = field(default_factory=GatewayParametersSpec)
    trust: str = ""
    kept: bool = False

    @property
    def key(self) -> str:
        """`namespace/name`: what a pod's token names."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class DataPlane:
    """One Deployment with what belongs to it.

    Attributes:
        namespace, name: of the Deployment; its ServiceAccount has the same name.
        gateways: the Gateways that it serves.
        objects: what is applied, in this order: ServiceAccount, ConfigMap, Services, Deployment, PodDisruptionBudget,
            HorizontalPodAutoscaler.
        kept: the objects that are there stay as they are, and its pods are still served.
        services: the Gateway of each Service.
        retained: objects that stay as they are where they are there, although the rest is applied.
    """

    namespace: str
    name: str
    gateways: tuple[ObjectKey, ...]
    objects: tuple[Manifest, ...] = ()
    kept: bool = False
    services: Mapping[ObjectKey, ObjectKey] = field(default_factory=dict)
    retained: frozenset[ObjectKey] = frozenset()

    @property
    def key(self) -> str:
        """`namespace/name`: what a pod's token names."""
        return f"{self.namespace}/{self.name}"


def controller_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """Name of the controller that made an object with these labels and annotations; empty: not one of ours."""
    return annotations.get(CONTROLLER_ANNOTATION, "") if labels.get(MANAGED_LABEL) == MANAGER else ""


def key_of(manifest: Manifest) -> ObjectKey:
    """Key of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return ObjectKey(manifest["kind"], metadata.get("namespace", ""), metadata["name"])
