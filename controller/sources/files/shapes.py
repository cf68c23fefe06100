"""Documents that differ in texts only: what one of them was parsed to is what all are, with their own texts.

Manifests are mostly written by programs: ten thousand routes of a chart differ in names, hosts and paths. Two of them
are of one shape where they are the same once each text at the end of a line is taken out. Rules:
- A text that is taken out is one scalar and says what is written, whatever that is: either a plain one that YAML takes
  for nothing but text, or one between double quotes that has no escapes. It stands after `: ` or `- ` and goes up to
  the end of the line, or it is in a collection in flow style (`[{a: b, c: d}]`) that ends its line.
- A shape is what the loader makes of a document with marks in place of its texts, and each mark has to come out as one
  whole value, in order. Where one does not (in a comment, a block of text, a key, what goes on in the next line) there
  is no shape: such documents are parsed, and so are those that have anchors.
- A shape is learned from the second document that has it: most of those written by hand are there once.
- No text has an end of line: a field stands in the same line of all documents of a shape.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from . import loader
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
_PLAIN = rf"(?:(?!(?:{'|'.join(sorted(WORDS))})(?:$|[,\]}}]))[A-Za-z/][A-Za-z0-9/._-]{{0,511}}|{_NUMBERS})"
_QUOTED = r"[ !#-\[\]-~]{0,511}"
#: What is behind a text in flow style, up to the end of its line.
_REST = r"[,\]}](?>.*)(?<=[\]}])$"
#: A text that is taken out, with the sign before it and its quotes: whether it has such makes no difference. It begins
#: with a class of characters, which are looked for fast.
_TEXT = re.compile(
    rf'([ \[])"?((?<=[:-] ){_PLAIN}$|(?<=[:-] "){_QUOTED}(?="$)'
    rf'|(?:(?<=[\[:,] )|(?<=\[)){_PLAIN}(?={_REST})|(?:(?<=[\[:,] ")|(?<=\[")){_QUOTED}(?="{_REST}))"?',
    re.MULTILINE,
)
_MARK = "sluicegate-mark-"
_MARKED = re.compile(rf"{_MARK}(\d+)-")


class _Shape:
    """What documents of one shape have in common.

    Attributes:
        pieces: of the document as JSON, what is around its texts; None where there is no shape, or it is not known.
        seen: documents that had it before it was learned.
        lines: of fields that were asked for.
    """

    __slots__ = ("lines", "pieces", "seen")

    def __init__(self) -> None:
        self.pieces: tuple[str, ...] | None = None
        self.seen = 0
        self.lines: dict[str, int] = {}


def read(text: str) -> dict[str, Any] | None:
    """What a document says; None where no document before it had its shape, and it has to be parsed.

    Args:
        text: a document as `loader.load` takes it.
    """
    if len(text) > MAX_TEXT:
        return None
    parts = _TEXT.split(text)
    shape = _shape(*_around(parts))
    if shape.pieces is None:
        shape.seen += 1
        if shape.seen == 2:
            shape.pieces = _learned(parts)
        if shape.pieces is None:
            return None
    parts[::3], parts[1::3] = shape.pieces, [""] * (len(parts) // 3)
    value: dict[str, Any] = msgspec.json.decode("".join(parts))
    return value


def field_lines(text: str, fields: Iterable[str]) -> list[int]:
    """Lines of fields in a document, see `loader.field_lines`; documents of one shape are parsed once for each field.

    Args:
        text: the document.
        fields: paths such as `spec.rules[0].backendRefs[1].name`.
    """
    asked = list(fields)
    shape = _shape(*_around(_TEXT.split(text))) if len(text) <= MAX_TEXT else None
    if shape is None or shape.pieces is None:
        return loader.field_lines(text, asked)
    new = [field for field in asked if field not in shape.lines]
    if new:
        shape.lines.update(zip(new, loader.field_lines(text, new), strict=True))
    return [shape.lines[field] for field in asked]


def _around(parts: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is around the texts of a document, and the sign before each of them."""
    return tuple(parts[::3]), tuple(parts[1::3])


@functools.lru_cache(maxsize=MAX_SHAPES)
def _shape(_around: tuple[str, ...], _signs: tuple[str, ...]) -> _Shape:
    """The shape of documents that are this around their texts."""
    return _Shape()


def _learned(parts: list[str]) -> tuple[str, ...] | None:
    """The pieces of a shape, from the parts of a document; None: there is none."""
    around, signs = _around(parts)
    if any("&" in item for item in around):
        return None
    marks = [f"{_MARK}{number}-" for number in range(len(around) - 1)]
    marked = around[0] + "".join(map("{} {}{}".format, signs, marks, around[1:]))
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
