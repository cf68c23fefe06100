"""HTML by functions: what is not made by `tag` is text, so nothing that an object says can become an element."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

#: Elements without an end.
_VOID = frozenset({"meta", "link", "input", "br"})


class Markup(str):
    """HTML that this module made."""

    __slots__ = ()


Child: TypeAlias = "str | int | Markup | Iterable[Child] | None"


def tag(_name: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element.

    Args:
        _name: of the element; a name of ours, never of an object.
        children: text, elements, or lists of them; None: nothing.
        attributes: `_` at the end of a name is left out, within it stands for `-`; False and None: not there.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if _name in _VOID:
        return Markup(f"<{_name}{written}>")
    return Markup(f"<{_name}{written}>{inside(children)}</{_name}>")


def inside(child: Child) -> Markup:
    """What stands in an element: HTML as it is, anything else as text."""
    if child is None:
        return Markup("")
    if isinstance(child, Markup):
        return child
    if isinstance(child, (str, int)):
        return Markup(html.escape(str(child)))
    return Markup("".join(map(inside, child)))


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{html.escape(str(value))}"'
