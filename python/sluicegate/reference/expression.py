"""Regular expressions: RE2 syntax over the whole value, with limits (ARCHITECTURE.md, "4. Rule")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

try:
    import re2  # type: ignore[import-untyped]
except ImportError as error:  # pragma: no cover
    message = "the reference router needs google-re2: pip install 'sluicegate[reference]'"
    raise ImportError(message) from error

#: Bytes of one pattern; natively the same.
PATTERN_LIMIT = 1024

#: Bytes that one compiled expression may take (natively `AUTOMATON_SIZE_LIMIT`; the two engines count differently).
MEMORY_LIMIT = 1 << 20

#: Whether a whole text matches.
Expression: TypeAlias = Callable[[str], object]


class ExpressionError(ValueError):
    """A pattern that is too long, too large when compiled, or no RE2 syntax."""


def compile_expression(pattern: str) -> Expression:
    """Compile a pattern to a function from a whole text to something that is true on a match.

    Raises:
        ExpressionError: says why there is none.
    """
    fullmatch: Expression = compile_pattern(pattern).fullmatch
    return fullmatch


def compile_pattern(pattern: str) -> Any:  # noqa: ANN401 the library has no types
    """Compile a pattern to a `re2` pattern.

    Raises:
        ExpressionError: says why there is none.
    """
    length = len(pattern.encode())
    if length > PATTERN_LIMIT:
        message = f"the pattern has {length} bytes; {PATTERN_LIMIT} is the limit"
        raise ExpressionError(message)
    options = re2.Options()
    options.max_mem = MEMORY_LIMIT
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise ExpressionError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error
