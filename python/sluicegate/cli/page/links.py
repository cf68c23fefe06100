"""Links within the page: from a name to what is known of it, wherever it stands.

A row is selected by its address: the section, searched for the name, and the name once more as the fragment, which is
the row's `id`. So it is found however long the list is, and what one sees can be sent. A name that no section has is
text. All of a name is escaped: in a query, in a fragment, and as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from sluicegate.controller.api import readable

from .html import Child, Markup, tag


class Row(NamedTuple):
    """Where a name leads.

    Attributes:
        path: of the section.
        id: of the row; a route has a page of its own instead.
    """

    path: str
    id: str


#: Rows by the name of what they tell of: `<kind>/<namespace>/<name>`, and the listener behind it.
Rows = Mapping[str, Row]


def address(path: str, query: Mapping[str, str | int | None], row: str = "") -> str:
    """A path with a query; `row`: selects it."""
    written = urlencode({name: value for name, value in query.items() if value not in {None, ""}})
    return f"{path}{f'?{written}' if written else ''}{fragment(row) if row else ''}"


def fragment(row: str) -> str:
    """What selects a row of the section that is shown."""
    return f"#{quote(row, safe='/:')}"


def link(path: str, text: Child, *, first: bool = False, **query: str | int | None) -> Markup:
    """A link within the page."""
    return tag("a", text, href=address(path, query), data_first=first)


def route_link(name: str, *, first: bool = False) -> Markup:
    """A route, by its name."""
    return link("/route", readable(name), first=first, name=name)


def row_link(path: str, row: str, noun: str = "", text: str = "", *, first: bool = False) -> Markup:
    """A row of a section, searched for and selected.

    Args:
        path: of the section.
        row: its `id`.
        noun: what it is, for who hears the link alone; empty: its text says so.
        text: that is shown; empty: the row's name.
        first: the row that the link stands in is found by it (keys `j` and `k`).
    """
    shown = text or readable(row)
    label = f"{noun} {shown}" if noun else None
    return tag("a", shown, href=address(path, {"search": row}, row), aria_label=label, data_first=first)


def own_link(row: str, *, first: bool = True) -> Markup:
    """The name of a row within it: it selects it."""
    return tag("a", readable(row), href=fragment(row), data_first=first)


def listener_link(name: str) -> Markup:
    """A listener, such as `Gateway/default/edge/http`."""
    return row_link("/gateways", name, "listener")


def backend_link(name: str) -> Markup:
    """A backend, such as `default/shop:80`."""
    return row_link("/backends", name, "backend")


def policy_link(name: str) -> Markup:
    """A policy, or a stanza of it, such as `AccessPolicy/default/sso/jwt`."""
    policy, stanza = "/".join(name.split("/")[:3]), "/".join(name.split("/")[3:])
    return row_link("/policies", policy, text=f"{readable(policy)}/{stanza}" if stanza else "")


def named_object(name: str, rows: Rows, *, first: bool = False) -> Child:
    """An object by its name; it leads to what is known of it."""
    if name.partition("/")[0].endswith("Route"):
        return route_link(name, first=first)
    found = rows.get(name)
    return (
        row_link(found.path, found.id, text=readable(name), first=first)
        if found is not None
        else tag("code", readable(name))
    )


def target_link(target: str, rows: Rows) -> Child:
    """What a policy is attached to, such as `Gateway default/edge` or `HTTPRoute default/shop/login`, a part of it."""
    name = target.replace(" ", "/", 1)
    for known in (name, name.rpartition("/")[0]):
        if known in rows:
            path, row = rows[known]
            return link(path, target, name=row) if path == "/route" else row_link(path, row, text=target)
    return target
