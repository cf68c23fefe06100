"""What filters do to requests and responses (ARCHITECTURE.md, "5. Action of the rule")."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate import ir

from .authority import parse_host
from .contract import BadRequest, Headers, Message
from .head import WIRE_FIELDS
from .match import Found, Head
from .substitution import substitute
from .values import Values

#: Both are the authority, and no fields.
_AUTHORITY = frozenset({"host", ":authority"})
_WELL_KNOWN_PORTS = {"http": 80, "https": 443}
_BLANKS = " \t"


def _no_values(_expression: str) -> None:
    return None


def edit_headers(headers: Headers, edit: ir.HeaderEdit, values: Values = _no_values) -> Headers:
    """Set, then add, then remove; what is set or added goes to the end, its name as the filter has it.

    Edits of wire fields are left out. Where an expression comes to nothing there is no field.
    """
    fields = list(headers)
    for field in _editable(edit.set):
        fields = _without(fields, field.name)
        fields += _written(field, values)
    for field in _editable(edit.add):
        fields += _written(field, values)
    for name in edit.remove:
        if name.lower() not in WIRE_FIELDS:
            fields = _without(fields, name)
    return tuple(fields)


def _written(field: ir.HeaderValue, values: Values) -> list[tuple[str, str]]:
    value = field.value if field.expression is None else values(field.expression)
    # Blanks at its ends are no part of a value (RFC 9110 section 5.5), and malformed over HTTP/2.
    return [] if value is None else [(field.name, value.strip(_BLANKS))]


def _editable(values: Iterable[ir.HeaderValue]) -> list[ir.HeaderValue]:
    return [field for field in values if field.name.lower() not in WIRE_FIELDS]


def edited_before_routing(sent: Headers, filters: Iterable[ir.ListenerFilter]) -> tuple[Headers, Headers]:
    """Filters of a listener, in order, before a rule is looked for (GEP-5224, `ListenerFilters.requests`).

    They cannot change the authority: an edit of it is left out and the request goes on.

    Returns:
        What they leave of the fields that were sent, and what they set.
    """
    own: Headers = ()
    for each in filters:
        if not isinstance(each, ir.RequestHeaders):
            continue
        edit = ir.HeaderEdit(
            set=tuple(field for field in each.set if field.name.lower() not in _AUTHORITY),
            add=tuple(field for field in each.add if field.name.lower() not in _AUTHORITY),
            remove=tuple(name for name in each.remove if name.lower() not in _AUTHORITY),
        )
        edited = {name.lower() for name in (*(field.name for field in edit.set), *edit.remove)} - WIRE_FIELDS
        sent = tuple(field for field in sent if field[0].lower() not in edited)
        own = edit_headers(own, edit)
    return sent, own


def _without(fields: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    wanted = name.lower()
    return [field for field in fields if field[0].lower() != wanted]


def forwarded(
    message: Message, filters: Iterable[ir.Filter], head: Head, found: Found, values: Values = _no_values
) -> Message:
    """Apply the request filters in the order written.

    Raises:
        BadRequest: what a rewrite makes of the path is none, or too long.
    """
    authority, path, headers = message.authority, head.path, message.headers
    for each in filters:
        match each:
            case ir.RequestHeaders():
                authority = _edited_authority(each) or authority
                headers = _without_host(each, edit_headers(headers, each, values))
            case ir.Rewrite():
                authority = _named_host(each, headers) or each.hostname or authority
                is_prefix = isinstance(each.path, ir.ReplacePrefixMatch)
                # Where no prefix was matched there is none to replace: the path stays as a filter before left it.
                if each.substitution is not None:
                    path = substitute(each.substitution, head.path)
                elif each.path is not None and not (is_prefix and found.prefix_length is None):
                    path = modify_path(each.path, head.path, found.prefix_length)
            case _:
                pass
    target = path if head.query is None else f"{path}?{head.query}"
    return Message(method=message.method, authority=authority, target=target, headers=headers)


def _named_host(rewrite: ir.Rewrite, headers: Headers) -> str | None:
    """The host that a header names; of two fields nobody can say which one is meant."""
    if rewrite.host_from is None:
        return None
    values = [value.strip(_BLANKS) for name, value in headers if name.lower() == rewrite.host_from.lower()]
    if len(values) != 1:
        return None
    try:
        parse_host(values[0])
    except BadRequest:
        return None
    return values[0]


def _edited_authority(edit: ir.HeaderEdit) -> str | None:
    """`Host` is no field but the authority; of several edits the last one stands."""
    values = [field.value.strip(_BLANKS) for field in (*edit.set, *edit.add) if field.name.lower() == "host"]
    return values[-1] if values else None


def _without_host(edit: ir.HeaderEdit, headers: Headers) -> Headers:
    if _edited_authority(edit) is None:
        return headers
    return tuple(_without(list(headers), "host"))


def edited_response(headers: Headers, filters: Iterable[ir.Filter], values: Values = _no_values) -> Headers:
    """Apply the response header filters in the order written."""
    for each in filters:
        if isinstance(each, ir.ResponseHeaders):
            headers = edit_headers(headers, each, values)
    return headers


def modify_path(modifier: ir.PathModifier, path: str, prefix_length: int | None) -> str:
    """`HTTPPathModifier`; the path is the one that was matched, also where a filter before has replaced it."""
    if isinstance(modifier, ir.ReplaceFullPath):
        return _rooted(modifier.value)
    if prefix_length is None:
        # No PathPrefix matched, so there is no prefix to replace.
        return path
    rest = path[prefix_length:]
    if not rest:
        return _rooted(modifier.value)
    return _rooted(f"{modifier.value.removesuffix('/')}/{rest.removeprefix('/')}")


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def location(redirect: ir.Redirect, listener: ir.Listener, head: Head, found: Found) -> str:
    """The `Location` of a redirect (`HTTPRequestRedirectFilter`)."""
    scheme = redirect.scheme or listener.protocol.value.lower()
    if redirect.port is not None:
        port = redirect.port
    elif redirect.scheme is not None:
        port = _WELL_KNOWN_PORTS.get(redirect.scheme, listener.port)
    else:
        port = listener.port
    authority = redirect.hostname or head.host
    if _WELL_KNOWN_PORTS.get(scheme) != port:
        authority += f":{port}"
    path = head.path if redirect.path is None else modify_path(redirect.path, head.path, found.prefix_length)
    query = "" if head.query is None else f"?{head.query}"
    return f"{scheme}://{authority}{path}{query}"


def mirrors(filters: Iterable[ir.Filter], entropy: int) -> tuple[str, ...]:
    """Backends that get a copy. The engine draws a random number where this takes one from `entropy`."""
    all_mirrors = [each for each in filters if isinstance(each, ir.Mirror)]
    return tuple(
        mirror.backend
        for index, mirror in enumerate(all_mirrors)
        if (entropy // 7 + index * 13) % max(mirror.percentage.denominator, 1) < mirror.percentage.numerator
    )
