"""JSON as Kubernetes reads it: one object after the other, in one text, each with its place.

`kubectl` takes a stream of objects, with or without space between them, and so does this. A key that is there twice is
an error, as in YAML.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from .loader import MAX_DEPTH, json_number
from .places import Item

_SPACE = re.compile(r"[ \t\n\r]*")


class JsonError(ValueError):
    """A text that is no JSON. `line` is 1-based within the text."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Value(NamedTuple):
    """One value of a text.

    Attributes:
        value: what it says.
        line: 1-based line of the text at which it begins.
        text: its own text.
        items: where those of its `items` are, with lines of the whole text.
    """

    value: object
    line: int
    text: str
    items: tuple[Item, ...]


def read_values(text: str) -> Iterator[Value]:
    """Read the values of a text, one after the other.

    Raises:
        JsonError: what comes next is no JSON, has a key twice, or is too deep.
    """
    index, line = _skip(text, 0), 1
    line += text.count("\n", 0, index)
    while index < len(text):
        value, end = _decode(text, index, line)
        own = text[index:end]
        yield Value(value, line, own, _items(own, value, line))
        after = _skip(text, end)
        line += text.count("\n", index, after)
        index = after


def _decode(text: str, index: int, line: int) -> tuple[object, int]:
    try:
        value, end = _DECODER.raw_decode(text, index)
        _check_depth(value, 0)
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, error.lineno) from None
    except KeyError as error:
        raise JsonError(f"the key {error} is there twice", line) from None
    except RecursionError:
        raise JsonError(f"nested deeper than {MAX_DEPTH} levels", line) from None
    except ValueError:
        raise JsonError("an integer of thousands of digits", line) from None
    return value, end


def _items(text: str, value: object, line: int) -> tuple[Item, ...]:
    """Where the items of an object's `items` are; the text is JSON, says the value, and begins at a line."""
    if not isinstance(value, dict) or not isinstance(value.get("items"), list):
        return ()
    index, found = _start_of_items(text), []
    line += text.count("\n", 0, index)
    for item in value["items"]:
        _, end = _DECODER.raw_decode(text, index)
        found.append(Item(line, text[index:end], _items(text[index:end], item, line)))
        after = _skip(text, end)
        after = _skip(text, after + 1) if text[after] == "," else after
        line += text.count("\n", index, after)
        index = after
    return tuple(found)


def _start_of_items(text: str) -> int:
    """Where the first item of an object is."""
    index = _skip(text, 1)
    while True:
        name, index = _DECODER.raw_decode(text, index)
        index = _skip(text, _skip(text, index) + 1)
        if name == "items":
            return _skip(text, index + 1)
        _, index = _DECODER.raw_decode(text, index)
        index = _skip(text, _skip(text, index) + 1)


def _skip(text: str, index: int) -> int:
    found = _SPACE.match(text, index)
    return found.end() if found is not None else index


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, each key of it there once: else one of two values would be lost without a word.

    Raises:
        KeyError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return found


def _check_depth(value: object, depth: int) -> None:
    """Hold JSON to the depth that YAML may have.

    Raises:
        RecursionError: it is deeper.
    """
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (dict, list)):
                _check_depth(item, depth + 1)


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=json_number)
