"""GatewayParameters: are they usable, and with which defaults.

The schema (`deploy/crds/gatewayparameters.yaml`) refuses most of what is wrong; an object may be older than the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..model import GatewayParametersSpec
from ..model.parameters import PER_GATEWAY, SHARED

#: Defaults of a data plane; the settings of a proxy are those of the engine.
DEFAULT_DRAIN, DEFAULT_SETTLE = 60, 5
MAX_DRAIN, MAX_SETTLE = 3_600, 600
#: Seconds between the end of the drain and the kill.
GRACE = 5
MAX_REPLICAS = 1_000
MAX_WORKERS = 256
SERVICE_TYPES = ("LoadBalancer", "ClusterIP", "NodePort")
_COUNT, _SHORT, _LONG = (1, 100_000), (1, 3_600_000), (1, 86_400_000)
_WINDOW = (65_535, 2**31 - 1)
#: What `proxy.engine` may name, with its bounds: those of `sluicegate.settings.EngineLimits`.
ENGINE_BOUNDS: dict[str, tuple[int, int]] = {
    "max_connections": (1, 1_000_000),
    "max_head_bytes": (1_024, 1_048_576),
    "head_timeout_ms": _SHORT,
    "idle_timeout_ms": _LONG,
    "stall_timeout_ms": _LONG,
    "handshake_timeout_ms": _SHORT,
    "http2_max_streams": _COUNT,
    "http2_stream_window": _WINDOW,
    "http2_connection_window": _WINDOW,
    "upstream_connect_timeout_ms": _SHORT,
    "upstream_idle_timeout_ms": _LONG,
    "upstream_idle_per_endpoint": (0, 100_000),
    "l4_idle_timeout_ms": _LONG,
    "udp_idle_timeout_ms": _LONG,
    "udp_max_sessions": (1, 1_000_000),
}
ENGINE_SETTINGS = frozenset({*ENGINE_BOUNDS, "trusted_proxies"})

Fault = tuple[str, str]


def faults(spec: GatewayParametersSpec) -> Iterator[Fault]:
    """What is wrong with parameters: field and reason."""
    if spec.mode not in {None, PER_GATEWAY, SHARED}:
        yield "spec.mode", f"{spec.mode!r} is neither {PER_GATEWAY} nor {SHARED}"
    yield from _between("spec.deployment.replicas", spec.deployment.replicas, 0, MAX_REPLICAS)
    yield from _service_faults(spec)
    yield from _autoscaling_faults(spec)
    budget = spec.disruption_budget
    if budget.min_available is not None and budget.max_unavailable is not None:
        yield "spec.disruptionBudget", "minAvailable and maxUnavailable exclude each other"
    yield from _between("spec.proxy.workers", spec.proxy.workers, 0, MAX_WORKERS)
    yield from _between("spec.proxy.drainSeconds", spec.proxy.drain_seconds, 0, MAX_DRAIN)
    yield from _between("spec.proxy.settleSeconds", spec.proxy.settle_seconds, 0, MAX_SETTLE)
    for name, value in (spec.proxy.engine or {}).items():
        if name not in ENGINE_SETTINGS:
            known = ", ".join(sorted(ENGINE_SETTINGS))
            yield f"spec.proxy.engine.{name}", f"no setting of the engine has this name; there are {known}"
        elif not _is_setting(name, value):
            wanted = "a list of networks"
            if name in ENGINE_BOUNDS:
                wanted = "a whole number from {} to {}".format(*ENGINE_BOUNDS[name])
            yield f"spec.proxy.engine.{name}", f"{value!r} is not {wanted}"


def _service_faults(spec: GatewayParametersSpec) -> Iterator[Fault]:
    service = spec.service
    if service.type not in {None, *SERVICE_TYPES}:
        yield "spec.service.type", f"{service.type!r} is none of {', '.join(SERVICE_TYPES)}"
    if service.type == "ClusterIP" and service.external_traffic_policy is not None:
        yield "spec.service.externalTrafficPolicy", "a Service of type ClusterIP has none"


def _autoscaling_faults(spec: GatewayParametersSpec) -> Iterator[Fault]:
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


def _between(field: str, value: int | None, low: int, high: int) -> Iterator[Fault]:
    if value is not None and not low <= value <= high:
        yield field, f"{value} is not between {low} and {high}"


def _is_setting(name: str, value: Any) -> bool:  # noqa: ANN401 (whatever the object holds)
    if name == "trusted_proxies":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    least, most = ENGINE_BOUNDS[name]
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
