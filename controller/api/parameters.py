"""GatewayParameters (`sluicegate.dev/v1alpha1`): how the data plane of a Gateway is provisioned.

Linked by `parametersRef` of a GatewayClass, of a Gateway (`spec.infrastructure`), or both: what the Gateway's says
wins field by field. The published schema is `deploy/crds/gatewayparameters.yaml`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from .meta import Model, Object

#: `mode`: a Deployment for each Gateway, or one for all Gateways of a class.
PER_GATEWAY, SHARED = "PerGateway", "Shared"

_M = TypeVar("_M", bound=Model)


class DeploymentParameters(Model, frozen=True, kw_only=True):
    """`spec.deployment`; unset fields are the class's, then Sluicegate's defaults.

    What Kubernetes types say is passed on as it is written.
    """

    replicas: int | None = None
    image: str | None = None
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[dict[str, Any], ...] | None = None
    resources: dict[str, Any] | None = None
    affinity: dict[str, Any] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    node_selector: dict[str, str] | None = None
    topology_spread_constraints: tuple[dict[str, Any], ...] | None = None
    priority_class_name: str | None = None
    pod_labels: dict[str, str] | None = None
    pod_annotations: dict[str, str] | None = None


class ServiceParameters(Model, frozen=True, kw_only=True):
    """`spec.service`."""

    type: str | None = None
    annotations: dict[str, str] | None = None
    load_balancer_class: str | None = None
    load_balancer_source_ranges: tuple[str, ...] | None = None
    external_traffic_policy: str | None = None
    ip_family_policy: str | None = None


class AutoscalingParameters(Model, frozen=True, kw_only=True):
    """`spec.autoscaling`: a HorizontalPodAutoscaler (autoscaling/v2) where `maxReplicas` is given."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    target_cpu_utilization: int | None = None
    metrics: tuple[dict[str, Any], ...] | None = None
    behavior: dict[str, Any] | None = None


class DisruptionParameters(Model, frozen=True, kw_only=True):
    """`spec.disruptionBudget`: a count or a percentage; `maxUnavailable: 1` where neither is given."""

    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class ProxyParameters(Model, frozen=True, kw_only=True):
    """`spec.proxy`: settings of the data plane.

    Attributes:
        workers: threads; unset: as many as cores may be used.
        access_log: JSON lines on standard output.
        drain_seconds: for open requests, after a pod is told to end.
        settle_seconds: new connections are still taken for so long after that, until no balancer sends any.
        engine: further settings of the engine, by name.
    """

    workers: int | None = None
    access_log: bool | None = None
    drain_seconds: int | None = None
    settle_seconds: int | None = None
    engine: dict[str, Any] | None = None


class GatewayParametersSpec(Model, frozen=True, kw_only=True):
    """`GatewayParameters.spec`; `mode` counts only where a GatewayClass links to it."""

    mode: str | None = None
    deployment: DeploymentParameters = DeploymentParameters()
    service: ServiceParameters = ServiceParameters()
    autoscaling: AutoscalingParameters = AutoscalingParameters()
    disruption_budget: DisruptionParameters = DisruptionParameters()
    proxy: ProxyParameters = ProxyParameters()


class GatewayParameters(Object, frozen=True, kw_only=True):
    """How the data plane of a Gateway, or of the Gateways of a class, is provisioned."""

    spec: GatewayParametersSpec = GatewayParametersSpec()


def merged(base: GatewayParametersSpec, over: GatewayParametersSpec) -> GatewayParametersSpec:
    """The parameters of a Gateway over those of its class: a field that is set wins, whole."""
    return GatewayParametersSpec(
        mode=base.mode,
        deployment=_over(base.deployment, over.deployment),
        service=_over(base.service, over.service),
        autoscaling=_over(base.autoscaling, over.autoscaling),
        disruption_budget=_over(base.disruption_budget, over.disruption_budget),
        proxy=_over(base.proxy, over.proxy),
    )


def _over(base: _M, over: _M) -> _M:
    given = {name: value for name in over.__struct_fields__ if (value := getattr(over, name)) is not None}
    return msgspec.structs.replace(base, **given)
