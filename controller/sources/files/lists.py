"""A list of objects, as `kubectl get -o yaml` writes it, taken apart before it is parsed: each item as a document.

A list of ten thousand routes is then read as fast as ten thousand documents. Rules:
- The value of `items` is a sequence in block style: each item begins with `- ` at the same column, its other lines are
  indented further. Where a line is otherwise (a comment, a text that goes on at the margin), where there are anchors,
  or where an item or the rest of the list is no YAML by itself, the whole is left to the parser.
- An item is the same document that `places.items_of` finds: its lines, indented as they are.
"""

from __future__ import annotations

import re

from . import shapes
from .loader import Loaded, YamlError, load
from .places import Item

#: The line before the first item, and the beginning of that.
_ITEMS = re.compile(r"^items:\n( *)- ", re.MULTILINE)
#: What may be an anchor: `&name` where a value begins. In a text it may be none, and costs nothing but time.
_ANCHOR = re.compile(r"(?<![^\s\[{,])&[^\s\[\]{},]")


def read(text: str) -> Loaded | None:
    """What a list says, and where its items are; None where it is no such list.

    Args:
        text: a document as `loader.load` takes it.
    """
    found = _ITEMS.search(text)
    if found is None or _ANCHOR.search(text):
        return None
    margin = found[1]
    begin = found.end() - len(margin) - 2
    end = _end(text, begin, margin)
    try:
        rest = load(f"{text[: found.start()]}items: []\n{text[end:]}").value
        if not isinstance(rest, dict) or rest.get("items") != []:
            return None
        values: list[object] = []
        items: list[Item] = []
        line = text.count("\n", 0, begin) + 1
        for own in _items(text[begin:end], margin):
            if own.lstrip(" ")[:1] in {"\n", "#", ""}:
                return None  # it begins in another line
            known = shapes.read(own)
            loaded = Loaded(known) if known is not None else load(own)
            values.append(loaded.value)
            items.append(Item(line, own, loaded.items))
            line += own.count("\n")
    except YamlError:
        return None  # the parser says of the whole what is wrong
    if any(item.items for item in items):
        return None  # lists in lists have lines of their own
    return Loaded({**rest, "items": values}, tuple(items))


def _end(text: str, begin: int, margin: str) -> int:
    """Where the items end: at the first line that neither begins one nor belongs to one."""
    inside = re.compile(rf"(?:{margin}(?:- |  )[^\n]*|[ ]*)(?:\n|\Z)")
    while begin < len(text) and (found := inside.match(text, begin)) is not None:
        begin = found.end()
    return begin


def _items(text: str, margin: str) -> list[str]:
    """The items, each as a document: spaces in place of what makes it one of a list."""
    first = f"{margin}- "
    parts = re.split(rf"^{first}", text, flags=re.MULTILINE)
    return [f"{margin}  {part}" for part in parts[1:]]
