"""Where things are in a document: lines of fields, items of lists; of what `loader` composed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import yaml

#: One step of a path such as `spec.rules[0]["a.b"]`.
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
#: What may be an alias: `*name` where a value begins. In a text it may be none; that changes no line.
_ALIAS = re.compile(r"(?<![^\s\[{,])\*[-\w]+", re.ASCII)


class Item(NamedTuple):
    """An item of a document's `items`.

    Attributes:
        line: 1-based line of the whole text.
        text: its own text, as a document.
        items: of it, where it has such itself.
    """

    line: int
    text: str
    items: tuple[Item, ...] = ()


def items_of(node: yaml.Node, text: str) -> tuple[Item, ...]:
    """Where the items of a document's `items` are; its size is right.

    Aliases in their texts are replaced by nulls: by themselves they mean nothing, and what is below one is told at its
    own line.
    """
    return _items(node, text, {})


def _items(node: yaml.Node, text: str, known: dict[int, Item]) -> tuple[Item, ...]:
    """`known` has the items by node: an item may be there a million times, as an alias."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    items = next((value for key, value in pairs if key.value == "items"), None)
    if not isinstance(items, yaml.SequenceNode):
        return ()
    for item in items.value:
        if id(item) not in known:
            start, end = item.start_mark, item.end_mark
            # Lines of a block go on at the column at which its first one began.
            own = " " * start.column + _ALIAS.sub("~", text[start.index : end.index])
            known[id(item)] = Item(start.line + 1, own, _items(item, text, known))
    return tuple(known[id(item)] for item in items.value)


def lines_of(node: yaml.Node | None, fields: Iterable[str]) -> list[int]:
    """Of each field its 1-based line, or that of the innermost part of its path that exists; 0 without a document."""
    known: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}
    return [_line(node, field, known) if node is not None else 0 for field in fields]


def _line(root: yaml.Node, field: str, known: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]]) -> int:
    """Line of one field; `known` keeps the fields of each mapping that was asked for one, by the mapping's `id`."""
    node = root
    line: int = node.start_mark.line + 1
    for step in _STEP.finditer(field):
        name, index, quoted = step.groups()
        name = quoted if quoted is not None else name
        found = None
        if isinstance(node, yaml.MappingNode) and name is not None:
            if id(node) not in known:
                named = [(key, value) for key, value in node.value if isinstance(key.value, str)]
                known[id(node)] = {key.value: (key, value) for key, value in reversed(named)}
            found = known[id(node)].get(name)
        elif (
            isinstance(node, yaml.SequenceNode)
            and index is not None
            and len(index) < 10
            and int(index) < len(node.value)
        ):
            item = node.value[int(index)]
            found = (item, item)
        if found is None:
            break
        line = found[0].start_mark.line + 1
        node = found[1]
    return line
