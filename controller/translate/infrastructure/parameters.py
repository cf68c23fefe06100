"""GatewayParameters: are they usable, and with which defaults.

The schema (`deploy/crds/gatewayparameters.yaml`) refuses most of what is wrong; an object may be older than the schema.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.engine import limits as engine_limits

from ...api import Diagnostic, GatewayParametersSpec
from ...api.parameters import PER_GATEWAY, SHARED

#: Defaults of a data plane; the settings of a proxy are those of the engine.
DEFAULT_DRAIN, DEFAULT_SETTLE = 60, 5
MAX_DRAIN, MAX_SETTLE = 3_600, 600
#: Seconds between the end of the drain and the kill.
GRACE = 5
MAX_REPLICAS = 1_000
MAX_WORKERS = 256
SERVICE_TYPES = ("LoadBalancer", "ClusterIP", "NodePort")


def unusable(spec: GatewayParametersSpec) -> Iterator[Diagnostic]:
    """What is wrong with parameters, by field."""
    for field, message in _wrong(spec):
        yield Diagnostic(severity="error", field=field, code="invalid-parameters", message=message)


def _wrong(spec: GatewayParametersSpec) -> Iterator[tuple[str, str]]:
    if spec.mode not in {None, PER_GATEWAY, SHARED}:
        yield "spec.mode", f"{spec.mode!r} is neither {PER_GATEWAY} nor {SHARED}"
    yield from _between("spec.deployment.replicas", spec.deployment.replicas, 0, MAX_REPLICAS)
    yield from _wrong_service(spec)
    yield from _wrong_autoscaling(spec)
    budget = spec.disruption_budget
    if budget.min_available is not None and budget.max_unavailable is not None:
        yield "spec.disruptionBudget", "minAvailable and maxUnavailable exclude each other"
    yield from _between("spec.proxy.workers", spec.proxy.workers, 0, MAX_WORKERS)
    yield from _between("spec.proxy.drainSeconds", spec.proxy.drain_seconds, 0, MAX_DRAIN)
    yield from _between("spec.proxy.settleSeconds", spec.proxy.settle_seconds, 0, MAX_SETTLE)
    for name, reason in engine_limits.faults(spec.proxy.engine or {}):
        yield f"spec.proxy.engine.{name}", reason


def _wrong_service(spec: GatewayParametersSpec) -> Iterator[tuple[str, str]]:
    service = spec.service
    if service.type not in {None, *SERVICE_TYPES}:
        yield "spec.service.type", f"{service.type!r} is none of {', '.join(SERVICE_TYPES)}"
    if service.type == "ClusterIP" and service.external_traffic_policy is not None:
        yield "spec.service.externalTrafficPolicy", "a Service of type ClusterIP has none"


def _wrong_autoscaling(spec: GatewayParametersSpec) -> Iterator[tuple[str, str]]:
    scaling = spec.autoscaling
    yield from _between("spec.autoscaling.maxReplicas", scaling.max_replicas, 1, MAX_REPLICAS)
    yield from _between("spec.autoscaling.minReplicas", scaling.min_replicas, 1, MAX_REPLICAS)
    if scaling.max_replicas is None:
        if any((scaling.min_replicas, scaling.target_cpu_utilization, scaling.metrics, scaling.behavior)):
            yield "spec.autoscaling.maxReplicas", "missing: without it there is no autoscaling"
    elif (scaling.min_replicas or 1) > scaling.max_replicas:
        yield "spec.autoscaling.minReplicas", f"{scaling.min_replicas} is more than maxReplicas"
    if scaling.metrics and scaling.target_cpu_utilization is not None:
        yield "spec.autoscaling.metrics", "metrics and targetCpuUtilization exclude each other"
    yield from _between("spec.autoscaling.targetCpuUtilization", scaling.target_cpu_utilization, 1, 1_000)


def _between(field: str, value: int | None, low: int, high: int) -> Iterator[tuple[str, str]]:
    if value is not None and not low <= value <= high:
        yield field, f"{value} is not between {low} and {high}"
