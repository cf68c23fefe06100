"""ClientPolicy (`sluicegate.dev/v1alpha1`): how clients are spoken to, and what they may send.

The published schema, with what each field means, is `deploy/crds/clientpolicy.yaml`.
"""

from __future__ import annotations

import msgspec

from .meta import Model, Object
from .policy import PolicySpec, PolicyStanza
from .route import BackendReference
from .telemetry_policy import HTTPHeader


class ClientAddress(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.clientAddress`.

    Attributes:
        trusted_proxies: CIDR blocks.
        proxy_protocol: Disabled, Optional or Required.
    """

    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: str = "Disabled"


class ClientTls(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.tls`: `1.2` or `1.3`, cipher suites of 1.2; empty: whatever the gateway knows."""

    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()


class ClientCertificate(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.clientCertificate`; `fields`: of Hash, Cert, Subject, URI and DNS."""

    header: str = "X-Forwarded-Client-Cert"
    fields: tuple[str, ...] = ("Hash", "Subject", "URI", "DNS")


class ClientConnections(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.connections`; None: what the engine's settings say."""

    max: int | None = None
    max_duration: str | None = None
    max_requests: int | None = None


class ClientTimeouts(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.timeouts`; None: what the engine's settings say."""

    head: str | None = None
    idle: str | None = None
    request: str | None = None


class ClientHeaders(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.headers`.

    Attributes:
        max_size: a quantity, such as `16Ki`; None: what the engine's settings say.
        max_count: of fields; None: what the engine's settings say.
        underscores: Keep, Drop or Reject.
    """

    max_size: str | int | None = None
    max_count: int | None = None
    underscores: str = "Keep"


class ClientHttp2(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.http2`."""

    max_concurrent_streams: int = 0


class ClientBody(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.body`; `max_size`: a quantity, such as `10Mi`; None: what is set above, or in the engine."""

    max_size: str | int | None = None
    timeout: str | None = None


class LogSample(Model, frozen=True, kw_only=True):
    """`ClientPolicy.spec.accessLog.sample`: so many of so many."""

    numerator: int = 0
    denominator: int = 100


class LogCollector(Model, frozen=True, kw_only=True):
    """`ClientPolicy.spec.accessLog.collector`: who takes lines by OTLP, and fields of each request to it."""

    backend_ref: BackendReference
    headers: tuple[HTTPHeader, ...] = ()


class ClientAccessLog(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.accessLog`; `mode`: All, Errors or Disabled, which here says that there are no lines."""

    mode: str = "All"
    sample: LogSample | None = None
    collector: LogCollector | None = None


class ClientTracing(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.tracing`; `propagation`: of B3 and B3Multi."""

    propagation: tuple[str, ...] = ()


class ClientPolicySpec(PolicySpec, frozen=True, kw_only=True):
    """`ClientPolicy.spec`."""

    client_address: ClientAddress | None = None
    tls: ClientTls | None = None
    client_certificate: ClientCertificate | None = None
    connections: ClientConnections | None = None
    timeouts: ClientTimeouts | None = None
    headers: ClientHeaders | None = None
    http2: ClientHttp2 | None = None
    body: ClientBody | None = None
    access_log: ClientAccessLog | None = None
    tracing: ClientTracing | None = None


class ClientPolicy(Object, frozen=True, kw_only=True):
    """How clients are spoken to, and what they may send."""

    spec: ClientPolicySpec = msgspec.field(default_factory=ClientPolicySpec)
