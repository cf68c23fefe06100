"""Versions of TLS that a policy allows, and cipher suites of the older one."""

from __future__ import annotations

import enum

from ..base import Base


class TlsVersion(enum.Enum):
    """What the gateway speaks."""

    TLS12 = "1.2"
    TLS13 = "1.3"


class CipherSuite(enum.Enum):
    """Cipher suites of TLS 1.2, by their names in the registry of IANA: all that the gateway speaks."""

    ECDSA_AES128 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    ECDSA_AES256 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    ECDSA_CHACHA20 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    RSA_AES128 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    RSA_AES256 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    RSA_CHACHA20 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"


class TlsVersions(Base, frozen=True, kw_only=True):
    """The least and the greatest; None: what the gateway speaks. `suites`: of TLS 1.2; none is any."""

    min: TlsVersion | None = None
    max: TlsVersion | None = None
    suites: tuple[CipherSuite, ...] = ()
