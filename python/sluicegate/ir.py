"""The intermediate representation: what the control plane sends and the engine compiles.

The mirror of `native/core/src/ir`, field by field; `tests/parity/test_ir.py` holds the two together.
Rules of the format:

- A `Transaction` is JSON, UTF-8: flat lists of small resources, each with an `id` unique within its kind. A resource
  points up by id (a rule to its listeners, an endpoint to its backend), so one changed object is one small resource.
- `full: true` replaces the whole state; otherwise `remove` and then `upsert` are applied to the state before.
- An unknown field or version refuses the whole transaction. What a default says is left out of the JSON.
- Secrets travel in a section of their own; `redacted` takes them out, everything else can be shown.

All structs are frozen and made of tuples, so they can be compared, hashed and shared between generations. They hold no
reference cycles, hence `gc=False`: 10,000 rules are then nothing that the garbage collector walks through.
"""

from __future__ import annotations

import enum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

#: The format version this build reads and writes. Another number refuses the transaction.
VERSION = 1

Port: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF)]
Unsigned32: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
#: Up to 2^64 - 1 natively; more than 2^63 - 1 is nothing that a counter or a duration reaches.
Unsigned64: TypeAlias = Annotated[int, Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]
Signed64: TypeAlias = Annotated[int, Meta(ge=-0x8000_0000_0000_0000, le=0x7FFF_FFFF_FFFF_FFFF)]


class IrError(ValueError):
    """Bytes that are no transaction this build reads; the message names the field and what is wrong with it."""


class _Struct(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What all structs of the format have in common. Type checkers need `frozen` and `kw_only` said again by each."""


# --- HTTP rules -------------------------------------------------------------------------------------------------


class ExactPath(_Struct, frozen=True, kw_only=True, tag_field="type", tag="Exact"):
    """The whole path, case-sensitive."""

    value: str


class PathPrefix(_Struct, frozen=True, kw_only=True, tag_field="type", tag="PathPrefix"):
    """By segment; no trailing slash except `/` itself."""

    value: str


class RegularExpressionPath(_Struct, frozen=True, kw_only=True, tag_field="type", tag="RegularExpression"):
    """RE2 syntax, matched against the whole path."""

    value: str


class ValueMatchKind(enum.Enum):
    """How the value of a header, of a query parameter or of a gRPC service or method is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class GrpcMethod(_Struct, frozen=True, kw_only=True, tag_field="type", tag="GrpcMethod"):
    """`GRPCMethodMatch`: the path `/<service>/<method>`; an absent part holds for any, each part is compared whole."""

    kind: ValueMatchKind = ValueMatchKind.EXACT
    service: str | None = None
    method: str | None = None

    @property
    def value(self) -> str:
        """The path that it holds for, for people: `*` stands for an absent part."""
        return f"/{self.service or '*'}/{self.method or '*'}"


PathMatch: TypeAlias = ExactPath | PathPrefix | RegularExpressionPath | GrpcMethod


class HeaderMatch(_Struct, frozen=True, kw_only=True):
    """One of `matches[].headers[]`; `name` is lower case."""

    kind: ValueMatchKind = field(default=ValueMatchKind.EXACT, name="type")
    name: str
    value: str


class QueryMatch(_Struct, frozen=True, kw_only=True):
    """One of `matches[].queryParams[]`; `name` is compared as it is."""

    kind: ValueMatchKind = field(default=ValueMatchKind.EXACT, name="type")
    name: str
    value: str


class Match(_Struct, frozen=True, kw_only=True):
    """All parts must hold (AND); the matches of a rule are alternatives (OR).

    `method` empty: any. The names of `headers` and of `query` are unique.
    """

    path: PathMatch
    method: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()


class HeaderValue(_Struct, frozen=True, kw_only=True):
    """A header field, its name as written."""

    name: str
    value: str


class HeaderEdit(_Struct, frozen=True, kw_only=True):
    """Applied in the order set, add, remove; names compare case-insensitively."""

    set: tuple[HeaderValue, ...] = ()
    add: tuple[HeaderValue, ...] = ()
    remove: tuple[str, ...] = ()


class RequestHeaders(HeaderEdit, frozen=True, kw_only=True, tag_field="type", tag="request_headers"):
    """`RequestHeaderModifier`."""


class ResponseHeaders(HeaderEdit, frozen=True, kw_only=True, tag_field="type", tag="response_headers"):
    """`ResponseHeaderModifier`."""


class ReplaceFullPath(_Struct, frozen=True, kw_only=True, tag_field="type", tag="ReplaceFullPath"):
    """`HTTPPathModifier.replaceFullPath`."""

    value: str


class ReplacePrefixMatch(_Struct, frozen=True, kw_only=True, tag_field="type", tag="ReplacePrefixMatch"):
    """`HTTPPathModifier.replacePrefixMatch`: replaces what the winning PathPrefix matched."""

    value: str


PathModifier: TypeAlias = ReplaceFullPath | ReplacePrefixMatch


class Redirect(_Struct, frozen=True, kw_only=True, tag_field="type", tag="redirect"):
    """`RequestRedirect`. An absent part is taken from the request; `port`: from `scheme`, else from the listener."""

    scheme: str | None = None
    hostname: str | None = None
    path: PathModifier | None = None
    port: Port | None = None
    status: Port


class Rewrite(_Struct, frozen=True, kw_only=True, tag_field="type", tag="rewrite"):
    """`URLRewrite`."""

    hostname: str | None = None
    path: PathModifier | None = None


class Percentage(_Struct, frozen=True, kw_only=True):
    """`numerator` out of `denominator` requests."""

    numerator: Unsigned32
    denominator: Unsigned32


class Mirror(_Struct, frozen=True, kw_only=True, tag_field="type", tag="mirror"):
    """`RequestMirror`; `backend` is a backend id."""

    backend: str
    percentage: Percentage


class Cors(_Struct, frozen=True, kw_only=True, tag_field="type", tag="cors"):
    """`HTTPCORSFilter` (GEP-1767). `max_age` in seconds.

    `allow_origins`: `*`, `https://www.example.com`, `https://*.example.com`, each with an optional port.
    """

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Unsigned32


Filter: TypeAlias = RequestHeaders | ResponseHeaders | Redirect | Rewrite | Mirror | Cors


class WeightedBackend(_Struct, frozen=True, kw_only=True):
    """One of `backendRefs[]`, in the order written.

    `backend` is a backend id; absent where the reference is invalid: its share of the requests gets 500.
    `filters` (header edits, rewrite, mirrors) come after the rule's own.
    """

    backend: str | None = None
    weight: Unsigned32
    filters: tuple[Filter, ...] = ()


class Timeouts(_Struct, frozen=True, kw_only=True):
    """Milliseconds; 0: none."""

    request_ms: Unsigned64 = 0
    backend_request_ms: Unsigned64 = 0


class Retry(_Struct, frozen=True, kw_only=True):
    """`HTTPRouteRetry` (GEP-1731). `attempts`: retries after the first try, 0 means none."""

    codes: tuple[Port, ...] = ()
    attempts: Unsigned32
    backoff_ms: Unsigned64


class HttpRule(_Struct, frozen=True, kw_only=True):
    """One of `HTTPRoute.spec.rules[]` or `GRPCRoute.spec.rules[]`, validated and resolved.

    Attributes:
        id: `HTTPRoute/<namespace>/<name>/<rule index>`; likewise for GRPCRoute.
        route: `HTTPRoute/<namespace>/<name>`; likewise for GRPCRoute.
        name: `rules[].name`.
        created: seconds since 1970, 0 where unknown; the older route wins a tie.
        index: place of the rule in its route; the first wins a tie.
        listeners: ids of the listeners that the route is attached to.
        hostnames: the route's own, lower case, not intersected with the listeners'. Empty: any.
        matches: never empty: the API's default is one PathPrefix `/`.
        filters: in the order written.
        backends: in the order written.
        timeouts: `rules[].timeouts`.
        retry: `rules[].retry`.
        invalid: a filter cannot be honoured: every request that the rule wins gets 500.
        grpc: the rule of a GRPCRoute: what the gateway itself answers is a gRPC status, and backends are spoken to in
            HTTP/2 whatever their protocol says.
    """

    id: str
    route: str
    name: str = ""
    created: Signed64 = 0
    index: Unsigned32
    listeners: tuple[str, ...]
    hostnames: tuple[str, ...] = ()
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
    invalid: bool = False
    grpc: bool = False


class L4Rule(_Struct, frozen=True, kw_only=True):
    """One of the `spec.rules[]` of a TLSRoute, TCPRoute or UDPRoute, validated and resolved.

    Attributes:
        id: `TLSRoute/<namespace>/<name>/<rule index>`; likewise for TCPRoute and UDPRoute.
        route: `TLSRoute/<namespace>/<name>`; likewise for TCPRoute and UDPRoute.
        name: `rules[].name`.
        created: seconds since 1970, 0 where unknown; the older route wins a tie.
        index: place of the rule in its route; the first wins a tie.
        listeners: ids of the listeners that the route is attached to.
        hostnames: of a TLSRoute, lower case, compared with the SNI. Empty: any.
        backends: in the order written, without filters.
    """

    id: str
    route: str
    name: str = ""
    created: Signed64 = 0
    index: Unsigned32
    listeners: tuple[str, ...]
    hostnames: tuple[str, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()


# --- Listeners, backends, endpoints, policies and secrets -------------------------------------------------------


class ListenerProtocol(enum.Enum):
    """`listeners[].protocol`."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"


class ClientValidationMode(enum.Enum):
    """`FrontendTLSValidation.mode`."""

    ALLOW_VALID_ONLY = "AllowValidOnly"
    ALLOW_INSECURE_FALLBACK = "AllowInsecureFallback"


class ClientValidation(_Struct, frozen=True, kw_only=True):
    """Frontend client-certificate validation; `trust`: ids of the bundles whose certificates sign accepted clients."""

    mode: ClientValidationMode
    trust: tuple[str, ...]


class ListenerTls(_Struct, frozen=True, kw_only=True):
    """TLS termination; `certificates`: ids in the order written, the first answers clients whose SNI fits none."""

    certificates: tuple[str, ...]
    client_validation: ClientValidation | None = None


class Listener(_Struct, frozen=True, kw_only=True):
    """One listener of a Gateway or a ListenerSet.

    Attributes:
        id: `Gateway/<namespace>/<name>/<section>` or `ListenerSet/<namespace>/<name>/<section>`.
        gateway: `<namespace>/<name>` of the Gateway.
        addresses: IP addresses to bind. Empty: every address, IPv4 and IPv6.
        port: `listeners[].port`: what redirects and `parentRef.port` speak of.
        bind_port: the port that is bound. 0 lets the system choose.
        protocol: `listeners[].protocol`. HTTPS and TLS may share a socket: the SNI decides.
        hostname: lower case; empty: any; `*.example.com`: one or more labels before `example.com`.
        tls: termination, for HTTPS and TLS. A TLS listener without it passes connections through.
        backend_certificate: certificate id presented to TLS backends (`Gateway.spec.tls.backend`).
        filters: request header edits that come before those of the rule (GEP-5224).
    """

    id: str
    gateway: str
    addresses: tuple[str, ...] = ()
    port: Port
    bind_port: Port
    protocol: ListenerProtocol
    hostname: str = ""
    tls: ListenerTls | None = None
    backend_certificate: str | None = None
    filters: tuple[RequestHeaders, ...] = ()


class BackendProtocol(enum.Enum):
    """From `Service.spec.ports[].appProtocol` (GEP-1911). HTTP: 1.1, or by ALPN under TLS; H2C: prior knowledge."""

    HTTP = "http"
    H2C = "h2c"


class Backend(_Struct, frozen=True, kw_only=True):
    """One port of one Service; `id`: `<namespace>/<service>:<port>`."""

    id: str
    protocol: BackendProtocol = BackendProtocol.HTTP


class EndpointState(enum.Enum):
    """Ready endpoints take all traffic; draining ones (serving and terminating) only when none is ready."""

    READY = "ready"
    DRAINING = "draining"


class Endpoint(_Struct, frozen=True, kw_only=True):
    """One address and port that serves a backend; `id`: `<backend id>@<address>:<port>`."""

    id: str
    backend: str
    address: str
    port: Port
    state: EndpointState = EndpointState.READY


class HostnameSan(_Struct, frozen=True, kw_only=True, tag_field="type", tag="Hostname"):
    """A DNS name that the certificate must carry."""

    value: str


class UriSan(_Struct, frozen=True, kw_only=True, tag_field="type", tag="URI"):
    """A URI that the certificate must carry."""

    value: str


SubjectAltName: TypeAlias = HostnameSan | UriSan


class BackendTls(_Struct, frozen=True, kw_only=True):
    """TLS towards a backend: a BackendTLSPolicy that won for its target.

    Attributes:
        id: `<namespace>/<policy>@<backend id>`.
        backend: backend id.
        hostname: SNI, and the name that the certificate must carry unless `subject_alt_names` is given.
        trust: ids. Empty: the system's roots (`wellKnownCACertificates: System`).
        subject_alt_names: any of these names in place of `hostname`.
        invalid: the policy cannot be honoured: 500 rather than plain text or unverified TLS.
    """

    id: str
    backend: str
    hostname: str
    trust: tuple[str, ...] = ()
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    invalid: bool = False


class Trust(_Struct, frozen=True, kw_only=True):
    """A bundle of CA certificates, PEM."""

    id: str
    pem: str


class Certificate(_Struct, frozen=True, kw_only=True):
    """A certificate chain and its key, PEM; `id`: `<namespace>/<secret>`."""

    id: str
    chain: str
    key: str

    def __repr__(self) -> str:
        """Without the key: a representation ends up in logs."""
        return f"Certificate(id={self.id!r}, ...)"


class Resources(_Struct, frozen=True, kw_only=True):
    """The resources that a transaction adds or replaces, without secrets."""

    listeners: tuple[Listener, ...] = ()
    http_rules: tuple[HttpRule, ...] = ()
    l4_rules: tuple[L4Rule, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    backend_tls: tuple[BackendTls, ...] = ()
    trust: tuple[Trust, ...] = ()


class Secrets(_Struct, frozen=True, kw_only=True):
    """Key material. Never shown by `/config`, `translate` or any log."""

    certificates: tuple[Certificate, ...] = ()


class Removals(_Struct, frozen=True, kw_only=True):
    """Ids of the resources that a transaction removes, by kind. Removing what is not there is no error."""

    listeners: tuple[str, ...] = ()
    http_rules: tuple[str, ...] = ()
    l4_rules: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    backend_tls: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()


class Transaction(_Struct, frozen=True, kw_only=True):
    """One atomic change of configuration; `generation` grows with every transaction of one controller."""

    version: Unsigned32
    generation: Unsigned64
    full: bool = False
    upsert: Resources = Resources()
    secrets: Secrets = Secrets()
    remove: Removals = Removals()


# --- Reading and writing ----------------------------------------------------------------------------------------

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Transaction)


def encode(transaction: Transaction) -> bytes:
    """The JSON of a transaction, with its secrets."""
    return _ENCODER.encode(transaction)


def decode(data: bytes) -> Transaction:
    """Read the JSON of a transaction.

    Raises:
        IrError: it is no JSON, or a field is unknown, missing or of the wrong type or range, or the version is another.
    """
    try:
        transaction = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"the transaction cannot be read: {error}"
        raise IrError(message) from error
    if transaction.version != VERSION:
        message = (
            f"the transaction has version {transaction.version}, this build reads version {VERSION}: "
            "run the same release of the control plane and the gateway"
        )
        raise IrError(message)
    return transaction


def redacted(transaction: Transaction) -> Transaction:
    """The same transaction without its secrets, fit to be shown."""
    return msgspec.structs.replace(transaction, secrets=Secrets())
