"""HTTPRoute, and what all route kinds have in common (`gateway.networking.k8s.io`), with the API's defaults."""

from __future__ import annotations

import msgspec

from .meta import GATEWAY_GROUP, Model, Object


class ParentReference(Model, frozen=True, kw_only=True):
    """`parentRefs[]`. `namespace`, `section_name` and `port` stay absent where the author left them out."""

    name: str
    group: str = GATEWAY_GROUP
    kind: str = "Gateway"
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None


class PathMatch(Model, frozen=True, kw_only=True):
    """`matches[].path`."""

    type: str = "PathPrefix"
    value: str = "/"


class NameValueMatch(Model, frozen=True, kw_only=True):
    """`matches[].headers[]` and `matches[].queryParams[]`."""

    name: str
    value: str
    type: str = "Exact"


class RouteMatch(Model, frozen=True, kw_only=True):
    """`matches[]`."""

    path: PathMatch = PathMatch()
    headers: tuple[NameValueMatch, ...] = ()
    query_params: tuple[NameValueMatch, ...] = ()
    method: str = ""


class HeaderNameValue(Model, frozen=True, kw_only=True):
    """`HTTPHeader`."""

    name: str
    value: str


class HeaderFilter(Model, frozen=True, kw_only=True):
    """`HTTPHeaderFilter`."""

    set: tuple[HeaderNameValue, ...] = ()
    add: tuple[HeaderNameValue, ...] = ()
    remove: tuple[str, ...] = ()


class BackendReference(Model, frozen=True, kw_only=True):
    """`BackendObjectReference`; without namespace it is the route's."""

    name: str
    group: str = ""
    kind: str = "Service"
    namespace: str | None = None
    port: int | None = None


class Fraction(Model, frozen=True, kw_only=True):
    """`Fraction`."""

    numerator: int
    denominator: int = 100


class RequestMirrorFilter(Model, frozen=True, kw_only=True):
    """`HTTPRequestMirrorFilter`."""

    backend_ref: BackendReference
    percent: int | None = None
    fraction: Fraction | None = None


class PathModifier(Model, frozen=True, kw_only=True):
    """`HTTPPathModifier`."""

    type: str
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class RequestRedirectFilter(Model, frozen=True, kw_only=True):
    """`HTTPRequestRedirectFilter`."""

    scheme: str | None = None
    hostname: str | None = None
    path: PathModifier | None = None
    port: int | None = None
    status_code: int = 302


class URLRewriteFilter(Model, frozen=True, kw_only=True):
    """`HTTPURLRewriteFilter`."""

    hostname: str | None = None
    path: PathModifier | None = None


class CORSFilter(Model, frozen=True, kw_only=True):
    """`HTTPCORSFilter`."""

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 5


class HTTPAuthConfig(Model, frozen=True, kw_only=True):
    """`HTTPAuthConfig`."""

    path: str = ""
    allowed_headers: tuple[str, ...] = ()
    allowed_response_headers: tuple[str, ...] = ()


class GRPCAuthConfig(Model, frozen=True, kw_only=True):
    """`GRPCAuthConfig`."""

    allowed_headers: tuple[str, ...] = ()


class ForwardBodyConfig(Model, frozen=True, kw_only=True):
    """`ForwardBodyConfig`; octets."""

    max_size: int = 0


class ExternalAuthFilter(Model, frozen=True, kw_only=True):
    """`HTTPExternalAuthFilter` (GEP-1494)."""

    protocol: str
    backend_ref: BackendReference
    http: HTTPAuthConfig = HTTPAuthConfig()
    grpc: GRPCAuthConfig = GRPCAuthConfig()
    forward_body: ForwardBodyConfig = ForwardBodyConfig()


class ExtensionReference(Model, frozen=True, kw_only=True):
    """`extensionRef` of a filter."""

    group: str = ""
    kind: str = ""
    name: str = ""


class RouteFilter(Model, frozen=True, kw_only=True):
    """`filters[]`: `type` says which of the others is meant."""

    type: str
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_mirror: RequestMirrorFilter | None = None
    request_redirect: RequestRedirectFilter | None = None
    url_rewrite: URLRewriteFilter | None = None
    cors: CORSFilter | None = None
    external_auth: ExternalAuthFilter | None = None
    extension_ref: ExtensionReference | None = None


class WeightedBackendReference(BackendReference, frozen=True, kw_only=True):
    """`backendRefs[]` of a TLSRoute, TCPRoute or UDPRoute."""

    weight: int = 1


class HTTPBackendReference(WeightedBackendReference, frozen=True, kw_only=True):
    """`backendRefs[]` of an HTTPRoute or GRPCRoute."""

    filters: tuple[RouteFilter, ...] = ()


class CommonRouteSpec(Model, frozen=True, kw_only=True):
    """`CommonRouteSpec`: how a route is attached."""

    parent_refs: tuple[ParentReference, ...] = ()
    use_default_gateways: str = msgspec.field(default="None")


class RouteTimeouts(Model, frozen=True, kw_only=True):
    """`timeouts`; Gateway API durations (GEP-2257)."""

    request: str | None = None
    backend_request: str | None = None


class RouteRetry(Model, frozen=True, kw_only=True):
    """`retry`."""

    codes: tuple[int, ...] = ()
    attempts: int = 1
    backoff: str | None = None


class CookiePersistence(Model, frozen=True, kw_only=True):
    """`sessionPersistence.cookie`."""

    name: str = ""
    path: str = "/"
    lifetime_type: str = "Session"


class HeaderPersistence(Model, frozen=True, kw_only=True):
    """`sessionPersistence.header`."""

    name: str


class SessionPersistence(Model, frozen=True, kw_only=True):
    """`sessionPersistence` (GEP-1619)."""

    type: str = "Cookie"
    absolute_timeout: str | None = None
    cookie: CookiePersistence | None = None
    header: HeaderPersistence | None = None


class HTTPRouteRule(Model, frozen=True, kw_only=True):
    """`HTTPRoute.spec.rules[]`."""

    name: str = ""
    matches: tuple[RouteMatch, ...] = (RouteMatch(),)
    filters: tuple[RouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendReference, ...] = ()
    timeouts: RouteTimeouts | None = None
    retry: RouteRetry | None = None
    session_persistence: SessionPersistence | None = None


class HTTPRouteSpec(CommonRouteSpec, frozen=True, kw_only=True):
    """`HTTPRoute.spec`."""

    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = (HTTPRouteRule(),)


class HTTPRoute(Object, frozen=True, kw_only=True):
    """Rules that forward HTTP requests to Services."""

    spec: HTTPRouteSpec
