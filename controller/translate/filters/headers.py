"""Edits of header fields."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate import ir

from ...api import HeaderEdits, HeaderFilter, HeadersFilter, HeaderValueOrExpression
from ...api.route import HeaderNameValue
from ..unsupported import Unsupported
from ..values import header_value, header_value_error, host_field_error, is_token
from .context import FilterContext

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
#: What is rewritten, and never made by an expression.
AUTHORITY = frozenset({"host", ":authority"})


def request_headers(modifier: HeaderFilter | HeaderEdits, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `RequestHeaderModifier`.

    Raises:
        Unsupported: a name, a value or an expression is none, or it edits the host to what is none.
    """
    _check_authorities(modifier.set, f"{field}.set")
    _check_authorities(modifier.add, f"{field}.add")
    edit = _edit(modifier, field, context)
    return (ir.RequestHeaders(set=edit.set, add=edit.add, remove=edit.remove),)


def response_headers(modifier: HeaderFilter | HeaderEdits, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """A `ResponseHeaderModifier`."""
    edit = _edit(modifier, field, context)
    return (ir.ResponseHeaders(set=edit.set, add=edit.add, remove=edit.remove),)


def headers(headers: HeadersFilter, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """`headers` of an HTTPFilter: of the request, of the response, or both."""
    if context.in_listener and headers.request is not None:
        check_before_routing(headers.request, f"{field}.request")
    request = request_headers(headers.request, f"{field}.request", context) if headers.request is not None else ()
    response = response_headers(headers.response, f"{field}.response", context) if headers.response is not None else ()
    return (*request, *response)


def check_before_routing(edit: HeaderFilter | HeaderEdits, field: str) -> None:
    """Refuse what a listener cannot do to a request before a rule is looked for.

    Raises:
        Unsupported: it edits the host, by which the listener was chosen, or asks what is not known yet.
    """
    names = [item.name for item in (*edit.set, *edit.add)] + [*edit.remove]
    if any(name.lower() in AUTHORITY for name in names):
        message = "it edits the host, which a filter of a listener must leave alone"
        raise Unsupported(field, message, "remove that edit")
    for item in (*edit.set, *edit.add):
        if isinstance(item, HeaderValueOrExpression) and item.expression is not None:
            message = f"{item.name} has an expression: who asks is not known before a rule is looked for"
            raise Unsupported(field, message, "give it a value, or use the filter in the rules")


def _edit(edit: HeaderFilter | HeaderEdits, field: str, context: FilterContext) -> ir.HeaderEdit:
    """Check names and values."""
    remove = tuple(
        name for index, name in enumerate(edit.remove) if _usable_name(name, f"{field}.remove[{index}]", context)
    )
    actions = [item.name.lower() for item in (*edit.set, *edit.add)] + [name.lower() for name in edit.remove]
    repeated = sorted({name for name in actions if actions.count(name) > 1})
    if repeated:
        message = f"several actions for {', '.join(repeated)}: set, add and remove are applied in this order"
        context.diagnostics.warning(context.place(field), "repeated-header", message, "keep one action for each header")
    return ir.HeaderEdit(
        set=header_values(edit.set, f"{field}.set", context),
        add=header_values(edit.add, f"{field}.add", context),
        remove=remove,
    )


def header_values(
    items: Sequence[HeaderNameValue | HeaderValueOrExpression], field: str, context: FilterContext
) -> tuple[ir.HeaderValue, ...]:
    """Fields with usable names and values; of equivalent names the first one counts (`HTTPHeader.name`)."""
    found: dict[str, ir.HeaderValue] = {}
    for index, item in enumerate(items):
        made = _value(item, f"{field}[{index}]", context)
        if _usable_name(item.name, f"{field}[{index}].name", context):
            found.setdefault(item.name.lower(), made)
    return tuple(found.values())


def _value(item: HeaderNameValue | HeaderValueOrExpression, place: str, context: FilterContext) -> ir.HeaderValue:
    expression = item.expression if isinstance(item, HeaderValueOrExpression) else None
    if (item.value is None) == (expression is None):
        raise Unsupported(place, "exactly one of value and expression is needed", "keep one of them")
    if expression is not None:
        if item.name.lower() in AUTHORITY:
            remedy = "use rewrite.hostFrom of an HTTPFilter"
            raise Unsupported(f"{place}.expression", "the host is not made by an expression", remedy)
        error = context.checks.expression(expression, "text")
        if error is not None:
            raise Unsupported(f"{place}.expression", f"{expression!r}: {error}", "correct the expression")
        return ir.HeaderValue(name=item.name, expression=expression)
    value = header_value(item.value or "")
    error = header_value_error(value)
    if error is not None:
        raise Unsupported(f"{place}.value", f"the value of {item.name!r} {error}", "use printable characters")
    return ir.HeaderValue(name=item.name, value=value)


def _check_authorities(items: Sequence[HeaderNameValue | HeaderValueOrExpression], field: str) -> None:
    """`Host` of a request is no field but what is asked for."""
    for index, item in enumerate(items):
        if item.name.lower() not in AUTHORITY or item.value is None:
            continue
        value = header_value(item.value)
        error = host_field_error(value)
        if error is not None:
            remedy = "give a name such as shop.example, or remove it"
            raise Unsupported(f"{field}[{index}].value", f"host {value!r} {error}", remedy)


def _usable_name(name: str, field: str, context: FilterContext) -> bool:
    if not is_token(name):
        raise Unsupported(field, f"{name!r} is not a header name", "use letters, digits and -")
    if name.lower() in MANAGED_FIELDS:
        message = f"{name} belongs to the connection: the gateway writes it itself and ignores this entry"
        context.diagnostics.warning(context.place(field), "managed-header", message, "remove the entry")
        return False
    return True
