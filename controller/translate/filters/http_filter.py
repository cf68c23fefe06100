"""HTTPFilter: what the standard filters do not have (`docs/extensions.md`)."""

from __future__ import annotations

from sluicegate import ir

from ...api import OWN_GROUP, ExtensionReference, HeadersFilter, RespondFilter, RewriteFilter
from ..conditions import Reason
from ..unsupported import Unsupported
from ..values import is_token
from .context import OF_HTTP, FilterContext, FilterKind
from .headers import header_values, request_headers, response_headers
from .standard import path_value

KIND = "HTTPFilter"
#: Statuses of answers, and those of answers without a body (RFC 9110 section 6.4.1).
MIN_RESPONSE, MAX_RESPONSE, WITHOUT_BODY = 200, 599, frozenset({204, 205, 304})
#: Octets of a body that is written in an object.
MAX_BODY = 16_384


def extension(reference: ExtensionReference | None, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """An ExtensionRef: the one part that its HTTPFilter has."""
    if reference is None or (reference.group, reference.kind) != (OWN_GROUP, KIND):
        label = f"{reference.group}/{reference.kind} {reference.name}" if reference is not None else "(none)"
        message = f"no filter of kind {label} is known"
        raise Unsupported(field, message, f"refer to an {KIND} of {OWN_GROUP}", Reason.INVALID_KIND)
    label = f"{KIND} {reference.name}"
    found = context.find(reference.name)
    if found is None:
        message = f"{label} does not exist in the namespace of the {context.owner}"
        raise Unsupported(field, message, "create it or correct the name", Reason.INVALID_KIND)
    parts = [(kind, part) for kind in PARTS if (part := getattr(found.spec, kind.content)) is not None]
    if len(parts) != 1:
        names = ", ".join(kind.field for kind in PARTS)
        raise Unsupported(field, f"{label} has {len(parts)} parts", f"give it exactly one of {names}")
    [(kind, part)] = parts
    place = f"{label}, {kind.field}"
    if context.owner not in kind.owners:
        raise Unsupported(field, f"{place}: not supported in a {context.owner}", "use it in an HTTPRoute")
    if context.in_backend and not kind.in_backends:
        raise Unsupported(field, f"{place}: not supported in a backendRef", "use it in the rule")
    try:
        return kind.translate(part, kind.field, context)
    except Unsupported as error:
        message = f"{label}, {error.field}: {error.message}"
        raise Unsupported(field, message, error.remedy, error.reason) from None


def _respond(respond: RespondFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    if not MIN_RESPONSE <= respond.status <= MAX_RESPONSE:
        message = f"{respond.status} is no status of an answer"
        raise Unsupported(f"{field}.status", message, f"use {MIN_RESPONSE} to {MAX_RESPONSE}")
    if respond.body and respond.status in WITHOUT_BODY:
        raise Unsupported(f"{field}.body", f"an answer of status {respond.status} has no body", "remove the body")
    if len(respond.body.encode()) > MAX_BODY:
        raise Unsupported(f"{field}.body", f"the body has more than {MAX_BODY} octets", "let a backend answer")
    headers = header_values(respond.headers, f"{field}.headers", context)
    if respond.body and all(item.name.lower() != "content-type" for item in headers):
        headers = (ir.HeaderValue(name="content-type", value="text/plain; charset=utf-8"), *headers)
    return (ir.Respond(status=respond.status, headers=headers, body=respond.body),)


def _rewrite_by(rewrite: RewriteFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    substitution, host_from = None, None
    if rewrite.path_regex is not None:
        pattern, replacement = rewrite.path_regex.pattern, rewrite.path_regex.replacement
        place = f"{field}.pathRegex"
        error = context.checks.substitution(pattern, replacement)
        if error is not None:
            message = f"{pattern!r} cannot be replaced by {replacement!r}: {error}"
            raise Unsupported(
                place, message, r"correct it (RE2 syntax, searched for in the path; \1 is the first group)"
            )
        path_value(replacement.replace("\\", ""), f"{place}.replacement")
        substitution = ir.Substitution(pattern=pattern, replacement=replacement)
    if rewrite.host_from is not None:
        host_from = rewrite.host_from.header
        if not is_token(host_from):
            raise Unsupported(f"{field}.hostFrom.header", f"{host_from!r} is not a header name", "correct it")
    return (ir.Rewrite(host_from=host_from, substitution=substitution),)


def _headers(headers: HeadersFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    request = request_headers(headers.request, f"{field}.request", context) if headers.request is not None else ()
    response = response_headers(headers.response, f"{field}.response", context) if headers.response is not None else ()
    return (*request, *response)


#: Parts of an HTTPFilter.
PARTS: tuple[FilterKind, ...] = (
    FilterKind("respond", "spec.respond", _respond, OF_HTTP, in_backends=False),
    FilterKind("rewrite", "spec.rewrite", _rewrite_by, OF_HTTP),
    FilterKind("headers", "spec.headers", _headers),
)
