"""`external.http`: what a service is asked by besides what the filter has, and what of its answer is the client's."""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ....api.access_remote import HTTPExternal
from ....api.extension import HeaderValueOrExpression
from ...values import authority_error, header_value, header_value_error, told_name_error
from ..draft import Draft

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: With which responses cookies of a service go.
_COOKIES = ("Always", "WithSuccess")
#: Of which a service expects no body (RFC 9110 section 9.3).
_BODILESS = frozenset({"GET", "HEAD"})


def judge_question(draft: Draft, said: HTTPExternal, service: ir.ExternalService) -> ir.ExternalService:
    """A service with what the stanza says besides."""
    field, faults = "external.http", draft.faults
    if said.method and said.method not in _METHODS:
        draft.refuse(f"{field}.method", f"nothing is asked by {said.method}", f"use one of {', '.join(_METHODS)}")
    if said.method in _BODILESS and service.forward_body_bytes:
        message = f"a question by {said.method} has no body, and the service is to be given that of the request"
        draft.refuse(f"{field}.method", message, "use POST, or leave out forwardBody")
    host = said.host.lower()
    if (error := authority_error(host)) is not None:
        draft.refuse(f"{field}.host", f"{said.host!r} {error}", "use a name such as auth.example.com")
    for index, name in enumerate(said.client_headers):
        if error := told_name_error(name):
            draft.refuse(f"{field}.clientHeaders[{index}]", f"{name!r} {error}", "name another one, or leave it out")
        elif name.lower().startswith("content-"):
            message = f"{name!r} describes a body: the client gets that of the backend, with its own"
            draft.refuse(f"{field}.clientHeaders[{index}]", message, "leave it out")
    if said.cookies not in _COOKIES:
        draft.refuse(f"{field}.cookies", f"{said.cookies} is not known", f"use one of {', '.join(_COOKIES)}")
    made = tuple(_set_header(draft, item, f"{field}.setHeaders[{at}]") for at, item in enumerate(said.set_headers))
    if draft.faults > faults:
        return service
    return msgspec.structs.replace(
        service,
        method=said.method,
        host=host,
        set_headers=made,
        client_headers=tuple(dict.fromkeys(name.lower() for name in said.client_headers)),
        cookies_with_success=said.cookies == _COOKIES[1],
        # As nginx and Traefik have it: GEP-1494 knows 200 alone, and oauth2-proxy answers 202.
        any_success=True,
    )


def _set_header(draft: Draft, item: HeaderValueOrExpression, field: str) -> ir.HeaderValue:
    if error := told_name_error(item.name):
        draft.refuse(f"{field}.name", f"{item.name!r} {error}", "name another one, or leave it out")
    if (item.value is None) == (item.expression is None):
        draft.refuse(field, "exactly one of value and expression is needed", "keep one of them")
    if item.expression is not None:
        wrong = draft.material.options.checks.expression(item.expression, "text")
        if wrong is not None:
            draft.refuse(f"{field}.expression", f"{item.expression!r}: {wrong}", "correct the expression")
        return ir.HeaderValue(name=item.name, expression=item.expression)
    value = header_value(item.value or "")
    if (wrong := header_value_error(value)) is not None:
        draft.refuse(f"{field}.value", f"the value of {item.name!r} {wrong}", "use printable characters")
    return ir.HeaderValue(name=item.name, value=value)
