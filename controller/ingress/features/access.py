"""Who may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..options import Name
from .base import Feature, Field


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
        error_page: URL where browsers without one are sent; empty: nowhere.
    """

    secret: Name
    required: bool = True
    forward: bool = False
    pattern: str = ""
    error_page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAuth(Feature):
    """A service says who may.

    Attributes:
        url: that is asked.
        method: by which it is asked; empty: that of the request.
        fields: that it is told in place of those of the request.
        computed: the same, with a CEL expression in place of a value.
        response_headers: of its answer that the backend gets.
        sign_in: URL where people sign in; empty: none.
        parameter: of that URL, where to come back to.
        cookies: with which answers clients get its cookies; empty: with all, where it is said of nothing else that it
            goes on, or people sign in.
        cache_seconds: how long what it allows is remembered; 0: not at all.
        connection_requests: that a connection to it carries at most; 0: any number.
        connection_idle: seconds that one is kept which nothing uses; 0: as the gateway does.
    """

    url: str
    method: str = ""
    fields: tuple[Field, ...] = ()
    computed: tuple[Field, ...] = ()
    response_headers: tuple[str, ...] = ()
    sign_in: str = ""
    parameter: str = "rd"
    cookies: Literal["", "Always", "WithSuccess"] = ""
    cache_seconds: int = 0
    connection_requests: int = 0
    connection_idle: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPaths(Feature):
    """Paths where nobody is asked for credentials, such as those by which a CA sees whose a host is.

    Attributes:
        paths: what they begin with.
    """

    paths: tuple[str, ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals(Feature):
    """Requests that are refused by what they say.

    Attributes:
        conditions: CEL expressions over `request` and `client`; one that is true refuses.
    """

    conditions: tuple[str, ...]


#: Without these nobody may be let in.
PROTECTING: tuple[type[Feature], ...] = (Addresses, BasicAuth, ExternalAuth, Refusals)
