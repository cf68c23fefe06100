"""Who may."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import Name
from .base import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth(Feature):
    """Users and passwords.

    Attributes:
        secret: that has them.
        key: with an htpasswd file; empty: each key is a user, its value a hash.
        realm: of the challenge.
    """

    secret: Name
    key: str
    realm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificates(Feature):
    """Clients show a certificate; of a whole host.

    Attributes:
        secret: has the CA certificates.
        required: whether a client without one is refused.
        forward: whether backends are told of it.
        pattern: what its subject has to have; empty: anything.
    """

    secret: Name
    required: bool = True
    forward: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAuth(Feature):
    """A service says who may.

    Attributes:
        url: that is asked.
        response_headers: of its answer that the backend gets.
        sign_in: URL where people sign in; empty: none.
        parameter: of that URL, where to come back to.
        set_cookie: whether clients get its cookies.
        cache_seconds: how long what it allows is remembered; 0: not at all.
    """

    url: str
    response_headers: tuple[str, ...] = ()
    sign_in: str = ""
    parameter: str = "rd"
    set_cookie: bool = False
    cache_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses(Feature):
    """Clients by their addresses.

    Attributes:
        allowed: CIDR blocks; empty: all.
        denied: CIDR blocks.
        suffices: whoever is allowed needs no credentials (`satisfy any`).
    """

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    suffices: bool = False
