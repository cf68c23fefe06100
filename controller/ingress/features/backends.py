"""How backends are chosen and spoken to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..cookie_values import SameSite
from ..options import Name
from .base import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(Feature):
    """How backends are spoken to.

    Attributes:
        name: of it.
    """

    name: Literal["HTTP", "HTTPS", "GRPC", "GRPCS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTls(Feature):
    """How the certificate of backends is looked at.

    Attributes:
        verify: whether it is.
        secret: has CA certificates under `ca.crt`, and may have a certificate for the gateway; None: none.
        hostname: that the certificate has to have; empty: that of the Service.
        versions: of TLS that are spoken, such as `1.2`; empty: as the gateway does.
        suites: of TLS 1.2 that are spoken; empty: as the gateway does.
        refuses_verification: somebody has written that it is not to be looked at.
        nameless: somebody has written that backends are sent no name.
    """

    verify: bool
    secret: Name | None = None
    hostname: str = ""
    versions: tuple[Literal["1.2", "1.3"], ...] = ()
    suites: tuple[str, ...] = ()
    refuses_verification: bool = False
    nameless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshConnections(Feature):
    """A connection to a backend carries one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts(Feature):
    """How long a backend may be silent, in milliseconds; 0: as the gateway does.

    Attributes:
        connect: until a connection is there.
        read: between two reads of a response.
        stall: without an octet either way.
    """

    connect: int = 0
    read: int = 0
    stall: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Feature):
    """Which answers are asked for again.

    Attributes:
        codes: statuses.
        attempts: after the first one.
        repeats: requests that change something are sent again too.
    """

    codes: tuple[int, ...]
    attempts: int
    repeats: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTime(Feature):
    """How long what fails is tried again.

    Attributes:
        seconds: from the first try on.
    """

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity(Feature):
    """A client stays with an endpoint, by a cookie.

    Attributes:
        cookie: its name.
        path: its path; empty: that of the location.
        seconds: how long it lives; 0: as long as the browser runs.
        domain: whose hosts get it; empty: the host that was asked alone.
        same_site: which requests of other sites have it; empty: nothing is said.
        secure: whether it is for TLS alone; None: where the client came by TLS.
        returns: a client whose endpoint does badly for a while comes back to it.
    """

    cookie: str
    path: str = ""
    seconds: int = 0
    domain: str = ""
    same_site: SameSite = ""
    secure: bool | None = None
    returns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancing(Feature):
    """How an endpoint is chosen.

    Attributes:
        kind: in turn, by the time to answer, or by a key.
        key: parts of the key, as a BackendPolicy names them.
        subset: endpoints that a key chooses, of which one is taken; 0: it chooses one.
    """

    kind: Literal["RoundRobin", "PeakEwma", "Hash"]
    key: tuple[str, ...] = ()
    subset: int = 0
