"""How backends are chosen and spoken to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    """

    verify: bool
    secret: Name | None = None
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts(Feature):
    """How long a backend may be silent, in milliseconds; 0: as the gateway does.

    Attributes:
        connect: until a connection is there.
        read: between two reads of a response.
    """

    connect: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Feature):
    """Which answers are asked for again.

    Attributes:
        codes: statuses.
        attempts: after the first one.
    """

    codes: tuple[int, ...]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity(Feature):
    """A client stays with an endpoint, by a cookie.

    Attributes:
        cookie: its name.
        path: its path; empty: that of the location.
        seconds: how long it lives; 0: as long as the browser runs.
    """

    cookie: str
    path: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancing(Feature):
    """How an endpoint is chosen.

    Attributes:
        kind: in turn, by the time to answer, or by a key.
        key: parts of the key, as a BackendPolicy names them.
    """

    kind: Literal["RoundRobin", "PeakEwma", "Hash"]
    key: tuple[str, ...] = ()
