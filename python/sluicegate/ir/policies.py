"""Policies: one section for all kinds, told apart by `type`.

Listeners, rules and backends name their policies by id, in the order in which they act; a policy names nobody that it
holds for. So a changed policy is one resource, however many name it. A kind is a struct here, and a member of `Policy`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from .base import Base

__all__ = [
    "BackendTls",
    "HostnameSan",
    "Need",
    "Policy",
    "PolicyBase",
    "SubjectAltName",
    "UriSan",
]

#: What a resource needs to be there: section and id.
Need: TypeAlias = tuple[str, str]


class PolicyBase(Base, frozen=True, kw_only=True, tag_field="type"):
    """What all kinds have: `id` is `<kind>/<namespace>/<name>`, and `/<stanza>` where the kind has stanzas.

    `acts_on`: what may name it, of `listener`, `http_rule`, `l4_rule`, `backend`. A policy that is named elsewhere
    refuses its transaction: it is never skipped.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset()

    id: str

    def needs(self) -> Iterable[Need]:
        """What else has to go where the policy goes."""
        return ()


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
        invalid: the policy cannot be honoured: 500 rather than plain text or unverified TLS.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"backend"})

    hostname: str
    trust: tuple[str, ...] = ()
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    invalid: bool = False

    def needs(self) -> Iterable[Need]:
        """Its CA bundles."""
        return (("trust", item) for item in self.trust)


Policy: TypeAlias = BackendTls
