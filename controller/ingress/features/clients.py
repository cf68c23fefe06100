"""What clients may send and how much, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..losses import Cause
from .base import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimit(Feature):
    """Octets that the body of a request may have.

    Attributes:
        octets: so many; 0: any number.
    """

    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectBody(Feature):
    """The backend is asked once the body of a request is whole.

    Attributes:
        octets: of a body at most.
    """

    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of each client.

    Attributes:
        name: for people.
        requests: that may come in
        seconds: so many.
        burst: that may come at once.
        concurrent: that may be under way at once, in place of all of these; 0: it is none of that.
        cause: where it is written; None: where all limits are.
    """

    name: str
    requests: int = 0
    seconds: int = 0
    burst: int = 0
    concurrent: int = 0
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Feature):
    """How much a client may ask for.

    Attributes:
        limits: all of them hold.
        exempt: CIDR blocks of clients that are not limited.
        status: of what is refused.
    """

    limits: tuple[Limit, ...]
    exempt: tuple[str, ...] = ()
    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror(Feature):
    """A copy of each request goes elsewhere.

    Attributes:
        url: where to.
        host: of the copies; empty: that of the URL.
        body: whether copies have the body of the request.
    """

    url: str
    host: str = ""
    body: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Underscores(Feature):
    """Fields with `_` in their name do not reach backends; of a whole Gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAddress(Feature):
    """Who asks, where proxies stand in front; of a whole Gateway.

    Attributes:
        trusted: CIDR blocks of proxies that are believed.
        proxy_protocol: connections begin with a header of the PROXY protocol.
    """

    trusted: tuple[str, ...]
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAccessLog(Feature):
    """Requests have no lines in the access log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCiphers(Feature):
    """Cipher suites of TLS 1.2 that clients may speak; of a whole host.

    Attributes:
        suites: by their names in the registry of IANA.
    """

    suites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnections(Feature):
    """How connections of clients are; of a whole Gateway. What is 0 or empty is as the gateway has it.

    Attributes:
        idle: seconds that one is kept between requests.
        requests: that one takes.
        streams: that an HTTP/2 client may have open.
        head_octets: of the fields of a request.
        versions: of TLS that are spoken.
    """

    idle: int = 0
    requests: int = 0
    streams: int = 0
    head_octets: int = 0
    versions: tuple[Literal["1.2", "1.3"], ...] = ()
