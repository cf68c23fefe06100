"""TLS towards backends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from ..base import Base
from .base import Need, PolicyBase


class HostnameSan(Base, frozen=True, kw_only=True, tag_field="type", tag="Hostname"):
    """A DNS name that the certificate must carry."""

    value: str


class UriSan(Base, frozen=True, kw_only=True, tag_field="type", tag="URI"):
    """A URI that the certificate must carry."""

    value: str


SubjectAltName: TypeAlias = HostnameSan | UriSan


class BackendTls(PolicyBase, frozen=True, kw_only=True, tag="backend_tls"):
    """TLS towards backends: a BackendTLSPolicy. Backends name it.

    Attributes:
        hostname: SNI, and the name that the certificate must carry unless `subject_alt_names` is given.
        trust: ids. Empty: the system's roots (`wellKnownCACertificates: System`).
        subject_alt_names: any of these names in place of `hostname`.
        certificate: id of what is presented in place of the listener's; None: the listener's.
        invalid: the policy cannot be honoured: 500 rather than plain text or unverified TLS.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"backend"})

    hostname: str
    trust: tuple[str, ...] = ()
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    certificate: str | None = None
    invalid: bool = False

    def needs(self) -> Iterable[Need]:
        """Its CA bundles, and what is presented."""
        yield from (("trust", item) for item in self.trust)
        if self.certificate is not None:
            yield ("certificates", self.certificate)
