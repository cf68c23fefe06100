"""Filters of our own (`sluicegate.dev/v1alpha1`), linked by `extensionRef`.

RequestHeaderFilter acts on every request of a listener (GEP-5224), HTTPFilter on those of a rule or of a backendRef.
The published schemas are in `deploy/crds`.
"""

from __future__ import annotations

from .meta import Model, Object
from .route import HeaderFilter, HeaderNameValue


class RequestHeaderFilter(Object, frozen=True, kw_only=True):
    """Edits of request headers, as those of a `RequestHeaderModifier`."""

    spec: HeaderFilter = HeaderFilter()


class RespondFilter(Model, frozen=True, kw_only=True):
    """`respond`: an answer in place of a backend's."""

    status: int = 200
    headers: tuple[HeaderNameValue, ...] = ()
    body: str = ""


class PathRegex(Model, frozen=True, kw_only=True):
    """`rewrite.pathRegex`."""

    pattern: str
    replacement: str = ""


class HostFrom(Model, frozen=True, kw_only=True):
    """`rewrite.hostFrom`."""

    header: str


class RewriteFilter(Model, frozen=True, kw_only=True):
    """`rewrite`: of the path by an expression, of the hostname by a header."""

    path_regex: PathRegex | None = None
    host_from: HostFrom | None = None


class HeadersFilter(Model, frozen=True, kw_only=True):
    """`headers`: edits of what is sent to the backend and of what comes back."""

    request: HeaderFilter | None = None
    response: HeaderFilter | None = None


class HTTPFilterSpec(Model, frozen=True, kw_only=True):
    """`HTTPFilter.spec`: one of these."""

    respond: RespondFilter | None = None
    rewrite: RewriteFilter | None = None
    headers: HeadersFilter | None = None


class HTTPFilter(Object, frozen=True, kw_only=True):
    """What the standard filters of a rule do not have."""

    spec: HTTPFilterSpec = HTTPFilterSpec()
