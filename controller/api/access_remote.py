"""Stanzas of AccessPolicy that ask somebody else: identity providers, and services that say who may."""

from __future__ import annotations

from msgspec import field

from .extension import HeaderValueOrExpression
from .meta import Model
from .policy import PolicyStanza
from .route import BackendReference, ForwardBodyConfig, GRPCAuthConfig, HTTPAuthConfig


class KeySource(Model, frozen=True, kw_only=True):
    """`from[]` of a key or a token: exactly one of `header`, `query` and `cookie`; `prefix` is of a header."""

    header: str = ""
    prefix: str = ""
    query: str = ""
    cookie: str = ""


class ForwardClaim(Model, frozen=True, kw_only=True):
    """`forward[]`: the field that tells the backend a claim; names of claims within claims are joined by dots."""

    claim: str
    header: str


class KeySetName(Model, frozen=True, kw_only=True):
    """An object of the policy's namespace with a JWK Set under `jwks.json`."""

    name: str


class KeySetReference(Model, frozen=True, kw_only=True):
    """`keys`: exactly one of the references leads to a JWK Set.

    `path`, `hostname` and `refresh` go with `backend_ref`.
    """

    config_map_ref: KeySetName | None = None
    secret_ref: KeySetName | None = None
    backend_ref: BackendReference | None = None
    path: str = ""
    hostname: str = ""
    refresh: str = "5m"


class JwtProvider(Model, frozen=True, kw_only=True):
    """`spec.jwt.providers[]`: who signs tokens, and for whom."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    keys: KeySetReference
    forward: tuple[ForwardClaim, ...] = ()


class JwtStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.jwt`: JSON Web Tokens."""

    mode: str = "Required"
    providers: tuple[JwtProvider, ...] = ()
    from_: tuple[KeySource, ...] = field(name="from", default=(KeySource(header="Authorization", prefix="Bearer "),))
    leeway: str = "60s"
    realm: str = ""
    keep: bool = True


class ExternalCache(Model, frozen=True, kw_only=True):
    """`spec.external.cache`: for how long, and for whom, an answer holds.

    `headers`: None: those that the service is given.
    """

    ttl: str = ""
    headers: tuple[str, ...] | None = None
    denials: bool = False


class HTTPExternal(HTTPAuthConfig, frozen=True, kw_only=True):
    """`spec.external.http`: as of the filter, and more.

    Attributes:
        exact: `path` alone is asked for.
        method, host: that the service is asked by; empty: those of the request.
        set_headers: fields that the service is given in any case.
        client_headers: fields of an answer that clients get.
        cookies: Always, or WithSuccess alone.
    """

    exact: bool = False
    method: str = ""
    host: str = ""
    set_headers: tuple[HeaderValueOrExpression, ...] = ()
    client_headers: tuple[str, ...] = ()
    cookies: str = "Always"


class SignIn(Model, frozen=True, kw_only=True):
    """`spec.external.signIn`: where people sign in; `parameter`: of its query, where to come back to (`return_to`)."""

    url: str = ""
    parameter: str = "rd"
    return_to: str = "URL"


class ExternalStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.external`: `HTTPExternalAuthFilter`, and what to do while the service is away."""

    protocol: str = ""
    backend_ref: BackendReference | None = None
    http: HTTPExternal = HTTPExternal()
    grpc: GRPCAuthConfig = GRPCAuthConfig()
    forward_body: ForwardBodyConfig = ForwardBodyConfig()
    timeout: str = "1s"
    on_unavailable: str = "Deny"
    cache: ExternalCache | None = None
    sign_in: SignIn | None = None
