"""How the endpoints of a backend are used."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from ..base import Base, Port, Unsigned32, Unsigned64
from .base import PolicyBase, Trait
from .session_cookie import SessionCookieAttributes
from .tls_versions import TlsVersions

Percent: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Status: TypeAlias = Annotated[int, Meta(ge=100, le=599)]


class ClientKey(Base, frozen=True, kw_only=True, tag_field="type", tag="client"):
    """The client's address."""


class HostKey(Base, frozen=True, kw_only=True, tag_field="type", tag="host"):
    """The host that was asked for, lower case, without port."""


class HeaderKey(Base, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """All values of a field; `name`: lower case."""

    name: str


class CookieKey(Base, frozen=True, kw_only=True, tag_field="type", tag="cookie"):
    """The first cookie of that name."""

    name: str


class QueryKey(Base, frozen=True, kw_only=True, tag_field="type", tag="query"):
    """The first query parameter of that name, decoded."""

    name: str


KeyPart: TypeAlias = ClientKey | HostKey | HeaderKey | CookieKey | QueryKey


class LeastRequest(Base, frozen=True, kw_only=True, tag_field="type", tag="LeastRequest"):
    """Fewest requests under way, ties in turn."""


class RoundRobin(Base, frozen=True, kw_only=True, tag_field="type", tag="RoundRobin"):
    """In turn."""


class Random(Base, frozen=True, kw_only=True, tag_field="type", tag="Random"):
    """Any."""


class Hash(Base, frozen=True, kw_only=True, tag_field="type", tag="Hash"):
    """The same one for the same key; a request without any part of it goes by LeastRequest.

    `subset`: so many for each key, and of these the one with the fewest requests under way; 0: one.
    """

    key: tuple[KeyPart, ...]
    subset: Unsigned32 = 0


class PeakEwma(Base, frozen=True, kw_only=True, tag_field="type", tag="PeakEwma"):
    """Of two at random the one that would answer sooner."""


LoadBalancing: TypeAlias = LeastRequest | RoundRobin | Random | Hash | PeakEwma


class BackendLimits(Base, frozen=True, kw_only=True):
    """Of one process, all of its workers together; None: any number.

    Attributes:
        connections: that are open.
        requests: that are under way.
        pending: that wait for one of the former.
    """

    connections: Unsigned32 | None = None
    requests: Unsigned32 | None = None
    pending: Unsigned32 | None = None


class BackendTimeouts(Base, frozen=True, kw_only=True):
    """Milliseconds; 0: what the settings of the engine say, of the first byte no limit.

    Attributes:
        connect_ms: until a connection is there.
        idle_ms: for which one is kept that nobody uses.
        first_byte_ms: until the head of a response.
        stall_ms: without an octet that the backend takes or sends.
    """

    connect_ms: Unsigned64 = 0
    idle_ms: Unsigned64 = 0
    first_byte_ms: Unsigned64 = 0
    stall_ms: Unsigned64 = 0


class PassiveHealth(Base, frozen=True, kw_only=True):
    """Endpoints are judged by what comes of requests.

    Attributes:
        consecutive_errors: answers of 5xx, broken connections and time limits in a row that have an endpoint ejected.
        eject_for_ms: the first time; each further time in a row takes twice as long.
        max_ejected_percent: of a backend's endpoints, at once.
    """

    consecutive_errors: Unsigned32
    eject_for_ms: Unsigned64
    max_ejected_percent: Percent


class TcpQuestion(Base, frozen=True, kw_only=True, tag_field="type", tag="tcp"):
    """For a connection, with TLS where TLS is spoken to the backend."""


class HttpQuestion(Base, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """`GET path`.

    Attributes:
        host: empty: the name that TLS wants, else the address.
        statuses: empty: 200 to 399.
    """

    path: str
    host: str = ""
    statuses: tuple[Status, ...] = ()


class GrpcQuestion(Base, frozen=True, kw_only=True, tag_field="type", tag="grpc"):
    """`grpc.health.v1.Health/Check` of a service; empty: of the server."""

    service: str = ""


HealthQuestion: TypeAlias = TcpQuestion | HttpQuestion | GrpcQuestion


class ActiveHealth(Base, frozen=True, kw_only=True):
    """Endpoints are asked whether they do well, by one process, whatever number of workers it has.

    Attributes:
        question: what they are asked.
        interval_ms: from one question to the next.
        timeout_ms: of a question.
        unhealthy_after: questions in a row that fail, of an endpoint that did well.
        healthy_after: questions in a row that are answered well, of one that did not.
        port: where it is asked; 0: at the port of the endpoint.
    """

    question: HealthQuestion
    interval_ms: Unsigned64
    timeout_ms: Unsigned64
    unhealthy_after: Unsigned32
    healthy_after: Unsigned32
    port: Port = 0


class Keepalive(Base, frozen=True, kw_only=True):
    """How TCP itself asks whether a silent peer is there: seconds, and questions that are not answered."""

    idle_seconds: Unsigned32
    interval_seconds: Unsigned32
    probes: Unsigned32


class ProxyProtocol(enum.Enum):
    """What a connection begins with, so that the backend learns of its client."""

    V1 = "v1"
    V2 = "v2"


class BackendPolicy(PolicyBase, frozen=True, kw_only=True, tag="backend_policy"):
    """How the endpoints of a backend are used: a BackendPolicy. Backends name it.

    Attributes:
        load_balancing: how one of several endpoints is chosen.
        slow_start_ms: how long an endpoint that is new, or has come back, gets only a part of its share; 0: not at all.
        limits, timeouts: of the backend.
        retry_methods: that are not idempotent, and are sent again all the same where a rule's retry says so.
        retry_within_ms: since the first try began: no other one begins later; 0: any time.
        passive: judges endpoints by what they answer; None: by failed connections only.
        active: asks them; None: nobody does.
        panic_percent: where fewer of the endpoints do well all of them are used; 0: never.
        proxy_protocol: connections begin with it.
        max_requests: after so many a connection is used no more; 0: any number.
        keepalive: of TCP; None: what holds for all connections.
        tls: versions that are spoken, and cipher suites.
        unverified: whatever certificate the backend shows is taken.
        nameless: it is sent no name in a `ClientHello`.
        session_cookie: how the cookie is written that keeps sessions with it; None: as GEP-1619 has it.
        invalid: the policy cannot be honoured: 500.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"backend"})

    load_balancing: LoadBalancing = LeastRequest()
    slow_start_ms: Unsigned64 = 0
    limits: BackendLimits = BackendLimits()
    timeouts: BackendTimeouts = BackendTimeouts()
    retry_methods: tuple[str, ...] = ()
    retry_within_ms: Unsigned64 = 0
    passive: PassiveHealth | None = None
    active: ActiveHealth | None = None
    panic_percent: Percent = 0
    proxy_protocol: ProxyProtocol | None = None
    max_requests: Unsigned32 = 0
    keepalive: Keepalive | None = None
    tls: TlsVersions = TlsVersions()
    unverified: bool = False
    nameless: bool = False
    session_cookie: SessionCookieAttributes | None = None
    invalid: bool = False

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """What is said of TLS."""
        return (("tls", "spoken"),) if self.tls != TlsVersions() or self.unverified or self.nameless else ()
