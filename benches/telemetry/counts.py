"""Instructions of a request in the native library by how it is traced: the same on a machine that others use.

The kernel, which has more than half of a request's time, is not in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benches.instructions import callgrind
from benches.instructions.count import count_step
from benches.instructions.steps import STEPS, Step
from sluicegate import _native

_GROUP = "gateway.networking.k8s.io"
_METADATA = {"name": "collector", "namespace": "default"}
#: Per cent that are sampled, by what is counted; None: mode Disabled.
_RATES: Mapping[str, int | None] = {"disabled": None, "context": 0, "all": 100}


def counted() -> dict[str, float]:
    """Instructions of one request; empty where there is no valgrind.

    Returns:
        Without a policy (`none`), with mode Disabled (`disabled`), of one that is not sampled (`context`), of one that
        is (`all`), and what follows from both for 1 % (`hundredth`).
    """
    if callgrind.missing():
        return {}
    library = Path(_native.__file__)
    found = {"none": count_step(STEPS["plain"], library)}
    found |= {name: count_step(step(rate), library) for name, rate in _RATES.items()}
    found["hundredth"] = found["context"] + (found["all"] - found["context"]) / 100
    return {name: round(found[name], 1) for name in ("none", "disabled", "context", "hundredth", "all")}


def step(rate: int | None) -> Step:
    """What is added to a Gateway without policies."""
    tracing: dict[str, Any] = {"mode": "Disabled"}
    if rate is not None:
        sampling = {"numerator": rate, "denominator": 100}
        provider = {"backendRef": {"name": "collector", "port": 4318}}
        tracing = {"mode": "Enabled", "provider": provider, "samplingRate": sampling}
    targets = [{"group": _GROUP, "kind": "Gateway", "name": "app"}]
    policy = {
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XTelemetryPolicy",
        "metadata": {"name": "traces", "namespace": "default"},
        "spec": {"targetRefs": targets, "tracing": tracing},
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": _METADATA, "spec": {"ports": [{"port": 4318}]}}
    # Where it is, is replaced by where the backend is, which takes spans as it takes anything.
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_METADATA, "labels": {"kubernetes.io/service-name": "collector"}},
        "addressType": "IPv4",
        "ports": [{"port": 4318}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }
    return Step("", lambda: [policy, service, slice_])
