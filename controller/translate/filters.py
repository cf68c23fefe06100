"""Filters of rules and of backendRefs to IR filters.

A filter that cannot be honoured is never skipped: it raises `Unsupported`, and the requests of its rule get 500.
References are different: a mirror to a backend that does not resolve is left out, as the API says, and shows in
`ResolvedRefs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sluicegate import ir

from ..api import (
    BackendReference,
    CORSFilter,
    Diagnostics,
    ExternalAuthFilter,
    HeaderFilter,
    LocalObjectReference,
    PathModifier,
    RequestMirrorFilter,
    RequestRedirectFilter,
    RouteFilter,
    URLRewriteFilter,
)
from ..api.route import HeaderNameValue
from .conditions import Reason
from .external_auth import external_service
from .unsupported import Unsupported
from .values import MAX_INT32, MAX_PORT, header_value_error, hostname_error, is_origin, is_token

_WELL_KNOWN_PORTS = {"http": 80, "https": 443}
REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
CORS_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"})

#: Fields that belong to the connection or to message framing: the gateway writes them itself (RFC 9110, 7.6.1).
MANAGED_FIELDS = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


#: Resolves a backendRef at a path: the backend id, or None (already noted).
Resolve = Callable[[BackendReference, str], "str | None"]


@dataclass(frozen=True, slots=True)
class FilterContext:
    """Where a list of filters is written.

    Attributes:
        path: absolute field of the list's owner, for diagnostics.
        prefix_only: every match of the rule is a PathPrefix (what ReplacePrefixMatch needs).
        in_backend: the filters belong to a backendRef.
        owner: kind of the object that they are written in.
        resolve: resolves mirrors.
        diagnostics: takes warnings.
        moved_ports: ports of listeners that clients reach at another one, and that other one.
        rule: IR id of the rule.
        made: policies that filters come to, put here: who asks somebody is no filter of the engine.
    """

    path: str
    prefix_only: bool
    in_backend: bool
    owner: str
    resolve: Resolve
    diagnostics: Diagnostics
    moved_ports: Mapping[int, int] = field(default_factory=dict)
    rule: str = ""
    made: list[ir.ExternalAuth] = field(default_factory=list)


def translate_filters(filters: Sequence[RouteFilter], context: FilterContext) -> tuple[ir.Filter, ...]:
    """Translate a list of filters, in the order written.

    Raises:
        Unsupported: a filter cannot be honoured; its field is relative to the path of the context.
    """
    _check_combination(filters)
    translated = [_translate(item, f"filters[{index}]", context) for index, item in enumerate(filters)]
    return tuple(item for item in translated if item is not None)


def _check_combination(filters: Sequence[RouteFilter]) -> None:
    types = [item.type for item in filters]
    if "URLRewrite" in types and "RequestRedirect" in types:
        message = "URLRewrite and RequestRedirect cannot be combined"
        raise Unsupported("filters", message, "keep one of them", Reason.INCOMPATIBLE_FILTERS)
    for kind in dict.fromkeys(types):
        if types.count(kind) > 1 and not (kind in FILTERS and FILTERS[kind].several):
            raise Unsupported("filters", f"{kind} is given more than once", "merge them", Reason.INCOMPATIBLE_FILTERS)


def _translate(item: RouteFilter, field: str, context: FilterContext) -> ir.Filter | None:
    kind = FILTERS.get(item.type)
    if kind is None or context.owner not in kind.owners:
        message = f"filter {item.type} is not supported here"
        raise Unsupported(f"{field}.type", message, "remove the filter")
    if context.in_backend and not kind.in_backends:
        message = f"{item.type} is not supported in a backendRef"
        raise Unsupported(f"{field}.type", message, "use it in the rule")
    content = getattr(item, kind.content)
    if content is None and item.type != "ExtensionRef":
        message = f"filter {item.type} is not supported or has no content"
        raise Unsupported(f"{field}.type", message, "remove the filter")
    return kind.translate(content, f"{field}.{kind.field}", context)


def _extension(reference: LocalObjectReference | None, field: str, _context: FilterContext) -> ir.Filter | None:
    label = f"{reference.group}/{reference.kind} {reference.name}" if reference is not None else "(none)"
    message = f"no filter of kind {label} is known"
    raise Unsupported(field, message, "remove the filter", Reason.INVALID_KIND)


def _request_headers(modifier: HeaderFilter, field: str, context: FilterContext) -> ir.Filter:
    edit = _edit(modifier, field, context)
    return ir.RequestHeaders(set=edit.set, add=edit.add, remove=edit.remove)


def _response_headers(modifier: HeaderFilter, field: str, context: FilterContext) -> ir.Filter:
    edit = _edit(modifier, field, context)
    return ir.ResponseHeaders(set=edit.set, add=edit.add, remove=edit.remove)


def _edit(edit: HeaderFilter, field: str, context: FilterContext) -> ir.HeaderEdit:
    """Check names and values; of equivalent names the first one counts (`HTTPHeader.name`)."""
    remove = tuple(
        name for index, name in enumerate(edit.remove) if _usable_name(name, f"{field}.remove[{index}]", context)
    )
    actions = [item.name.lower() for item in (*edit.set, *edit.add)] + [name.lower() for name in edit.remove]
    repeated = sorted({name for name in actions if actions.count(name) > 1})
    if repeated:
        message = f"several actions for {', '.join(repeated)}: set, add and remove are applied in this order"
        context.diagnostics.warning(
            f"{context.path}.{field}", "repeated-header", message, "keep one action for each header"
        )
    return ir.HeaderEdit(
        set=_values(edit.set, f"{field}.set", context),
        add=_values(edit.add, f"{field}.add", context),
        remove=remove,
    )


def _values(items: Sequence[HeaderNameValue], field: str, context: FilterContext) -> tuple[ir.HeaderValue, ...]:
    found: dict[str, ir.HeaderValue] = {}
    for index, item in enumerate(items):
        place = f"{field}[{index}]"
        error = header_value_error(item.value)
        if error is not None:
            raise Unsupported(f"{place}.value", f"the value of {item.name!r} {error}", "use printable characters")
        if _usable_name(item.name, f"{place}.name", context):
            found.setdefault(item.name.lower(), ir.HeaderValue(name=item.name, value=item.value))
    return tuple(found.values())


def _usable_name(name: str, field: str, context: FilterContext) -> bool:
    if not is_token(name):
        raise Unsupported(field, f"{name!r} is not a header name", "use letters, digits and -")
    if name.lower() in MANAGED_FIELDS:
        message = f"{name} belongs to the connection: the gateway writes it itself and ignores this entry"
        context.diagnostics.warning(f"{context.path}.{field}", "managed-header", message, "remove the entry")
        return False
    return True


def _mirror(mirror: RequestMirrorFilter, field: str, context: FilterContext) -> ir.Filter | None:
    if mirror.fraction is not None:
        numerator, denominator = mirror.fraction.numerator, mirror.fraction.denominator
    else:
        numerator, denominator = (100 if mirror.percent is None else mirror.percent), 100
    if mirror.percent is not None and mirror.fraction is not None:
        raise Unsupported(field, "percent and fraction cannot be combined", "keep one of them")
    if not 0 <= numerator <= denominator or not 0 < denominator <= MAX_INT32:
        raise Unsupported(field, f"{numerator} of {denominator} is not a share of requests", "use 0 to 100 percent")
    backend = context.resolve(mirror.backend_ref, f"{context.path}.{field}.backendRef")
    if backend is None:
        return None
    return ir.Mirror(backend=backend, percentage=ir.Percentage(numerator=numerator, denominator=denominator))


def _redirect(redirect: RequestRedirectFilter, field: str, context: FilterContext) -> ir.Filter:
    if redirect.scheme is not None and redirect.scheme not in {"http", "https"}:
        raise Unsupported(f"{field}.scheme", f"scheme {redirect.scheme} is not supported", "use http or https")
    if redirect.status_code not in REDIRECT_CODES:
        codes = ", ".join(map(str, sorted(REDIRECT_CODES)))
        raise Unsupported(f"{field}.statusCode", f"status {redirect.status_code} is no redirect", f"use {codes}")
    if redirect.port is not None and not 0 < redirect.port <= MAX_PORT:
        raise Unsupported(f"{field}.port", f"{redirect.port} is not a port", f"use 1 to {MAX_PORT}")
    return ir.Redirect(
        scheme=redirect.scheme,
        hostname=_hostname(redirect.hostname, field),
        path=_path_modifier(redirect.path, field, context),
        port=_redirect_port(redirect, context),
        status=redirect.status_code,
    )


def _redirect_port(redirect: RequestRedirectFilter, context: FilterContext) -> int | None:
    """The port of a redirect: the filter's, or where the scheme's own is one that clients reach elsewhere, that one."""
    port = redirect.port
    if port is None and redirect.scheme is not None:
        port = _WELL_KNOWN_PORTS[redirect.scheme]
    return redirect.port if port is None else context.moved_ports.get(port, redirect.port)


def _rewrite(rewrite: URLRewriteFilter, field: str, context: FilterContext) -> ir.Filter:
    return ir.Rewrite(hostname=_hostname(rewrite.hostname, field), path=_path_modifier(rewrite.path, field, context))


def _external_auth(auth: ExternalAuthFilter, field: str, context: FilterContext) -> ir.Filter | None:
    service = external_service(auth, field, lambda reference, at: context.resolve(reference, f"{context.path}.{at}"))
    policy = ir.ExternalAuth(id=f"{context.rule}/{ir.ExternalAuth.stanza}", service=service)
    context.made.append(msgspec.structs.replace(policy, invalid=service.backend is None))
    return None


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
        return ir.ReplaceFullPath(value=_path_value(modifier.replace_full_path, f"{field}.path.replaceFullPath"))
    if modifier.type == "ReplacePrefixMatch" and modifier.replace_prefix_match is not None:
        if not context.prefix_only:
            message = "ReplacePrefixMatch needs matches of type PathPrefix only"
            raise Unsupported(f"{field}.path.type", message, "split the rule, or use ReplaceFullPath")
        return ir.ReplacePrefixMatch(
            value=_path_value(modifier.replace_prefix_match, f"{field}.path.replacePrefixMatch")
        )
    message = f"path modifier {modifier.type} is not supported or has no value"
    raise Unsupported(f"{field}.path.type", message, "use ReplaceFullPath or ReplacePrefixMatch")


def _path_value(value: str, field: str) -> str:
    if any(not "!" <= character <= "~" for character in value) or "#" in value or "?" in value:
        raise Unsupported(field, f"{value!r} is not a path", "percent-encode it")
    return value


def _cors(cors: CORSFilter, field: str, _context: FilterContext) -> ir.Filter:
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
    return ir.Cors(
        allow_origins=cors.allow_origins,
        allow_credentials=cors.allow_credentials,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        expose_headers=cors.expose_headers,
        max_age=cors.max_age,
    )


@dataclass(frozen=True, slots=True)
class FilterKind:
    """A type of filter.

    Attributes:
        content: attribute of `RouteFilter` that has its content.
        field: the same in the API.
        translate: makes IR of the content at a field; None: the filter has no effect.
        owners: kinds of objects whose rules and backendRefs may have it.
        in_backends: it may stand in a backendRef.
        several: a list may have more than one.
        answers: it answers in place of a backend.
    """

    content: str
    field: str
    translate: Callable[[Any, str, FilterContext], ir.Filter | None]
    owners: frozenset[str] = frozenset({"HTTPRoute", "GRPCRoute"})
    in_backends: bool = True
    several: bool = False
    answers: bool = False


_OF_HTTP = frozenset({"HTTPRoute"})
#: A RequestHeaderFilter is the content of a modifier, in an object of its own (`listener_filters`).
_OF_LISTENERS = frozenset({"HTTPRoute", "GRPCRoute", "RequestHeaderFilter"})

#: All types of filters.
FILTERS: dict[str, FilterKind] = {
    "RequestHeaderModifier": FilterKind(
        "request_header_modifier", "requestHeaderModifier", _request_headers, _OF_LISTENERS
    ),
    "ResponseHeaderModifier": FilterKind("response_header_modifier", "responseHeaderModifier", _response_headers),
    "RequestMirror": FilterKind("request_mirror", "requestMirror", _mirror, several=True),
    "RequestRedirect": FilterKind(
        "request_redirect", "requestRedirect", _redirect, _OF_HTTP, in_backends=False, answers=True
    ),
    "URLRewrite": FilterKind("url_rewrite", "urlRewrite", _rewrite, _OF_HTTP),
    "CORS": FilterKind("cors", "cors", _cors, _OF_HTTP, in_backends=False),
    "ExternalAuth": FilterKind("external_auth", "externalAuth", _external_auth, _OF_HTTP, in_backends=False),
    "ExtensionRef": FilterKind("extension_ref", "extensionRef", _extension, several=True),
}
