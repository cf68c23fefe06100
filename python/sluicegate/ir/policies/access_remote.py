"""Stanzas of AccessPolicy that ask somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from msgspec import field

from ..base import Base, Unsigned64
from .access import KeySource
from .base import Need, StanzaBase
from .external import ExternalService


class ClaimHeader(Base, frozen=True, kw_only=True):
    """The field that tells the backend a claim."""

    claim: str
    header: str


class JwtProvider(Base, frozen=True, kw_only=True):
    """Who signs tokens, and for whom.

    Attributes:
        name: for people.
        audiences: one of these has to be in a token; `*`: any.
        keys: a JWK Set, with what is public only.
    """

    name: str
    issuer: str
    audiences: tuple[str, ...]
    keys: str
    forward: tuple[ClaimHeader, ...] = ()


class AccessJwt(StanzaBase, frozen=True, kw_only=True, tag="access_jwt"):
    """`AccessPolicy.spec.jwt`.

    Attributes:
        optional: requests without any credential go on, as nobody's.
        from_: where a token stands.
        realm: of the challenge.
        keep: the token goes on to the backend.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "jwt"

    optional: bool = False
    providers: tuple[JwtProvider, ...] = ()
    from_: tuple[KeySource, ...] = field(name="from", default=())
    realm: str = ""
    leeway_ms: Unsigned64 = 0
    keep: bool = False

    def owned_fields(self) -> Iterable[str]:
        """What claims are told in."""
        return (pair.header for provider in self.providers for pair in provider.forward)


class AccessExternal(StanzaBase, frozen=True, kw_only=True, tag="access_external"):
    """`AccessPolicy.spec.external`; `service`: absent only where it is off or invalid."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "external"

    service: ExternalService | None = None

    def needs(self) -> Iterable[Need]:
        """Who is asked."""
        return self.service.needs() if self.service is not None else ()

    def owned_fields(self) -> Iterable[str]:
        """What the service may say of who asks."""
        return self.service.allowed_response_headers if self.service is not None else ()
