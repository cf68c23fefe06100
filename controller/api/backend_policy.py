"""BackendPolicy (`sluicegate.dev/v1alpha1`): how the endpoints of a Service are used.

The published schema, with what each field means, is `deploy/crds/backendpolicy.yaml`.
"""

from __future__ import annotations

from .meta import Model, Object
from .policy import PolicyTargetReference


class HashParameters(Model, frozen=True, kw_only=True):
    """`spec.loadBalancing.hash`: parts such as `client` or `header:x-user`."""

    key: tuple[str, ...] = ()


class LoadBalancing(Model, frozen=True, kw_only=True):
    """`spec.loadBalancing`."""

    type: str = "LeastRequest"
    hash: HashParameters | None = None
    slow_start: str | None = None


class BackendLimits(Model, frozen=True, kw_only=True):
    """`spec.limits`; None: any number."""

    connections: int | None = None
    requests: int | None = None
    pending: int | None = None


class BackendTimeouts(Model, frozen=True, kw_only=True):
    """`spec.timeouts`; None: what the engine's settings say."""

    connect: str | None = None
    idle: str | None = None
    first_byte: str | None = None


class BackendRetries(Model, frozen=True, kw_only=True):
    """`spec.retries`."""

    methods: tuple[str, ...] = ()


class PassiveHealth(Model, frozen=True, kw_only=True):
    """`spec.health.passive`."""

    consecutive_errors: int = 5
    eject_for: str = "30s"
    max_ejected: int = 50


class BackendHealth(Model, frozen=True, kw_only=True):
    """`spec.health`."""

    passive: PassiveHealth | None = None
    panic_threshold: int = 50


class BackendConnection(Model, frozen=True, kw_only=True):
    """`spec.connection`."""

    proxy_protocol: str = ""


class BackendPolicySpec(Model, frozen=True, kw_only=True):
    """`BackendPolicy.spec`."""

    target_refs: tuple[PolicyTargetReference, ...] = ()
    load_balancing: LoadBalancing = LoadBalancing()
    limits: BackendLimits = BackendLimits()
    timeouts: BackendTimeouts = BackendTimeouts()
    retries: BackendRetries = BackendRetries()
    health: BackendHealth | None = None
    connection: BackendConnection = BackendConnection()


class BackendPolicy(Object, frozen=True, kw_only=True):
    """How the endpoints of a Service, or of one of its ports, are used."""

    spec: BackendPolicySpec
