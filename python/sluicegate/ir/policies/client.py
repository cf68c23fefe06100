"""`ClientPolicy`: how clients are spoken to.

Of a number or a time 0 is "as the engine's settings have it", which are upper bounds besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import ClassVar

from ..base import Base, Unsigned32, Unsigned64
from .base import Need, StanzaBase, Trait
from .telemetry import OtlpCollector
from .tls_versions import TlsVersions


class AcceptProxy(Enum):
    """Whether connections begin with a header of the PROXY protocol, which says who the client is."""

    OFF = "Disabled"
    #: Those of a trusted proxy may. Of nobody else is one looked for.
    OPTIONAL = "Optional"
    #: All must, and only trusted proxies connect.
    REQUIRED = "Required"


class ClientAddress(StanzaBase, frozen=True, kw_only=True, tag="client_address"):
    """`ClientPolicy.spec.clientAddress`.

    Attributes:
        trusted_proxies: CIDR blocks: the proxies whose `X-Forwarded-For`, or whose PROXY protocol, is believed, in
            place of the engine setting.
        proxy_protocol: whether connections begin with its header.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "clientAddress"

    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: AcceptProxy = AcceptProxy.OFF


class ClientTls(StanzaBase, frozen=True, kw_only=True, tag="client_tls"):
    """`ClientPolicy.spec.tls`: the versions that are spoken."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "tls"

    versions: TlsVersions = TlsVersions()

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "tls"),)


class CertificateField(Enum):
    """A part of `X-Forwarded-Client-Cert`, as Envoy names it. Written in this order."""

    HASH = "Hash"
    CERT = "Cert"
    SUBJECT = "Subject"
    URI = "URI"
    DNS = "DNS"


class ClientCertificateHeader(StanzaBase, frozen=True, kw_only=True, tag="client_certificate_header"):
    """`ClientPolicy.spec.clientCertificate`.

    Attributes:
        header: the field that tells backends of the certificate.
        fields: what it tells; the order is the writer's.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "clientCertificate"

    header: str = ""
    fields: tuple[CertificateField, ...] = ()

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "validated"),)

    def owned_fields(self) -> Iterable[str]:
        """The field is the gateway's alone."""
        return (self.header,)


class ClientConnections(StanzaBase, frozen=True, kw_only=True, tag="client_connections"):
    """`ClientPolicy.spec.connections`; `max`: open at once at a listener, of one pod."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "connections"

    max: Unsigned32 = 0
    max_duration_ms: Unsigned64 = 0
    max_requests: Unsigned32 = 0


class ClientTimeouts(StanzaBase, frozen=True, kw_only=True, tag="client_timeouts"):
    """`ClientPolicy.spec.timeouts`.

    Attributes:
        head_ms: from the first byte of a head to its last.
        idle_ms: between requests.
        request_ms: of a whole request, where its route says nothing.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "timeouts"

    head_ms: Unsigned64 = 0
    idle_ms: Unsigned64 = 0
    request_ms: Unsigned64 = 0


class Underscores(Enum):
    """What becomes of fields with `_` in their name, which many backends take for `-`."""

    KEEP = "Keep"
    #: They are taken out.
    DROP = "Drop"
    #: The request is refused.
    REJECT = "Reject"


class ClientHeaders(StanzaBase, frozen=True, kw_only=True, tag="client_headers"):
    """`ClientPolicy.spec.headers`: octets and fields of a head, and what becomes of names with `_`."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "headers"

    max_bytes: Unsigned64 = 0
    max_count: Unsigned32 = 0
    underscores: Underscores = Underscores.KEEP

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "requests"),)


class ClientHttp2(StanzaBase, frozen=True, kw_only=True, tag="client_http2"):
    """`ClientPolicy.spec.http2`; `max_streams`: that a client may have open."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "http2"

    max_streams: Unsigned32 = 0

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "requests"),)


class ClientBody(StanzaBase, frozen=True, kw_only=True, tag="client_body"):
    """`ClientPolicy.spec.body`.

    Attributes:
        max_bytes: octets that the body of a request may have, 0: any number.
        timeout_ms: without an octet of a body that is waited for.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "body"

    max_bytes: Unsigned64 = 0
    timeout_ms: Unsigned64 = 0

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "requests"),)


class LogLines(Enum):
    """Which requests have a line in the access log."""

    ALL = "All"
    #: Those that were answered 400 or more, that the gateway answered with an error, or that were not answered.
    ERRORS = "Errors"
    NONE = "None"


class LogSample(Base, frozen=True, kw_only=True):
    """A share: so many of so many."""

    numerator: Unsigned32
    denominator: Unsigned32


class ClientAccessLog(StanzaBase, frozen=True, kw_only=True, tag="client_access_log"):
    """`ClientPolicy.spec.accessLog`.

    Attributes:
        sample: of the lines of what is no error; errors are all logged.
        collector: who takes lines besides the log of the process; None: nobody does.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "accessLog"

    lines: LogLines = LogLines.ALL
    sample: LogSample = LogSample(numerator=1, denominator=1)
    collector: OtlpCollector | None = None

    def needs(self) -> Iterable[Need]:
        """Who takes lines, and what it is told."""
        return self.collector.needs() if self.collector is not None else ()

    def of_traits(self) -> Iterable[tuple[str, Trait]]:
        """All of it."""
        return () if self.off else (("", "requests"),)
