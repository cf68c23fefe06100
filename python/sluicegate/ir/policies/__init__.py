"""Policies: one section for all kinds, told apart by `type`.

Listeners, rules and backends name their policies by id; a policy names nobody that it holds for. So a changed policy is
one resource, however many name it. A kind is a struct in its module, and a member of `Policy`.

Of a kind that is inherited each stanza is a resource of its own, since stanzas are what is merged.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

from .access import (
    AccessApiKey,
    AccessAuthorization,
    AccessBasic,
    AccessCertificate,
    AccessCsrf,
    AccessExempt,
    AccessRule,
    CookieCredential,
    HeaderCredential,
    KeySource,
    NamedValues,
    QueryCredential,
)
from .access_remote import AccessExternal, AccessJwt, ClaimHeader, JwtProvider, RemoteKeys, SignIn, VerdictCache
from .backend import (
    ActiveHealth,
    BackendLimits,
    BackendPolicy,
    BackendTimeouts,
    ClientKey,
    CookieKey,
    GrpcQuestion,
    Hash,
    HeaderKey,
    HealthQuestion,
    HostKey,
    HttpQuestion,
    Keepalive,
    KeyPart,
    LeastRequest,
    LoadBalancing,
    PassiveHealth,
    PeakEwma,
    ProxyProtocol,
    QueryKey,
    Random,
    RoundRobin,
    TcpQuestion,
)
from .backend_tls import BackendTls, HostnameSan, SubjectAltName, UriSan
from .backend_traffic import BackendTraffic, RetryBudget
from .base import Need, PolicyBase, StanzaBase
from .client import (
    AcceptProxy,
    CertificateField,
    ClientAccessLog,
    ClientAddress,
    ClientBody,
    ClientCertificateHeader,
    ClientConnections,
    ClientHeaders,
    ClientHttp2,
    ClientTimeouts,
    ClientTls,
    LogLines,
    LogSample,
    Underscores,
)
from .external import ExternalAuth, ExternalProtocol, ExternalService
from .filter import (
    ErrorPage,
    ErrorsOf,
    FaultAbort,
    FaultDelay,
    FilterBuffer,
    FilterCredential,
    FilterErrorPages,
    FilterFault,
    PageBody,
    PageContent,
    PageService,
    StatusRange,
)
from .rate_limit import (
    CelLimitKey,
    ClaimLimitKey,
    ClientLimitKey,
    HeaderLimitKey,
    HostLimitKey,
    RateLimit,
    RateLimitKey,
    RateLimits,
    RateLimitScope,
    UserLimitKey,
)
from .session_cookie import CookieSecure, SameSite, SessionCookieAttributes
from .telemetry import (
    AttributeSpanSource,
    ClientTracing,
    FilterTelemetry,
    HeaderSpanSource,
    LiteralSpanSource,
    OtlpCollector,
    OtlpProtocol,
    SpanAttribute,
    TelemetryTracing,
    TraceFormat,
)
from .tls_versions import CipherSuite, TlsVersion, TlsVersions

__all__ = [
    "RANKS",
    "AcceptProxy",
    "AccessApiKey",
    "AccessAuthorization",
    "AccessBasic",
    "AccessCertificate",
    "AccessCsrf",
    "AccessExempt",
    "AccessExternal",
    "AccessJwt",
    "AccessRule",
    "ActiveHealth",
    "AttributeSpanSource",
    "BackendLimits",
    "BackendPolicy",
    "BackendTimeouts",
    "BackendTls",
    "BackendTraffic",
    "CelLimitKey",
    "CertificateField",
    "CipherSuite",
    "ClaimHeader",
    "ClaimLimitKey",
    "ClientAccessLog",
    "ClientAddress",
    "ClientBody",
    "ClientCertificateHeader",
    "ClientConnections",
    "ClientHeaders",
    "ClientHttp2",
    "ClientKey",
    "ClientLimitKey",
    "ClientTimeouts",
    "ClientTls",
    "ClientTracing",
    "CookieCredential",
    "CookieKey",
    "CookieSecure",
    "ErrorPage",
    "ErrorsOf",
    "ExternalAuth",
    "ExternalProtocol",
    "ExternalService",
    "FaultAbort",
    "FaultDelay",
    "FilterBuffer",
    "FilterCredential",
    "FilterErrorPages",
    "FilterFault",
    "FilterTelemetry",
    "GrpcQuestion",
    "Hash",
    "HeaderCredential",
    "HeaderKey",
    "HeaderLimitKey",
    "HeaderSpanSource",
    "HealthQuestion",
    "HostKey",
    "HostLimitKey",
    "HostnameSan",
    "HttpQuestion",
    "JwtProvider",
    "Keepalive",
    "KeyPart",
    "KeySource",
    "LeastRequest",
    "LiteralSpanSource",
    "LoadBalancing",
    "LogLines",
    "LogSample",
    "NamedValues",
    "Need",
    "OtlpCollector",
    "OtlpProtocol",
    "PageBody",
    "PageContent",
    "PageService",
    "PassiveHealth",
    "PeakEwma",
    "Policy",
    "PolicyBase",
    "ProxyProtocol",
    "QueryCredential",
    "QueryKey",
    "Random",
    "RateLimit",
    "RateLimitKey",
    "RateLimitScope",
    "RateLimits",
    "RemoteKeys",
    "RetryBudget",
    "RoundRobin",
    "SameSite",
    "SessionCookieAttributes",
    "SignIn",
    "SpanAttribute",
    "StanzaBase",
    "StatusRange",
    "SubjectAltName",
    "TcpQuestion",
    "TelemetryTracing",
    "TlsVersion",
    "TlsVersions",
    "TraceFormat",
    "Underscores",
    "UriSan",
    "UserLimitKey",
    "VerdictCache",
]

#: In the order in which they act, as `policies!` of `native/route/src/ir/policies/mod.rs` has them.
Policy: TypeAlias = (
    BackendTls
    | BackendPolicy
    | BackendTraffic
    | ClientAddress
    | ClientTls
    | ClientCertificateHeader
    | ClientConnections
    | ClientTimeouts
    | ClientHeaders
    | ClientHttp2
    | ClientBody
    | ClientAccessLog
    | ClientTracing
    | RateLimits
    | AccessExempt
    | AccessCertificate
    | AccessApiKey
    | AccessJwt
    | AccessBasic
    | AccessCsrf
    | AccessAuthorization
    | AccessExternal
    | ExternalAuth
    | FilterFault
    | FilterCredential
    | FilterBuffer
    | FilterErrorPages
    | FilterTelemetry
    | TelemetryTracing
)

#: Place of each kind among them.
RANKS: dict[type, int] = {kind: rank for rank, kind in enumerate(get_args(Policy))}
