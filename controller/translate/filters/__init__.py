"""Filters of rules and of backendRefs to IR filters: `standard` ones, `headers`, an `http_filter` of our own.

A filter that cannot be honoured is never skipped: it raises `Unsupported`, and the requests of its rule get 500.
References are different: a mirror to a backend that does not resolve is left out, as the API says, and shows in
`ResolvedRefs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate import ir

from ...api import RouteFilter
from ..conditions import Reason
from ..unsupported import Unsupported
from .context import OF_HTTP, FilterContext, FilterKind
from .headers import request_headers, response_headers
from .http_filter import extension
from .standard import cors, external_auth, mirror, redirect, rewrite

__all__ = ["FILTERS", "FilterContext", "check_together", "translate_filters"]


#: All types of filters.
FILTERS: dict[str, FilterKind] = {
    "RequestHeaderModifier": FilterKind("request_header_modifier", "requestHeaderModifier", request_headers),
    "ResponseHeaderModifier": FilterKind("response_header_modifier", "responseHeaderModifier", response_headers),
    "RequestMirror": FilterKind("request_mirror", "requestMirror", mirror, several=True),
    "RequestRedirect": FilterKind(
        "request_redirect", "requestRedirect", redirect, OF_HTTP, in_backends=False, answers=True
    ),
    "URLRewrite": FilterKind("url_rewrite", "urlRewrite", rewrite, OF_HTTP),
    "CORS": FilterKind("cors", "cors", cors, OF_HTTP, in_backends=False),
    "ExternalAuth": FilterKind("external_auth", "externalAuth", external_auth, OF_HTTP, in_backends=False),
    "ExtensionRef": FilterKind("extension_ref", "extensionRef", extension, several=True),
}


def translate_filters(filters: Sequence[RouteFilter], context: FilterContext) -> tuple[ir.Filter, ...]:
    """Translate a list of filters, in the order written.

    Raises:
        Unsupported: a filter cannot be honoured; its field is relative to the path of the context.
    """
    _check_combination(filters)
    translated = tuple(
        item for index, each in enumerate(filters) for item in _translate(each, f"filters[{index}]", context)
    )
    check_together(translated)
    return translated


def _check_combination(filters: Sequence[RouteFilter]) -> None:
    types = [item.type for item in filters]
    if "URLRewrite" in types and "RequestRedirect" in types:
        message = "URLRewrite and RequestRedirect cannot be combined"
        raise Unsupported("filters", message, "keep one of them", Reason.INCOMPATIBLE_FILTERS)
    for kind in dict.fromkeys(types):
        if types.count(kind) > 1 and not (kind in FILTERS and FILTERS[kind].several):
            raise Unsupported("filters", f"{kind} is given more than once", "merge them", Reason.INCOMPATIBLE_FILTERS)


def check_together(translated: Sequence[ir.Filter]) -> None:
    """Refuse what HTTPFilters come to that cannot stand together.

    Raises:
        Unsupported: as of `translate_filters`.
    """
    rewrites = sum(isinstance(item, ir.Rewrite) for item in translated)
    response_rewrites = sum(isinstance(item, ir.ResponseRewrite) for item in translated)
    answers = sum(isinstance(item, ir.Redirect | ir.Respond) for item in translated)
    if rewrites > 1:
        message, remedy = "the request is rewritten more than once", "say it all in one filter"
    elif response_rewrites > 1:
        message, remedy = "the response is rewritten more than once", "say it all in one filter"
    elif answers > 1:
        message, remedy = "more than one filter answers", "keep one of them"
    elif answers and rewrites:
        message, remedy = "a filter answers, so there is nothing to rewrite", "keep one of them"
    else:
        return
    raise Unsupported("filters", message, remedy, Reason.INCOMPATIBLE_FILTERS)


def _translate(item: RouteFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
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
