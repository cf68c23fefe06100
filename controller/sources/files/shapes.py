"""Documents that differ in texts only: what one of them was parsed to is what all are, with their own texts.

Manifests are mostly written by programs: ten thousand routes of a chart differ in names, hosts and paths. Two of them
are of one shape where they are the same once each text at the end of a line is taken out. Rules:
- A text that is taken out is one scalar and says what is written, whatever that is: after `: ` or `- ` and up to the
  end of the line, either a plain one that YAML takes for nothing but text, or one between double quotes that has no
  escapes.
- A shape is what the loader makes of a document with marks in place of its texts, and each mark has to come out as one
  whole value, in order. Where one does not (in a comment, a block of text, a key, what goes on in the next line) there
  is no shape: such documents are parsed, and so are those that have anchors.
- A shape is learned from the second document that has it: most of those written by hand are there once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from .loader import YamlError, load

#: Shapes that are known at a time; the one that was not seen for the longest time is forgotten.
MAX_SHAPES = 128
#: Characters of a document that may have one: a shape is kept whole.
MAX_TEXT = 16 * 1024

#: Plain texts that YAML takes for something else.
WORDS = frozenset(
    form
    for word in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    for form in (word, word.capitalize(), word.upper())
)
#: Texts that begin with a digit: a UUID, an address of IPv4.
_NUMBERS = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{1,3}(?:[.][0-9]{1,3}){3}"
#: A text that is taken out, with the space before it and its quotes: whether it has such makes no difference.
_TEXT = re.compile(
    rf' "?((?<=[:-] )(?:(?!(?:{"|".join(sorted(WORDS))})$)[A-Za-z/][A-Za-z0-9/._-]{{0,511}}|{_NUMBERS})$'
    r'|(?<=[:-] ")[ !#-\[\]-~]{0,511}(?="$))"?',
    re.MULTILINE,
)
_MARK = "sluicegate-mark-"
_MARKED = re.compile(rf"{_MARK}(\d+)-")


class _Shape:
    """What documents of one shape have in common.

    Attributes:
        pieces: of the document as JSON, what is around its texts; None where there is no shape, or it is not known.
        seen: documents that had it before it was learned.
    """

    __slots__ = ("pieces", "seen")

    def __init__(self) -> None:
        self.pieces: tuple[str, ...] | None = None
        self.seen = 0


def read(text: str) -> dict[str, Any] | None:
    """What a document says; None where no document before it had its shape, and it has to be parsed.

    Args:
        text: a document as `loader.load` takes it.
    """
    if len(text) > MAX_TEXT:
        return None
    parts = _TEXT.split(text)
    shape = _shape(tuple(parts[::2]))
    if shape.pieces is None:
        shape.seen += 1
        if shape.seen == 2:
            shape.pieces = _learned(parts)
        if shape.pieces is None:
            return None
    parts[::2] = shape.pieces
    value: dict[str, Any] = msgspec.json.decode("".join(parts))
    return value


@functools.lru_cache(maxsize=MAX_SHAPES)
def _shape(_around: tuple[str, ...]) -> _Shape:
    """The shape of documents that are this around their texts."""
    return _Shape()


def _learned(parts: list[str]) -> tuple[str, ...] | None:
    """The pieces of a shape, from what is around the texts of a document and they, in turn; None: there is none."""
    around = parts[::2]
    if any("&" in item for item in around):
        return None
    marks = [f"{_MARK}{number}-" for number in range(len(around) - 1)]
    marked = around[0] + "".join(f" {mark}{after}" for mark, after in zip(marks, around[1:], strict=True))
    try:
        loaded = load(marked)
        written = msgspec.json.encode(loaded.value).decode()
        again = msgspec.json.decode(written)
    except (YamlError, msgspec.MsgspecError, OverflowError, RecursionError, TypeError, ValueError):
        return None
    # The same types too: 1 and 1.0 and True are equal, but not the same. What is no mark must not look like one.
    if not isinstance(again, dict) or loaded.items or repr(again) != repr(loaded.value):
        return None
    pieces = _MARKED.split(written)
    if pieces[1::2] != [str(number) for number in range(len(marks))] or not _are_whole(loaded.value, marks):
        return None
    return tuple(pieces[::2])


def _are_whole(value: object, marks: Iterable[str]) -> bool:
    """Whether each mark is one whole value, in this order, and no part of another or of a key."""
    found = [item for item in _texts(value) if _MARK in item]
    return found == list(marks)


def _texts(value: object) -> Iterable[str]:
    """All texts of a value, keys too, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            # A key that has a mark is not the mark alone: it comes out as something else.
            yield from (f"key {key}", *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
