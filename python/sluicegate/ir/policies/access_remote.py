"""Stanzas of AccessPolicy that ask somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from msgspec import field

from ..base import Base, Unsigned64
from .access import KeySource, credentials_in
from .base import Need, StanzaBase
from .external import ExternalService


class ClaimHeader(Base, frozen=True, kw_only=True):
    """The field that tells the backend a claim."""

    claim: str
    header: str


class RemoteKeys(Base, frozen=True, kw_only=True):
    """Where an identity provider publishes its keys. Policies that say the same share what is fetched.

    Attributes:
        backend: id.
        path: with its query, from `/` on.
        hostname: `Host` of what is asked; empty: the name that the backend's certificate is for, else `service`.
        service: `<name>.<namespace>.svc` of the Service.
        refresh_ms: between fetches.
    """

    backend: str
    path: str
    hostname: str = ""
    service: str
    refresh_ms: Unsigned64


class JwtProvider(Base, frozen=True, kw_only=True):
    """Who signs tokens, and for whom.

    Attributes:
        name: for people.
        audiences: one of these has to be in a token; `*`: any.
        keys: a JWK Set, with what is public only; empty where it is fetched.
    """

    name: str
    issuer: str
    audiences: tuple[str, ...]
    keys: str = ""
    remote: RemoteKeys | None = None
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

    def needs(self) -> Iterable[Need]:
        """Who publishes keys, in the order of the providers."""
        return (("backends", each.remote.backend) for each in self.providers if each.remote is not None)

    def is_unasked(self) -> bool:
        """Unless nobody needs one."""
        return not (self.off or self.optional)

    def owned_fields(self) -> Iterable[str]:
        """What claims are told in."""
        return (pair.header for provider in self.providers for pair in provider.forward)

    def credential_fields(self) -> Iterable[str]:
        """Where tokens stand."""
        return credentials_in(self.from_)


class VerdictCache(Base, frozen=True, kw_only=True):
    """For how long, and for whom, answers of a service hold.

    Attributes:
        headers: fields, lower case, that requests have to agree in, besides `Authorization`, the address and what
            is asked for.
        denials: refusals are remembered as well.
    """

    ttl_ms: Unsigned64
    headers: tuple[str, ...]
    denials: bool = False


class SignIn(Base, frozen=True, kw_only=True):
    """Where people sign in.

    Attributes:
        parameter: of its query, where to come back to.
        path_only: path and query alone are said of that.
    """

    url: str
    parameter: str
    path_only: bool = False


class AccessExternal(StanzaBase, frozen=True, kw_only=True, tag="access_external"):
    """`AccessPolicy.spec.external`.

    Attributes:
        service: absent only where it is off or invalid.
        cache: what it said is remembered.
        sign_in: where its 401 sends people.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "external"

    service: ExternalService | None = None
    cache: VerdictCache | None = None
    sign_in: SignIn | None = None

    def needs(self) -> Iterable[Need]:
        """Who is asked."""
        return self.service.needs() if self.service is not None else ()

    def is_unasked(self) -> bool:
        """A service is asked of requests alone."""
        return not self.off

    def owned_fields(self) -> Iterable[str]:
        """What the service may say of who asks."""
        return self.service.allowed_response_headers if self.service is not None else ()

    def credential_fields(self) -> Iterable[str]:
        """Those that the service judges."""
        return self.service.credential_fields() if self.service is not None else ()
