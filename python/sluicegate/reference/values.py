"""Values of header fields that are expressions (`HTTPFilter.spec.headers`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .condition import evaluate

#: Octets of a value that an expression comes to.
_MOST = 8 << 10
#: What the expression of a value comes to; None: nothing.
Values: TypeAlias = Callable[[str], "str | None"]


def values_of(variables: Callable[[], dict[str, Any]]) -> Values:
    """What expressions come to for one request; `variables` are made where there is an expression."""

    def made(expression: str) -> str | None:
        try:
            text = _text(evaluate(expression, variables())).strip(" \t")
        except ValueError:
            return None
        is_usable = text and len(text.encode(errors="surrogateescape")) <= _MOST and _is_value(text)
        return text if is_usable else None

    return made


def _text(value: Any) -> str:  # noqa: ANN401 (of any type)
    """A text, a number, a truth, or a list of them joined by commas.

    Raises:
        ValueError: another one.
    """
    if isinstance(value, list):
        return ", ".join(_part(each) for each in value)
    return _part(value)


def _part(value: Any) -> str:  # noqa: ANN401 (of any type)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    message = f"{value!r} is nothing that could be written"
    raise ValueError(message)


def _is_value(text: str) -> bool:
    return all(character == "\t" or not (character < " " or character == "\x7f") for character in text)
