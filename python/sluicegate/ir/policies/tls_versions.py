"""Versions of TLS that a policy allows."""

from __future__ import annotations

import enum

from ..base import Base


class TlsVersion(enum.Enum):
    """What the gateway speaks."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class TlsVersions(Base, frozen=True, kw_only=True):
    """The least and the greatest; None: what the gateway speaks."""

    min: TlsVersion | None = None
    max: TlsVersion | None = None
