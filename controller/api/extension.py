"""Filters of our own (`sluicegate.dev/v1alpha1`), linked by `extensionRef`.

RequestHeaderFilter acts on every request of a listener (GEP-5224), HTTPFilter on those of a rule or of a backendRef.
The published schemas are in `deploy/crds`.
"""

from __future__ import annotations

import msgspec

from .meta import Model, Object
from .route import BackendReference, Fraction, HeaderFilter, HeaderNameValue, RequestMirrorFilter


class RequestHeaderFilter(Object, frozen=True, kw_only=True):
    """Edits of request headers, as those of a `RequestHeaderModifier`."""

    spec: HeaderFilter = HeaderFilter()


class ConfigMapName(Model, frozen=True, kw_only=True):
    """`configMapRef`: a ConfigMap beside the filter, whose key `response.body` is meant."""

    name: str


class RespondFilter(Model, frozen=True, kw_only=True):
    """`respond`: an answer in place of a backend's."""

    status: int = 200
    headers: tuple[HeaderNameValue, ...] = ()
    body: str = ""
    config_map_ref: ConfigMapName | None = None


class PathRegex(Model, frozen=True, kw_only=True):
    """`rewrite.pathRegex`."""

    pattern: str
    replacement: str = ""


class HostFrom(Model, frozen=True, kw_only=True):
    """`rewrite.hostFrom`."""

    header: str


class LocationRewrite(Model, frozen=True, kw_only=True):
    """One of `rewrite.response.location`."""

    prefix: str
    replacement: str = ""


class CookiePart(Model, frozen=True, kw_only=True):
    """`domain` or `path` of `rewrite.response.cookies[]`."""

    from_: str | None = msgspec.field(name="from", default=None)
    to: str = ""


class CookieRewrite(Model, frozen=True, kw_only=True):
    """One of `rewrite.response.cookies`."""

    name: str | None = None
    domain: CookiePart | None = None
    path: CookiePart | None = None
    secure: bool | None = None
    http_only: bool | None = None
    same_site: str | None = None


class ResponseRewrite(Model, frozen=True, kw_only=True):
    """`rewrite.response`."""

    location: tuple[LocationRewrite, ...] = ()
    cookies: tuple[CookieRewrite, ...] = ()


class RewriteFilter(Model, frozen=True, kw_only=True):
    """`rewrite`: of the path by an expression, of the hostname by a header, of what a response says of both."""

    path_regex: PathRegex | None = None
    host_from: HostFrom | None = None
    response: ResponseRewrite | None = None


class HeaderValueOrExpression(Model, frozen=True, kw_only=True):
    """One of `headers.*.set` and `headers.*.add`."""

    name: str
    value: str | None = None
    expression: str | None = None


class HeaderEdits(Model, frozen=True, kw_only=True):
    """`headers.request` or `headers.response`."""

    set: tuple[HeaderValueOrExpression, ...] = ()
    add: tuple[HeaderValueOrExpression, ...] = ()
    remove: tuple[str, ...] = ()


class HeadersFilter(Model, frozen=True, kw_only=True):
    """`headers`: edits of what is sent to the backend and of what comes back."""

    request: HeaderEdits | None = None
    response: HeaderEdits | None = None


class ErrorPage(Model, frozen=True, kw_only=True):
    """One of `errorPages`."""

    statuses: tuple[int | str, ...] = ()
    from_: str = msgspec.field(name="from", default="Any")
    status: int | None = None
    content_type: str = "text/html; charset=utf-8"
    body: str | None = None
    config_map_ref: ConfigMapName | None = None
    backend_ref: BackendReference | None = None
    path: str = "/"
    timeout: str = "1s"


class SecretKey(Model, frozen=True, kw_only=True):
    """`secretRef`: a Secret beside the filter; `key`: one of its keys, empty for the usual ones."""

    name: str
    key: str = ""


class CredentialFilter(Model, frozen=True, kw_only=True):
    """`credential`: a field with which the gateway proves itself to the backend."""

    secret_ref: SecretKey
    header: str = "Authorization"
    scheme: str | None = None


class FaultShare(Model, frozen=True, kw_only=True):
    """Which share of the requests, as that of a RequestMirror."""

    percent: int | None = None
    fraction: Fraction | None = None


class FaultDelay(FaultShare, frozen=True, kw_only=True):
    """`fault.delay`."""

    duration: str


class FaultAbort(FaultShare, frozen=True, kw_only=True):
    """`fault.abort`."""

    status: int = 503


class FaultFilter(Model, frozen=True, kw_only=True):
    """`fault`: requests that are held up or refused on purpose."""

    when: str | None = None
    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class BufferFilter(Model, frozen=True, kw_only=True):
    """`buffer`: bodies are collected before the backend is asked; `max_size` is a quantity."""

    max_size: int | str


class MirrorFilter(RequestMirrorFilter, frozen=True, kw_only=True):
    """`mirror`: as a RequestMirror; `hostname`: of the copies, empty as of the request; `body`: `Copy` or `None`."""

    hostname: str = ""
    body: str = "Copy"


class TelemetryFilter(Model, frozen=True, kw_only=True):
    """`telemetry`: of which requests there are traces."""

    sampling: Fraction


class HTTPFilterSpec(Model, frozen=True, kw_only=True):
    """`HTTPFilter.spec`: one of these."""

    respond: RespondFilter | None = None
    rewrite: RewriteFilter | None = None
    headers: HeadersFilter | None = None
    error_pages: tuple[ErrorPage, ...] | None = None
    credential: CredentialFilter | None = None
    fault: FaultFilter | None = None
    buffer: BufferFilter | None = None
    mirror: MirrorFilter | None = None
    telemetry: TelemetryFilter | None = None


class HTTPFilter(Object, frozen=True, kw_only=True):
    """What the standard filters of a rule do not have."""

    spec: HTTPFilterSpec = HTTPFilterSpec()
