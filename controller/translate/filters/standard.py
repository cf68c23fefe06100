"""The filters of the standard: mirrors, redirects, rewrites, CORS."""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ...api import (
    CORSFilter,
    ExternalAuthFilter,
    PathModifier,
    RequestMirrorFilter,
    RequestRedirectFilter,
    URLRewriteFilter,
)
from ..external_auth import external_service
from ..unsupported import Unsupported
from ..values import MAX_INT32, MAX_PORT, hostname_error, is_origin, is_token
from .context import FilterContext

_WELL_KNOWN_PORTS = {"http": 80, "https": 443}
REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
CORS_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"})


def mirror(mirror: RequestMirrorFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `RequestMirror`."""
    if mirror.fraction is not None:
        numerator, denominator = mirror.fraction.numerator, mirror.fraction.denominator
    else:
        numerator, denominator = (100 if mirror.percent is None else mirror.percent), 100
    if mirror.percent is not None and mirror.fraction is not None:
        raise Unsupported(field, "percent and fraction cannot be combined", "keep one of them")
    if not 0 <= numerator <= denominator or not 0 < denominator <= MAX_INT32:
        raise Unsupported(field, f"{numerator} of {denominator} is not a share of requests", "use 0 to 100 percent")
    backend = context.resolve(mirror.backend_ref, context.place(f"{field}.backendRef"))
    if backend is None:
        return ()
    return (ir.Mirror(backend=backend, percentage=ir.Percentage(numerator=numerator, denominator=denominator)),)


def redirect(redirect: RequestRedirectFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `RequestRedirect`."""
    if redirect.scheme is not None and redirect.scheme not in {"http", "https"}:
        raise Unsupported(f"{field}.scheme", f"scheme {redirect.scheme} is not supported", "use http or https")
    if redirect.status_code not in REDIRECT_CODES:
        codes = ", ".join(map(str, sorted(REDIRECT_CODES)))
        raise Unsupported(f"{field}.statusCode", f"status {redirect.status_code} is no redirect", f"use {codes}")
    if redirect.port is not None and not 0 < redirect.port <= MAX_PORT:
        raise Unsupported(f"{field}.port", f"{redirect.port} is not a port", f"use 1 to {MAX_PORT}")
    made = ir.Redirect(
        scheme=redirect.scheme,
        hostname=_hostname(redirect.hostname, field),
        path=_path_modifier(redirect.path, field, context),
        port=_redirect_port(redirect, context),
        status=redirect.status_code,
    )
    return (made,)


def _redirect_port(redirect: RequestRedirectFilter, context: FilterContext) -> int | None:
    """The port of a redirect: the filter's, or where the scheme's own is one that clients reach elsewhere, that one."""
    port = redirect.port
    if port is None and redirect.scheme is not None:
        port = _WELL_KNOWN_PORTS[redirect.scheme]
    return redirect.port if port is None else context.moved_ports.get(port, redirect.port)


def rewrite(rewrite: URLRewriteFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `URLRewrite`."""
    return (ir.Rewrite(hostname=_hostname(rewrite.hostname, field), path=_path_modifier(rewrite.path, field, context)),)


def _hostname(value: str | None, field: str) -> str | None:
    if value is None:
        return None
    error = hostname_error(value.lower(), wildcard=False)
    if error is not None:
        raise Unsupported(f"{field}.hostname", f"hostname {value} {error}", "use a name such as www.example.com")
    return value.lower()


def _path_modifier(modifier: PathModifier | None, field: str, context: FilterContext) -> ir.PathModifier | None:
    if modifier is None:
        return None
    if modifier.type == "ReplaceFullPath" and modifier.replace_full_path is not None:
        return ir.ReplaceFullPath(value=path_value(modifier.replace_full_path, f"{field}.path.replaceFullPath"))
    if modifier.type == "ReplacePrefixMatch" and modifier.replace_prefix_match is not None:
        if not context.prefix_only:
            message = "ReplacePrefixMatch needs matches of type PathPrefix only"
            raise Unsupported(f"{field}.path.type", message, "split the rule, or use ReplaceFullPath")
        return ir.ReplacePrefixMatch(
            value=path_value(modifier.replace_prefix_match, f"{field}.path.replacePrefixMatch")
        )
    message = f"path modifier {modifier.type} is not supported or has no value"
    raise Unsupported(f"{field}.path.type", message, "use ReplaceFullPath or ReplacePrefixMatch")


def path_value(value: str, field: str) -> str:
    """A part of a path, as it is written.

    Raises:
        Unsupported: it is none.
    """
    if any(not "!" <= character <= "~" for character in value) or "#" in value or "?" in value:
        raise Unsupported(field, f"{value!r} is not a path", "percent-encode it")
    return value


def external_auth(auth: ExternalAuthFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """An `ExternalAuth`: a policy of the rule."""
    service = external_service(auth, field, lambda reference, at: context.resolve(reference, f"{context.path}.{at}"))
    policy = ir.ExternalAuth(id=f"{context.rule}/{ir.ExternalAuth.stanza}", service=service)
    context.made.append(msgspec.structs.replace(policy, invalid=service.backend is None))
    return ()


def cors(cors: CORSFilter, field: str, _context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `CORS`."""
    for index, origin in enumerate(cors.allow_origins):
        if not is_origin(origin):
            message = f"{origin!r} is not an origin"
            raise Unsupported(f"{field}.allowOrigins[{index}]", message, "use https://www.example.com or *")
    for index, method in enumerate(cors.allow_methods):
        if method not in CORS_METHODS:
            raise Unsupported(
                f"{field}.allowMethods[{index}]", f"{method!r} is not a method", "use GET, POST, ... or *"
            )
    for name, values in (("allowHeaders", cors.allow_headers), ("exposeHeaders", cors.expose_headers)):
        for index, value in enumerate(values):
            if not is_token(value):
                raise Unsupported(f"{field}.{name}[{index}]", f"{value!r} is not a header name", "correct it")
    if not 0 <= cors.max_age <= MAX_INT32:
        raise Unsupported(f"{field}.maxAge", f"{cors.max_age} is not a time in seconds", "use 1 or more")
    made = ir.Cors(
        allow_origins=cors.allow_origins,
        allow_credentials=cors.allow_credentials,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        expose_headers=cors.expose_headers,
        max_age=cors.max_age,
    )
    return (made,)
