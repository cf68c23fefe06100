"""Rules of HTTPRoutes and GRPCRoutes: which requests they take, and what becomes of these."""

from __future__ import annotations

import enum
from typing import TypeAlias

from msgspec import field

from .base import Base, Port, Signed64, Unsigned32, Unsigned64

__all__ = [
    "CookiePart",
    "CookieRewrite",
    "Cors",
    "ExactPath",
    "Filter",
    "GrpcMethod",
    "HeaderEdit",
    "HeaderMatch",
    "HeaderValue",
    "HttpRule",
    "ListenerFilter",
    "LocationRewrite",
    "Match",
    "Mirror",
    "PathMatch",
    "PathModifier",
    "PathPrefix",
    "Percentage",
    "QueryMatch",
    "Redirect",
    "RegularExpressionPath",
    "ReplaceFullPath",
    "ReplacePrefixMatch",
    "RequestHeaders",
    "Respond",
    "ResponseHeaders",
    "ResponseRewrite",
    "Retry",
    "Rewrite",
    "Session",
    "SessionCookie",
    "SessionHeader",
    "Substitution",
    "Timeouts",
    "ValueMatchKind",
    "WeightedBackend",
]


class ExactPath(Base, frozen=True, kw_only=True, tag_field="type", tag="Exact"):
    """The whole path, case-sensitive."""

    value: str


class PathPrefix(Base, frozen=True, kw_only=True, tag_field="type", tag="PathPrefix"):
    """By segment; no trailing slash except `/` itself."""

    value: str


class RegularExpressionPath(Base, frozen=True, kw_only=True, tag_field="type", tag="RegularExpression"):
    """RE2 syntax, matched against the whole path."""

    value: str


class ValueMatchKind(enum.Enum):
    """How the value of a header, of a query parameter or of a gRPC service or method is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class GrpcMethod(Base, frozen=True, kw_only=True, tag_field="type", tag="GrpcMethod"):
    """`GRPCMethodMatch`: the path `/<service>/<method>`; an absent part holds for any, each part is compared whole."""

    kind: ValueMatchKind = ValueMatchKind.EXACT
    service: str | None = None
    method: str | None = None

    @property
    def value(self) -> str:
        """The path that it holds for, for people: `*` stands for an absent part."""
        return f"/{self.service or '*'}/{self.method or '*'}"


PathMatch: TypeAlias = ExactPath | PathPrefix | RegularExpressionPath | GrpcMethod


class HeaderMatch(Base, frozen=True, kw_only=True):
    """One of `matches[].headers[]`; `name` is lower case."""

    kind: ValueMatchKind = field(default=ValueMatchKind.EXACT, name="type")
    name: str
    value: str


class QueryMatch(Base, frozen=True, kw_only=True):
    """One of `matches[].queryParams[]`; `name` is compared as it is."""

    kind: ValueMatchKind = field(default=ValueMatchKind.EXACT, name="type")
    name: str
    value: str


class Match(Base, frozen=True, kw_only=True):
    """All parts must hold (AND); the matches of a rule are alternatives (OR).

    `method` empty: any. The names of `headers` and of `query` are unique.
    """

    path: PathMatch
    method: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()


class HeaderValue(Base, frozen=True, kw_only=True):
    """A header field, its name as written.

    `expression`: what it comes to is the value, in place of `value`; where that is nothing there is no field.
    """

    name: str
    value: str = ""
    expression: str | None = None


class HeaderEdit(Base, frozen=True, kw_only=True):
    """Applied in the order set, add, remove; names compare case-insensitively."""

    set: tuple[HeaderValue, ...] = ()
    add: tuple[HeaderValue, ...] = ()
    remove: tuple[str, ...] = ()


class RequestHeaders(HeaderEdit, frozen=True, kw_only=True, tag_field="type", tag="request_headers"):
    """`RequestHeaderModifier`."""


class ResponseHeaders(HeaderEdit, frozen=True, kw_only=True, tag_field="type", tag="response_headers"):
    """`ResponseHeaderModifier`."""


class ReplaceFullPath(Base, frozen=True, kw_only=True, tag_field="type", tag="ReplaceFullPath"):
    """`HTTPPathModifier.replaceFullPath`."""

    value: str


class ReplacePrefixMatch(Base, frozen=True, kw_only=True, tag_field="type", tag="ReplacePrefixMatch"):
    """`HTTPPathModifier.replacePrefixMatch`: replaces what the winning PathPrefix matched."""

    value: str


PathModifier: TypeAlias = ReplaceFullPath | ReplacePrefixMatch


class Substitution(Base, frozen=True, kw_only=True):
    r"""`HTTPFilter.spec.rewrite.path`: every place of the path where a pattern matches is replaced.

    `pattern`: RE2 syntax, searched for in the path. `replacement`: `\N` is what group N matched, `\0` all of it.
    """

    pattern: str
    replacement: str


class Redirect(Base, frozen=True, kw_only=True, tag_field="type", tag="redirect"):
    """`RequestRedirect`. An absent part is taken from the request; `port`: from `scheme`, else from the listener."""

    scheme: str | None = None
    hostname: str | None = None
    path: PathModifier | None = None
    port: Port | None = None
    status: Port


class Rewrite(Base, frozen=True, kw_only=True, tag_field="type", tag="rewrite"):
    """`URLRewrite`, or an HTTPFilter's `rewrite`.

    `host_from`: name of a header of the request whose value, where it is a host, is the hostname. `substitution` stands
    in place of `path`.
    """

    hostname: str | None = None
    host_from: str | None = None
    path: PathModifier | None = None
    substitution: Substitution | None = None


class Respond(Base, frozen=True, kw_only=True, tag_field="type", tag="respond"):
    """An HTTPFilter's `respond`: an answer in place of a backend's. `headers` are those of `body` too."""

    status: Port
    headers: tuple[HeaderValue, ...] = ()
    body: str = ""


class LocationRewrite(Base, frozen=True, kw_only=True):
    """What a `Location` begins with, and what stands there instead."""

    prefix: str
    replacement: str


class CookiePart(Base, frozen=True, kw_only=True):
    """An attribute of a cookie: `value` is what it has then; empty: it has none. `before`: only where it is that."""

    before: str | None = None
    value: str


class CookieRewrite(Base, frozen=True, kw_only=True):
    """What becomes of the cookies of a response.

    Attributes:
        name: of one of them; None: of all.
        domain: names compare without case and without a dot before them.
        path: `before` is what it begins with, and `value` stands in place of that.
        secure, http_only: whether it has the flag; None: as it came.
        same_site: `Strict`, `Lax` or `None`; None: as it came.
    """

    name: str | None = None
    domain: CookiePart | None = None
    path: CookiePart | None = None
    secure: bool | None = None
    http_only: bool | None = None
    same_site: str | None = None


class ResponseRewrite(Base, frozen=True, kw_only=True, tag_field="type", tag="response_rewrite"):
    """An HTTPFilter's `rewrite.response`: what a backend says of where it is, as its clients see it.

    Attributes:
        location: of `Location` and `Refresh`; the first that fits.
        cookies: of `Set-Cookie`; the first that fits.
    """

    location: tuple[LocationRewrite, ...] = ()
    cookies: tuple[CookieRewrite, ...] = ()


class Percentage(Base, frozen=True, kw_only=True):
    """`numerator` out of `denominator` requests."""

    numerator: Unsigned32
    denominator: Unsigned32


class Mirror(Base, frozen=True, kw_only=True, tag_field="type", tag="mirror"):
    """`RequestMirror`, or `mirror` of an HTTPFilter.

    Attributes:
        backend: id.
        hostname: of the copies; empty: that of the request.
        without_body: copies have none.
    """

    backend: str
    percentage: Percentage
    hostname: str = ""
    without_body: bool = False


class Cors(Base, frozen=True, kw_only=True, tag_field="type", tag="cors"):
    """`HTTPCORSFilter` (GEP-1767). `max_age` in seconds.

    `allow_origins`: `*`, `https://www.example.com`, `https://*.example.com`, each with an optional port.
    """

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Unsigned32


Filter: TypeAlias = RequestHeaders | ResponseHeaders | Redirect | Rewrite | ResponseRewrite | Mirror | Cors | Respond
#: What a listener may have of them.
ListenerFilter: TypeAlias = RequestHeaders | ResponseHeaders | Respond


class WeightedBackend(Base, frozen=True, kw_only=True):
    """One of `backendRefs[]`, in the order written.

    `backend` is a backend id; absent where the reference is invalid: its share of the requests gets 500.
    `filters` (header edits, rewrite, mirrors) come after the rule's own.
    """

    backend: str | None = None
    weight: Unsigned32
    filters: tuple[Filter, ...] = ()


class Timeouts(Base, frozen=True, kw_only=True):
    """Milliseconds; 0: none."""

    request_ms: Unsigned64 = 0
    backend_request_ms: Unsigned64 = 0


class Retry(Base, frozen=True, kw_only=True):
    """`HTTPRouteRetry` (GEP-1731). `attempts`: retries after the first try, 0 means none."""

    codes: tuple[Port, ...] = ()
    attempts: Unsigned32
    backoff_ms: Unsigned64


class SessionCookie(Base, frozen=True, kw_only=True, tag_field="type", tag="Cookie"):
    """A cookie that keeps a session.

    `permanent`: clients are told to keep it for as long as the session may last, else until they end.
    """

    name: str
    path: str
    permanent: bool = False


class SessionHeader(Base, frozen=True, kw_only=True, tag_field="type", tag="Header"):
    """A field that keeps a session: clients send back what a response had; `name` is lower case."""

    name: str


class Session(Base, frozen=True, kw_only=True):
    """`sessionPersistence` (GEP-1619): requests of a client go to the endpoint that its first one went to.

    `absolute_timeout_ms`: after that a session begins anew; 0: never.
    """

    carrier: SessionCookie | SessionHeader
    absolute_timeout_ms: Unsigned64 = 0


class HttpRule(Base, frozen=True, kw_only=True):
    """One of `HTTPRoute.spec.rules[]` or `GRPCRoute.spec.rules[]`, validated and resolved.

    Attributes:
        id: `HTTPRoute/<namespace>/<name>/<rule index>`; likewise for GRPCRoute.
        route: `HTTPRoute/<namespace>/<name>`; likewise for GRPCRoute.
        name: `rules[].name`.
        created: seconds since 1970, 0 where unknown; the older route wins a tie.
        index: place of the rule in its route; the first wins a tie.
        listeners: ids of listeners that the route is attached to.
        attachments: ids; the route is attached to their listeners too.
        hostnames: the route's own, lower case, not intersected with the listeners'. Empty: any.
        matches: never empty: the API's default is one PathPrefix `/`.
        filters: in the order written.
        backends: in the order written.
        timeouts: `rules[].timeouts`.
        retry: `rules[].retry`.
        session: `rules[].sessionPersistence`.
        invalid: a filter cannot be honoured: every request that the rule wins gets 500.
        grpc: the rule of a GRPCRoute: what the gateway itself answers is a gRPC status, and backends are spoken to in
            HTTP/2 whatever their protocol says.
        policies: ids, of its route and itself, in the order in which they act.
    """

    id: str
    route: str
    name: str = ""
    created: Signed64 = 0
    index: Unsigned32
    listeners: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
    session: Session | None = None
    invalid: bool = False
    grpc: bool = False
    policies: tuple[str, ...] = ()
