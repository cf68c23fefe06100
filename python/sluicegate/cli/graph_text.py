"""Lines of boxes: how long they may be, and how a problem is broken into several."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from sluicegate.words import one_line

#: Columns of a line of a box, and lines of one problem.
MAX_LINE, MAX_PROBLEM_LINES = 72, 4


def wrapped(problems: Iterable[str]) -> Iterator[str]:
    """Problems in lines; of a very long one the end is left out."""
    for problem in problems:
        rest = f"✗ {one_line(problem)}"
        for _ in range(MAX_PROBLEM_LINES - 1):
            if columns(rest) <= MAX_LINE:
                break
            line = cut(rest).removesuffix("…")
            space = line.rfind(" ", MAX_LINE // 2)
            line = line[:space] if space > 0 else line
            yield line
            rest = f"  {rest[len(line) :].lstrip()}"
        yield cut(rest)


def cut(text: str) -> str:
    """A text, or as much of it as a line has place for."""
    if columns(text) <= MAX_LINE:
        return text
    used = 1  # what says that there is more
    for number, character in enumerate(text):
        used += columns(character)
        if used > MAX_LINE:
            return f"{text[:number]}…"
    return text


def columns(text: str) -> int:
    """Columns of a text in a font of one width: characters of East Asia take two."""
    return len(text) if text.isascii() else len(text) + sum(map(_is_wide, text))


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in {"W", "F"}
