"""`HTTPExternalAuthFilter` (GEP-1494) to what the engine asks by, of whatever object it is a part."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sluicegate import ir

from ..api import BackendReference, ExternalAuthFilter
from .unsupported import Unsupported
from .values import name_error, path_error, told_name_error

#: `query` of RFC 3986, section 3.4, without a fragment behind it.
_QUERY = re.compile(r"(?:[-A-Za-z0-9._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*", re.ASCII)
#: Octets of a body that the gateway keeps while a service is asked about it: each request may take so many.
MAX_FORWARDED_BODY = 1024 * 1024

#: How long a service may take where nothing says so: those that look up a password are slow.
DEFAULT_TIMEOUT_MS = 10_000


def external_service(
    auth: ExternalAuthFilter,
    field: str,
    resolve: Callable[[BackendReference, str], str | None],
    *,
    timeout_ms: int = DEFAULT_TIMEOUT_MS,
    allow_unavailable: bool = False,
    exact_path: bool = False,
) -> ir.ExternalService:
    """Translate it; `resolve` takes its reference and the field of that. Without backend it cannot be honoured.

    Raises:
        Unsupported: a part of it cannot be honoured.
    """
    if auth.protocol not in {"HTTP", "GRPC"}:
        raise Unsupported(f"{field}.protocol", f"protocol {auth.protocol} is not known", "use HTTP or GRPC")
    most = auth.forward_body.max_size
    if not 0 <= most <= MAX_FORWARDED_BODY:
        message = f"{most} octets are more than the {MAX_FORWARDED_BODY} that are kept of a body"
        raise Unsupported(f"{field}.forwardBody.maxSize", message, f"use 0 to {MAX_FORWARDED_BODY}")
    is_http = auth.protocol == "HTTP"
    config = auth.http if is_http else auth.grpc
    at = f"{field}.{'http' if is_http else 'grpc'}"
    return ir.ExternalService(
        backend=resolve(auth.backend_ref, f"{field}.backendRef"),
        protocol=ir.ExternalProtocol.HTTP if is_http else ir.ExternalProtocol.GRPC,
        path=_path(auth.http.path, f"{at}.path", with_query=exact_path) if is_http else "",
        exact_path=exact_path and is_http,
        allowed_headers=_names(config.allowed_headers, f"{at}.allowedHeaders", name_error),
        allowed_response_headers=_names(
            auth.http.allowed_response_headers, f"{at}.allowedResponseHeaders", told_name_error
        )
        if is_http
        else (),
        forward_body_bytes=most,
        timeout_ms=timeout_ms,
        allow_unavailable=allow_unavailable,
    )


def _path(value: str, field: str, *, with_query: bool) -> str:
    """The path; where it alone is asked for it may have a query, which goes as it is written.

    Raises:
        Unsupported: it is none.
    """
    if not value:
        return ""
    written = value if value.startswith("/") else f"/{value}"
    path, mark, query = written.partition("?")
    if mark and not with_query:
        message = f"path {value!r} has a query, and the path of the request would stand behind it"
        raise Unsupported(field, message, "have the service decide by its path; AccessPolicy has `exact`")
    error = path_error(path)
    if error is not None:
        raise Unsupported(field, f"path {value!r} {error}", "give a path such as /check")
    if not _QUERY.fullmatch(query):
        raise Unsupported(field, f"path {value!r} has a character that no query has", "encode it by percent signs")
    return written


def _names(names: Sequence[str], field: str, error_of: Callable[[str], str]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        error = error_of(name)
        if error:
            raise Unsupported(f"{field}[{index}]", f"{name!r} {error}", "name another one, or leave it out")
    return tuple(dict.fromkeys(name.lower() for name in names))
