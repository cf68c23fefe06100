"""Answers of the gateway's own: `respond` in place of a backend's, `errorPages` in place of errors."""

from __future__ import annotations

import re

from sluicegate import ir

from ...api import ConfigMapName, ErrorPage, RespondFilter
from ..conditions import Reason
from ..unsupported import Absent, Unsupported
from ..values import header_value, header_value_error, parse_duration
from .context import FilterContext, add_policy
from .headers import header_values
from .standard import path_value

#: Statuses of answers, and those of answers without a body (RFC 9110 section 6.4.1).
MIN_RESPONSE, MAX_RESPONSE, WITHOUT_BODY = 200, 599, frozenset({204, 205, 304})
#: Octets of a body that is written in an object or in a ConfigMap.
MAX_BODY, MAX_PAGE = 16_384, 65_536
#: Key of a ConfigMap that has a body.
PAGE_KEY = "response.body"
#: Who asks for a page waits for it.
MAX_TIMEOUT_MS = 10_000
_CLASS = re.compile(r"([45])xx|([45][0-9]{2})", re.IGNORECASE)


def respond(respond: RespondFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """An answer in place of a backend's."""
    status = _status(respond.status, f"{field}.status")
    body = respond.body
    if respond.config_map_ref is not None:
        if body:
            raise Unsupported(field, "body and configMapRef cannot be combined", "keep one of them")
        body = _page(respond.config_map_ref, f"{field}.configMapRef", context)
    elif len(body.encode()) > MAX_BODY:
        message = f"the body has more than {MAX_BODY} octets"
        raise Unsupported(f"{field}.body", message, "put it into a ConfigMap, or let a backend answer")
    if body and status in WITHOUT_BODY:
        raise Unsupported(f"{field}.body", f"an answer of status {status} has no body", "remove the body")
    headers = header_values(respond.headers, f"{field}.headers", context)
    if body and all(item.name.lower() != "content-type" for item in headers):
        headers = (ir.HeaderValue(name="content-type", value="text/plain; charset=utf-8"), *headers)
    return (ir.Respond(status=status, headers=headers, body=body),)


def error_pages(pages: tuple[ErrorPage, ...], field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """What stands in for errors: a policy of the rule or the listener."""
    made = tuple(_error_page(page, f"{field}[{index}]", context) for index, page in enumerate(pages))
    return add_policy(ir.FilterErrorPages(id=context.policy_id(ir.FilterErrorPages), pages=made), context)


def _error_page(page: ErrorPage, field: str, context: FilterContext) -> ir.ErrorPage:
    if page.from_ not in {"Any", "Gateway", "Backend"}:
        raise Unsupported(f"{field}.from", f"{page.from_} is not known", "use Any, Gateway or Backend")
    status = page.status
    if status is not None and _status(status, f"{field}.status") in WITHOUT_BODY:
        raise Unsupported(f"{field}.status", f"an answer of status {status} has no body", "use another status")
    if not page.statuses:
        raise Unsupported(f"{field}.statuses", "it stands in for nothing", "name statuses, such as 404 or 5xx")
    return ir.ErrorPage(
        statuses=tuple(_range(item, f"{field}.statuses[{index}]") for index, item in enumerate(page.statuses)),
        of=ir.ErrorsOf(page.from_.lower()),
        status=status,
        content=_content(page, field, context),
    )


def _range(status: int | str, field: str) -> ir.StatusRange:
    match = _CLASS.fullmatch(str(status))
    if match is None:
        raise Unsupported(field, f"{status} is no status of an error", "use 400 to 599, 4xx or 5xx")
    first = int(match[2] or f"{match[1]}00")
    return ir.StatusRange(first=first, last=first if match[2] else first + 99)


def _content(page: ErrorPage, field: str, context: FilterContext) -> ir.PageContent:
    given = [item for item in (page.body, page.config_map_ref, page.backend_ref) if item is not None]
    if len(given) != 1:
        message = f"{len(given)} of body, configMapRef and backendRef are given"
        raise Unsupported(field, message, "give exactly one of them")
    if page.backend_ref is not None:
        timeout = parse_duration(page.timeout)
        if timeout is None or not 0 < timeout <= MAX_TIMEOUT_MS:
            message = f"{page.timeout!r} is no time of up to ten seconds"
            raise Unsupported(f"{field}.timeout", message, "use a value such as 1s")
        if not page.path.startswith("/"):
            raise Unsupported(f"{field}.path", f"{page.path!r} is no path", "begin it with /")
        # Where that is told to lead nowhere, errors are given as they are.
        backend = context.resolve(page.backend_ref, context.place(field))
        return ir.PageService(backend=backend, path=path_value(page.path, f"{field}.path"), timeout_ms=timeout)
    content_type = header_value(page.content_type)
    error = header_value_error(content_type) if content_type else "is empty"
    if error is not None:
        raise Unsupported(f"{field}.contentType", f"{page.content_type!r} {error}", "use a value such as text/html")
    if page.config_map_ref is not None:
        body = _page(page.config_map_ref, f"{field}.configMapRef", context)
    else:
        body = page.body or ""
        if len(body.encode()) > MAX_BODY:
            message = f"the body has more than {MAX_BODY} octets"
            raise Unsupported(f"{field}.body", message, "put it into a ConfigMap, or let a Service give it")
    return ir.PageBody(content_type=content_type, body=body)


def _page(reference: ConfigMapName, field: str, context: FilterContext) -> str:
    label = f"ConfigMap {reference.name}"
    found = context.config_map(reference.name)
    if found is None:
        message = f"{label} does not exist in the namespace of the {context.owner}"
        raise Absent(field, message, "create it or correct the name", Reason.INVALID_KIND)
    if found.data.page is None:
        message = f"{label} has no key {PAGE_KEY}"
        raise Unsupported(field, message, f"give it {PAGE_KEY}, the body as text", Reason.INVALID_KIND)
    if len(found.data.page.encode()) > MAX_PAGE:
        message = f"{PAGE_KEY} of {label} has more than {MAX_PAGE} octets"
        raise Unsupported(field, message, "let a Service give it")
    return found.data.page


def _status(status: int, field: str) -> int:
    if not MIN_RESPONSE <= status <= MAX_RESPONSE:
        message = f"{status} is no status of an answer"
        raise Unsupported(field, message, f"use {MIN_RESPONSE} to {MAX_RESPONSE}")
    return status
