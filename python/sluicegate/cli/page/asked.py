"""What a query asks for: a part of a list, searched and sorted; or a request to explain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from sluicegate.controller.api import Diagnostic
from sluicegate.testing.request import Connection, Request, RequestError, from_client, parse_request

from ..written_request import header_of, is_curl, port_of, read_curl
from .facts import (
    BackendFacts,
    CertificateFacts,
    GatewayFacts,
    GenerationFacts,
    Item,
    PolicyFacts,
    RankedMatch,
    RouteFacts,
)

#: Items of a part of a list, where nothing is said, and at most.
USUAL, MOST = 100, 1_000

_T = TypeVar("_T", bound=Item)


class Asking(NamedTuple):
    """What is asked of a list.

    Attributes:
        search: words that all have to be in an item, whatever their case.
        sort: name of a column, `-` before it: the other way round; empty: as it is.
        only: `wrong`: what is not as one wants it; empty: all.
        offset: of the first item.
        limit: of the items.
    """

    search: str = ""
    sort: str = ""
    only: str = ""
    offset: int = 0
    limit: int = USUAL


@dataclass(frozen=True, slots=True)
class Listing(Generic[_T]):
    """How a list is searched and sorted.

    Attributes:
        text: of an item, that is searched.
        columns: by name what an item is sorted by.
        good: whether an item is as one wants it.
    """

    text: Callable[[_T], Iterable[str]]
    columns: Mapping[str, Callable[[_T], Any]]
    good: Callable[[_T], bool]

    def take(self, items: Iterable[_T], asking: Asking) -> tuple[list[_T], int]:
        """The part that is asked for, and how many fit in all.

        Raises:
            ValueError: there is no such column.
        """
        words = asking.search.casefold().split()
        fitting = [item for item in items if not words or _has_all(" ".join(self.text(item)).casefold(), words)]
        if asking.only:
            fitting = [item for item in fitting if not self.good(item)]
        if asking.sort:
            key = self.columns.get(asking.sort.removeprefix("-"))
            if key is None:
                raise ValueError(f"sort: there is no column {asking.sort!r}, but {', '.join(self.columns)}")
            fitting.sort(key=key, reverse=asking.sort.startswith("-"))
        elif words:  # what is named exactly so is in the first part, however many others have it in their names
            fitting.sort(key=lambda item: asking.search not in tuple(self.text(item)))
        return fitting[asking.offset : asking.offset + asking.limit], len(fitting)


def _has_all(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)


def asking_of(fields: Mapping[str, str], limit: int = USUAL) -> Asking:
    """Read a query; `limit`: where it says none.

    Raises:
        ValueError: a field that is none.
    """
    only = fields.get("only", "")
    if only not in {"", "wrong"}:
        raise ValueError(f"only: {only!r} is nothing, but wrong is: what is not as one wants it")
    return Asking(
        search=fields.get("search", ""),
        sort=fields.get("sort", ""),
        only=only,
        offset=_number(fields, "offset", 0, 0, 10_000_000),
        limit=_number(fields, "limit", limit, 1, MOST),
    )


def _number(fields: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = fields.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise ValueError(f"{name}: {text!r} is no whole number from {least} to {most:,}")
    return int(text)


# --- The lists ----------------------------------------------------------------------------------------------------


def _problem_text(item: Diagnostic) -> Iterable[str]:
    return (item.severity, item.code, item.object, item.path, item.field, item.message, item.remedy)


def pod_id(item: GenerationFacts) -> str:
    """What the row of one that serves is called."""
    return f"{item.data_plane}/{item.pod}" if item.data_plane else "this process"


GATEWAYS: Listing[GatewayFacts] = Listing(
    text=lambda item: (
        item.object,
        *item.addresses,
        *(f"{one.id} {one.hostname} {one.protocol} {one.bind_port} {one.error}" for one in item.listeners),
        *(one.message for one in item.problems),
    ),
    columns={"object": lambda item: item.object, "good": lambda item: item.good},
    good=lambda item: item.good,
)
ROUTES: Listing[RouteFacts] = Listing(
    text=lambda item: (item.object, item.made_of, *item.hostnames, *item.parents, item.path, item.why),
    columns={
        "object": lambda item: item.object,
        "hostname": lambda item: item.hostnames,
        "good": lambda item: item.good,
        "rules": lambda item: item.rules,
        "shadowed": lambda item: item.shadowed,
    },
    good=lambda item: item.good and not item.shadowed,
)
MATCHES: Listing[RankedMatch] = Listing(
    text=lambda item: (item.hostname, item.text, item.route, item.listener, *item.backends),
    columns={
        "hostname": lambda item: (item.hostname, item.listener, item.place),
        "route": lambda item: (item.route, item.rule, item.match or 0),
    },
    good=lambda item: not item.shadowed,
)
POLICIES: Listing[PolicyFacts] = Listing(
    text=lambda item: (item.object, *item.targets, *item.stanzas, *(one.message for one in item.problems)),
    columns={
        "object": lambda item: item.object,
        "target": lambda item: item.targets,
        "good": lambda item: item.good,
        "rules": lambda item: item.rules,
    },
    good=lambda item: item.good,
)
BACKENDS: Listing[BackendFacts] = Listing(
    text=lambda item: (item.id, item.external, *item.routes, *(one.address for one in item.endpoints)),
    columns={
        "id": lambda item: item.id,
        "endpoints": lambda item: len(item.endpoints),
        "good": lambda item: item.good,
        "routes": lambda item: len(item.routes),
    },
    good=lambda item: item.good,
)
CERTIFICATES: Listing[CertificateFacts] = Listing(
    text=lambda item: (item.id, item.state, *item.names, *item.listeners),
    columns={"id": lambda item: item.id, "days": lambda item: item.days_left if item.days_left is not None else 0},
    good=lambda item: item.good,
)
PROBLEMS: Listing[Diagnostic] = Listing(
    text=_problem_text,
    columns={
        "severity": lambda item: ("error", "warning", "info").index(item.severity),
        "object": lambda item: (item.object, item.path, item.line),
        "code": lambda item: item.code,
    },
    good=lambda item: item.severity == "info",
)
GENERATIONS: Listing[GenerationFacts] = Listing(
    text=lambda item: (item.data_plane, item.pod, pod_id(item), item.state, item.reason),
    columns={
        "pod": lambda item: (item.data_plane, item.pod),
        "state": lambda item: item.state,
        "generation": lambda item: item.generation,
    },
    good=lambda item: item.good,
)


# --- A request to explain -----------------------------------------------------------------------------------------


def request_of(fields: Sequence[tuple[str, str]]) -> Request | Connection:
    """Read a request: `request`, a URL, a method and a URL, or a curl line; `header` (may be there several times).

    Besides `method`, `port`, `sni`, `from` (an address) and `as` (who asks), as the options of `sluicegate explain`.

    Raises:
        RequestError: it is none.
    """
    given = dict(fields)
    headers = [
        header_of(line) for name, text in fields if name == "header" for line in text.splitlines() if line.strip()
    ]
    text, port = " ".join(given.get("request", "").replace("\\\n", " ").split()), port_of(given.get("port", ""))
    if is_curl(text):
        text, more, resolved = read_curl(given.get("request", ""))
        headers = [*more, *headers]
        port = port if port is not None else resolved
    method = given.get("method", "").strip()
    if method:
        text = f"{method} {text.split()[-1] if text else ''}"
    if not text.strip():
        raise RequestError("request: give a URL, such as https://www.example.com/login, or a curl line")
    asked = parse_request(text, headers, port, given["sni"] if given.get("sni") else None)
    return from_client(asked, given.get("from") or None, given.get("as") or None)
