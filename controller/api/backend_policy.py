"""BackendPolicy (`sluicegate.dev/v1alpha1`): how the endpoints of a Service are used.

The published schema, with what each field means, is `deploy/crds/backendpolicy.yaml`.
"""

from __future__ import annotations

from .meta import Model, Object
from .policy import PolicyTargetReference


class HashParameters(Model, frozen=True, kw_only=True):
    """`spec.loadBalancing.hash`: parts such as `client` or `header:x-user`; how many endpoints a key has."""

    key: tuple[str, ...] = ()
    subset: int | None = None


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
    stall: str | None = None


class BackendRetries(Model, frozen=True, kw_only=True):
    """`spec.retries`."""

    methods: tuple[str, ...] = ()
    within: str | None = None


class PassiveHealth(Model, frozen=True, kw_only=True):
    """`spec.health.passive`."""

    consecutive_errors: int = 5
    eject_for: str = "30s"
    max_ejected: int = 50


class HttpHealth(Model, frozen=True, kw_only=True):
    """`spec.health.active.http`."""

    path: str = "/"
    host: str = ""
    expected_statuses: tuple[int, ...] = ()


class GrpcHealth(Model, frozen=True, kw_only=True):
    """`spec.health.active.grpc`; an empty service is the server as a whole."""

    service: str = ""


class ActiveHealth(Model, frozen=True, kw_only=True):
    """`spec.health.active`."""

    type: str
    http: HttpHealth | None = None
    grpc: GrpcHealth | None = None
    port: int | None = None
    interval: str = "5s"
    timeout: str = "1s"
    healthy_threshold: int = 1
    unhealthy_threshold: int = 3


class BackendHealth(Model, frozen=True, kw_only=True):
    """`spec.health`."""

    passive: PassiveHealth | None = None
    active: ActiveHealth | None = None
    panic_threshold: int = 50


class BackendKeepalive(Model, frozen=True, kw_only=True):
    """`spec.connection.keepalive`."""

    idle: str = "60s"
    interval: str = "15s"
    probes: int = 4


class BackendConnection(Model, frozen=True, kw_only=True):
    """`spec.connection`; None: any number of requests, and the keepalive of all connections."""

    proxy_protocol: str = ""
    max_requests: int | None = None
    keepalive: BackendKeepalive | None = None


class BackendTlsTerms(Model, frozen=True, kw_only=True):
    """`spec.tls`; empty: what the gateway speaks."""

    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()
    verification: str = "Required"
    server_name: str = "Sent"


class SessionCookie(Model, frozen=True, kw_only=True):
    """`spec.sessionCookie`."""

    domain: str = ""
    same_site: str = "Strict"
    secure: str = "OverTLS"
    http_only: bool = True
    max_age: str | None = None
    on_failure: str = "Move"
    backends: str = "ByWeight"


class BackendPolicySpec(Model, frozen=True, kw_only=True):
    """`BackendPolicy.spec`."""

    target_refs: tuple[PolicyTargetReference, ...] = ()
    load_balancing: LoadBalancing = LoadBalancing()
    limits: BackendLimits = BackendLimits()
    timeouts: BackendTimeouts = BackendTimeouts()
    retries: BackendRetries = BackendRetries()
    health: BackendHealth | None = None
    connection: BackendConnection = BackendConnection()
    tls: BackendTlsTerms = BackendTlsTerms()
    session_cookie: SessionCookie | None = None


class BackendPolicy(Object, frozen=True, kw_only=True):
    """How the endpoints of a Service, or of one of its ports, are used."""

    spec: BackendPolicySpec
