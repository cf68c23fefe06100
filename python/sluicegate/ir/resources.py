"""Listeners, backends, endpoints and secrets, and what a transaction has of each kind."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

from .base import Base, Port, Positive32, Signed64
from .http import HttpRule, ListenerFilter
from .l4 import L4Rule
from .policies import Policy

__all__ = [
    "Attachment",
    "Backend",
    "BackendProtocol",
    "Certificate",
    "ClientValidation",
    "ClientValidationMode",
    "Endpoint",
    "EndpointState",
    "ExternalHost",
    "Listener",
    "ListenerProtocol",
    "ListenerTls",
    "PolicySecret",
    "Removals",
    "Replicas",
    "Resources",
    "Secrets",
    "SessionTickets",
    "TicketKey",
    "Trust",
    "listeners_of",
]


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


class ClientValidation(Base, frozen=True, kw_only=True):
    """Frontend client-certificate validation; `trust`: ids of the bundles whose certificates sign accepted clients."""

    mode: ClientValidationMode
    trust: tuple[str, ...]


class ListenerTls(Base, frozen=True, kw_only=True):
    """TLS termination; `certificates`: ids in the order written (docs/tls.md says which one a client gets)."""

    certificates: tuple[str, ...]
    client_validation: ClientValidation | None = None


class Listener(Base, frozen=True, kw_only=True):
    """One listener of a Gateway or a ListenerSet.

    Attributes:
        id: `Gateway/<namespace>/<name>/<section>` or `ListenerSet/<namespace>/<name>/<section>`.
        gateway: `<namespace>/<name>` of the Gateway.
        addresses: IP addresses to bind. Empty: every address, IPv4 and IPv6.
        port: as clients of the listener see it, what redirects speak of: `listeners[].port`, with the port offset.
        bind_port: the port that is bound. 0 lets the system choose.
        protocol: `listeners[].protocol`. HTTPS and TLS may share a socket: the SNI decides.
        hostname: lower case; empty: any; `*.example.com`: one or more labels before `example.com`.
        tls: termination, for HTTPS and TLS. A TLS listener without it passes connections through.
        backend_certificate: certificate id presented to TLS backends (`Gateway.spec.tls.backend`).
        filters: edits of requests before a rule is looked for (GEP-5224), edits of whatever answers, behind those of
            the rule, and an answer to all that have a rule.
        policies: ids, of its Gateway, its ListenerSet and itself, in the order in which they act.
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
    filters: tuple[ListenerFilter, ...] = ()
    policies: tuple[str, ...] = ()


class Attachment(Base, frozen=True, kw_only=True):
    """Listeners of one Gateway that rules are attached to together: said once, however many rules name it.

    Attributes:
        id: `<namespace>/<name>` of the Gateway, `/`, and a digest of the listeners.
        gateway: `<namespace>/<name>` of the Gateway.
        listeners: ids.
    """

    id: str
    gateway: str
    listeners: tuple[str, ...]


def listeners_of(rule: HttpRule | L4Rule, attachments: Mapping[str, Attachment]) -> Iterator[str]:
    """Ids of all listeners that a rule is attached to; `attachments` by id."""
    yield from rule.listeners
    for name in rule.attachments:
        yield from attachments[name].listeners


class BackendProtocol(enum.Enum):
    """From `Service.spec.ports[].appProtocol` (GEP-1911).

    HTTP: 1.1, or by ALPN under TLS; HTTP1: 1.1 in any case; H2C: HTTP/2 with prior knowledge.
    """

    HTTP = "http"
    HTTP1 = "http1"
    H2C = "h2c"


class ExternalHost(Base, frozen=True, kw_only=True):
    """A host outside the cluster; its name is in lower case, without a dot at its end."""

    hostname: str
    port: Port


class Backend(Base, frozen=True, kw_only=True):
    """One port of one Service; `id`: `<namespace>/<service>:<port>`.

    Attributes:
        policies: ids, in the order in which they act; of several of one kind the first counts.
        datagrams: its endpoints are reached by datagrams.
        external: its endpoints are what this name comes to, and no resources.
    """

    id: str
    protocol: BackendProtocol = BackendProtocol.HTTP
    policies: tuple[str, ...] = ()
    datagrams: bool = False
    external: ExternalHost | None = None


class EndpointState(enum.Enum):
    """Ready endpoints take all traffic; draining ones (serving and terminating) only when none is ready."""

    READY = "ready"
    DRAINING = "draining"


class Endpoint(Base, frozen=True, kw_only=True):
    """One address and port that serves a backend; `id`: `<backend id>@<address>:<port>`.

    Attributes:
        zones, nodes: whose traffic should go here, where the Service wants it to stay near.
    """

    id: str
    backend: str
    address: str
    port: Port
    state: EndpointState = EndpointState.READY
    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class Trust(Base, frozen=True, kw_only=True):
    """A bundle of CA certificates, PEM."""

    id: str
    pem: str


class Replicas(Base, frozen=True, kw_only=True):
    """How many pods share budgets (`RateLimit.each_pod`), this one among them; without it it is alone.

    Attributes:
        id: `<namespace>/<name>` of the data plane.
        pods: their number.
    """

    id: str
    pods: Positive32


class Certificate(Base, frozen=True, kw_only=True):
    """A certificate chain and its key, PEM; `id`: `<namespace>/<secret>`."""

    id: str
    chain: str
    key: str

    def __repr__(self) -> str:
        """Without the key: a representation ends up in logs."""
        return f"Certificate(id={self.id!r}, ...)"


class TicketKey(Base, frozen=True, kw_only=True):
    """What session tickets are encrypted with.

    Attributes:
        secret: 32 random bytes in hexadecimal digits.
        created: seconds since 1970.
    """

    secret: str
    created: Signed64

    def __repr__(self) -> str:
        """Without the secret."""
        return f"TicketKey(created={self.created!r}, ...)"


class PolicySecret(Base, frozen=True, kw_only=True):
    """What a policy knows and nobody else may: passwords, keys, tokens.

    Attributes:
        id: id of the policy, and `/<part>` where it has several.
        data: in the form of its kind.
    """

    id: str
    data: str

    def __repr__(self) -> str:
        """Without the secret."""
        return f"PolicySecret(id={self.id!r}, ...)"


class SessionTickets(Base, frozen=True, kw_only=True):
    """The keys of the session tickets of a Gateway's listeners, the same for all of its replicas.

    Attributes:
        id: `<namespace>/<name>` of the Gateway.
        keys: in any order; the newest makes tickets, those before it are good for theirs.
    """

    id: str
    keys: tuple[TicketKey, ...]


class Resources(Base, frozen=True, kw_only=True):
    """The resources that a transaction adds or replaces, without secrets."""

    listeners: tuple[Listener, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    http_rules: tuple[HttpRule, ...] = ()
    l4_rules: tuple[L4Rule, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    policies: tuple[Policy, ...] = ()
    trust: tuple[Trust, ...] = ()
    replicas: tuple[Replicas, ...] = ()


class Secrets(Base, frozen=True, kw_only=True):
    """Key material. Never shown by `/config`, `translate` or any log."""

    certificates: tuple[Certificate, ...] = ()
    session_tickets: tuple[SessionTickets, ...] = ()
    policy_secrets: tuple[PolicySecret, ...] = ()


class Removals(Base, frozen=True, kw_only=True):
    """Ids of the resources that a transaction removes, by kind. Removing what is not there is no error."""

    listeners: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    http_rules: tuple[str, ...] = ()
    l4_rules: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    session_tickets: tuple[str, ...] = ()
    policy_secrets: tuple[str, ...] = ()
