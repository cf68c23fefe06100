"""What every section of the page has around it, and what several have in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sluicegate.controller.api import Diagnostic, Origin

from ..status_report import StatusCondition
from .asked import Asking
from .facts import OverviewAnswer
from .html import Child, Markup, tag
from .links import Rows, address, named_object

#: Sections, by their path: the name in the navigation, and the list of the overview whose faults are counted there.
SECTIONS = {
    "/": ("Overview", ""),
    "/gateways": ("Gateways", "gateways"),
    "/routes": ("Routes", "routes"),
    "/matches": ("Matches", ""),
    "/explain": ("Explain", ""),
    "/policies": ("Policies", "policies"),
    "/backends": ("Backends", "backends"),
    "/certificates": ("Certificates", "certificates"),
    "/problems": ("Problems", "problems"),
    "/generations": ("Pods", "generations"),
}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: its name.
        sort: what it is sorted by; empty: it is not.
        number: whether it has numbers.
    """

    title: str
    sort: str = ""
    number: bool = False


def document(path: str, title: str, found: OverviewAnswer, content: Child) -> bytes:
    """A whole page."""
    links = [
        tag("li", tag("a", name, _count(found, wrong), href=target, aria_current="page" if target == path else None))
        for target, (name, wrong) in SECTIONS.items()
    ]
    head = tag(
        "header",
        tag("a", "Skip to the content", href="#main", class_="skip"),
        tag(
            "p",
            tag("strong", "Sluicegate"),
            f" {found.version} · {found.role} · configuration {found.generation} · ",
            tag("span", id="live", role="status"),
            id="head",
        ),
        tag("nav", tag("ul", links), aria_label="Sections"),
    )
    body = tag("body", head, tag("main", tag("h1", title), content, id="main", tabindex="-1"))
    meta = (
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} · Sluicegate"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/page.css"),
        tag("script", src="/page.js", type="module"),
    )
    return f"<!doctype html>\n{tag('html', tag('head', meta), body, lang='en')}\n".encode()


def _count(found: OverviewAnswer, name: str) -> Child:
    wrong = found.wrong.get(name, 0)
    return tag("span", f" {wrong:,}", class_="bad", aria_label=f", {wrong:,} not as wanted") if wrong else None


def search(path: str, asking: Asking, *others: Child, wrong: str = "only what is not as wanted") -> Markup:
    """The form above a list; it needs no script."""
    return tag(
        "form",
        tag("label", "Search", tag("input", type="search", name="search", value=asking.search, autocomplete="off")),
        others,
        tag(
            "label",
            tag("input", type="checkbox", name="only", value="wrong", checked=asking.only == "wrong"),
            wrong,
            class_="across",
        ),
        tag("input", type="hidden", name="sort", value=asking.sort) if asking.sort else None,
        tag("button", "Search"),
        action=path,
        role="search",
        data_list=True,
    )


def table(
    path: str,
    asking: Asking,
    columns: Sequence[Column],
    rows: Sequence[Markup],
    total: int,
    noun: str,
    more: Mapping[str, str] | None = None,
) -> Markup:
    """A part of a list, with links to sort it and to the other parts.

    Args:
        path: of the section.
        asking: what is shown.
        columns: of the table.
        rows: its `tr`.
        total: number of all that fit.
        noun: what they are, such as `routes`.
        more: other fields of the query.
    """
    state = {**(more or {}), "search": asking.search, "only": asking.only}
    heads = [_head(path, asking, column, state) for column in columns]
    first, last = asking.offset + 1, asking.offset + len(rows)
    what = f"{first:,} to {last:,} of {total:,} {noun}" if rows else f"no {noun}"
    if asking.search or asking.only:
        what += ", of those that were searched for"
    parts = [
        tag("a", text, href=address(path, {**state, "sort": asking.sort, "offset": offset or None}), rel=rel)
        for text, rel, offset, there in (
            ("← before", "prev", max(asking.offset - asking.limit, 0), asking.offset > 0),
            ("after →", "next", last, last < total),
        )
        if there
    ]
    shown = tag("table", tag("caption", what), tag("thead", tag("tr", heads)), tag("tbody", rows))
    return tag(
        "div",
        tag("div", shown, class_="wide"),
        tag("nav", parts, class_="parts", aria_label="Parts of the list") if parts else None,
        id="found",
    )


def _head(path: str, asking: Asking, column: Column, state: Mapping[str, str]) -> Markup:
    kind = "number" if column.number else None
    if not column.sort:
        return tag("th", column.title, scope="col", class_=kind)
    is_up, is_down = asking.sort == column.sort, asking.sort == f"-{column.sort}"
    target = address(path, {**state, "sort": f"-{column.sort}" if is_up else column.sort})
    order = "ascending" if is_up else "descending" if is_down else None
    arrow = " ↑" if is_up else " ↓" if is_down else ""
    return tag("th", tag("a", f"{column.title}{arrow}", href=target), scope="col", class_=kind, aria_sort=order)


def plain(items: Iterable[Child], most: int = 8, rest: Child = None) -> Child:
    """A list without marks; what is too much is counted, and `rest` says where it is."""
    every = list(items)
    left = len(every) - most
    more = (
        tag("li", f"and {left:,} more", [": ", rest] if rest is not None else None, class_="soft") if left > 0 else None
    )
    return tag("ul", [tag("li", item) for item in every[:most]], more, class_="plain") if every else "–"


def verdict(*, good: bool, well: str = "yes", badly: str = "no") -> Markup:
    """A word that says whether something is as wanted, and not by its colour alone."""
    return tag("span", f"✓ {well}" if good else f"✗ {badly}", class_="good" if good else "bad")


def place(path: str, line: int) -> Child:
    """Where an object is written."""
    return tag("span", str(Origin(path, line)), class_="soft code") if path and path != "cluster" else None


def told(items: Iterable[Diagnostic], rows: Rows | None = None) -> list[Markup]:
    """What is wrong, with field, remedy and place; `rows`: with the object, which leads to its row."""
    return [_told(item, rows) for item in items]


def _told(item: Diagnostic, rows: Rows | None) -> Markup:
    about = [named_object(item.object, rows), " "] if rows is not None and item.object else None
    field = [tag("code", item.field), " "] if item.field else None
    return tag(
        "div",
        tag("p", tag("b", item.severity), ": ", about, field, item.message),
        tag("p", tag("b", "What to do: "), item.remedy) if item.remedy else None,
        tag("p", place(item.path, item.line), " ", tag("span", item.code, class_="soft code")),
        class_=f"box {item.severity}",
    )


def conditions(items: Iterable[StatusCondition]) -> Child:
    """Conditions in words, those first that are not as wanted."""
    order = sorted(items, key=lambda item: item.good)
    rows = [
        tag(
            "tr",
            tag("td", item.of or "itself"),
            tag("td", item.type),
            tag("td", verdict(good=item.good, well=item.status, badly=item.status)),
            tag("td", item.message, " ", tag("span", item.reason, class_="soft code")),
        )
        for item in order
    ]
    heads = tag("tr", [tag("th", text, scope="col") for text in ("For", "Condition", "Is", "Why")])
    return tag("div", tag("table", tag("thead", heads), tag("tbody", rows)), class_="wide") if rows else None
