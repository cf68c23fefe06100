"""Parts of CEL expressions."""

from __future__ import annotations

#: Who asks, by which scheme, and the port of that scheme, where controllers listen.
CLIENT, SCHEME, PORT = "client.address", "request.scheme", "request.scheme == 'https' ? '443' : '80'"


def quoted(text: str) -> str:
    """A text as CEL writes it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def some_field(name: str, test: str) -> str:
    """Whether a test of `each` holds for some field of a name; without any, for an empty text.

    Args:
        name: of the field.
        test: an expression over `each`.
    """
    there = quoted(name.lower())
    return f"({there} in request.headers ? request.headers[{there}] : ['']).exists(each, {test})"
