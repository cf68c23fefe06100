"""A path made anew by a regular expression (`HTTPFilter.spec.rewrite.path`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sluicegate import ir

from .contract import BadRequest
from .expression import ExpressionError, compile_pattern
from .target import normalise_path

#: Octets of a path after it was rewritten: a short pattern may match everywhere and a replacement may be long.
REWRITTEN_PATH_LIMIT = 16 << 10
_GROUP = re.compile(r"\\(.?)", re.DOTALL)


def check_substitution(wanted: ir.Substitution) -> str:
    """Why a substitution cannot be used; empty: it can."""
    try:
        groups = compile_pattern(wanted.pattern).groups
    except ExpressionError as error:
        return str(error)
    numbers = [match[1] for match in _GROUP.finditer(wanted.replacement)]
    if any(not (number.isascii() and number.isdigit()) for number in numbers):
        return "a backslash stands before a digit"
    last = max(map(int, numbers), default=0)
    return f"the pattern has no group {last}" if last > groups else ""


def substitute(wanted: ir.Substitution, path: str) -> str:
    """The path with each match replaced that is not empty, in its normal form.

    Raises:
        BadRequest: that is no path, or too long.
    """
    parts: list[str] = []
    copied = 0
    for match in compile_pattern(wanted.pattern).finditer(path):
        start, end = match.span()
        if start < end:
            parts += [path[copied:start], *_filled(wanted.replacement, match)]
            copied = end
    if not copied:
        return path
    rewritten = "".join(parts) + path[copied:]
    if not rewritten.startswith("/"):
        rewritten = f"/{rewritten}"
    if len(rewritten) > REWRITTEN_PATH_LIMIT:
        raise BadRequest
    return normalise_path(rewritten)


def _filled(replacement: str, match: Any) -> Iterator[str]:  # noqa: ANN401 the library has no types
    """The replacement, with what groups matched in place of their numbers."""
    texts = _GROUP.split(replacement)
    for text, number in zip(texts[::2], [*texts[1::2], ""], strict=True):
        yield text
        if number:
            yield match[int(number)] or ""
