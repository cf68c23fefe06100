"""What a query asks for: a part of a list, searched and sorted; or a request to explain."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from sluicegate.controller.api import Diagnostic
from sluicegate.testing.request import Connection, Request, RequestError, from_client, parse_request

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
    text=lambda item: (item.data_plane, item.pod, item.state, item.reason),
    columns={
        "pod": lambda item: (item.data_plane, item.pod),
        "state": lambda item: item.state,
        "generation": lambda item: item.generation,
    },
    good=lambda item: item.good,
)


# --- A request to explain -----------------------------------------------------------------------------------------

#: Options of curl with a value that say nothing about who takes the request.
_IGNORED = frozenset(
    {"--resolve", "-o", "--output", "-m", "--max-time", "--connect-timeout", "-w", "--write-out", "--cacert"}
)
_SWITCHES = frozenset("skvifSLNgG#0")
_DATA = frozenset({"-d", "--data", "--data-raw", "--data-binary", "--json", "--data-urlencode", "-F", "--form"})


def request_of(fields: Sequence[tuple[str, str]]) -> Request | Connection:
    """Read a request: `request`, a URL, a method and a URL, or a curl line; `header` (may be there several times).

    Besides `method`, `port`, `sni`, `from` (an address) and `as` (who asks), as the options of `sluicegate explain`.

    Raises:
        RequestError: it is none.
    """
    given = dict(fields)
    headers = [_field(line) for name, text in fields if name == "header" for line in text.splitlines() if line.strip()]
    text, port = " ".join(given.get("request", "").replace("\\\n", " ").split()), _port(given.get("port", ""))
    if text.startswith("curl ") or text == "curl":
        text, more, resolved = _curl(given.get("request", ""))
        headers = [*more, *headers]
        port = port if port is not None else resolved
    method = given.get("method", "").strip()
    if method:
        text = f"{method} {text.split()[-1] if text else ''}"
    if not text.strip():
        raise RequestError("request: give a URL, such as https://www.example.com/login, or a curl line")
    asked = parse_request(text, headers, port, given["sni"] if given.get("sni") else None)
    return from_client(asked, given.get("from") or None, given.get("as") or None)


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise RequestError(f"{text!r} is no header: write one as 'x-user: anna'")
    return name.strip(), value.strip(" \t")


def _port(text: str) -> int | None:
    if not text.strip():
        return None
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise RequestError(f"port: {text!r} is not a whole number")
    return int(text)


#: Options of curl whose value is a field of the request.
_FIELDS = {
    "-A": "user-agent",
    "--user-agent": "user-agent",
    "-e": "referer",
    "--referer": "referer",
    "-b": "cookie",
    "--cookie": "cookie",
}


class _Line:
    """A curl line, word by word."""

    def __init__(self) -> None:
        self.method, self.url, self.has_data = "", "", False
        self.headers: list[tuple[str, str]] = []
        self.port: int | None = None

    def take(self, word: str, rest: Iterator[str]) -> None:
        """Take a word, with its value if it has one."""
        if not word.startswith("-"):
            self.url = self.url or word
        elif word in {"-X", "--request"}:
            self.method = _value(rest, word)
        elif word in {"-H", "--header"}:
            self.headers.append(_field(_value(rest, word)))
        elif word in _FIELDS:
            self.headers.append((_FIELDS[word], _value(rest, word)))
        elif word == "--url":
            self.url = _value(rest, word)
        elif word in {"-I", "--head"}:
            self.method = self.method or "HEAD"
        elif word in _DATA:
            _value(rest, word)
            self.has_data = True
        elif word == "--connect-to":
            self.port = _port(_value(rest, word).rpartition(":")[2])
        elif word in _IGNORED:
            _value(rest, word)
        elif word in {"-u", "--user"}:
            raise RequestError("-u: say who asks in its own field, as basic:anna; passwords are not wanted here")


def _curl(text: str) -> tuple[str, list[tuple[str, str]], int | None]:
    """A curl line: method and URL, its fields, and the port that it connects to where `--connect-to` says it."""
    try:
        words = shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " "))[1:]
    except ValueError as error:
        raise RequestError(f"the curl line cannot be read: {error}") from None
    line, rest = _Line(), iter(_apart(words))
    for word in rest:
        line.take(word, rest)
    if not line.url:
        raise RequestError("the curl line has no URL")
    return f"{line.method or ('POST' if line.has_data else 'GET')} {line.url}", line.headers, line.port


def _apart(words: Iterable[str]) -> Iterable[str]:
    """Options of one letter, each by itself; its value by itself too."""
    for word in words:
        if not word.startswith("-") or word.startswith("--") or len(word) <= 2:
            name, sign, value = word.partition("=")
            yield from (name, value) if word.startswith("--") and sign else (word,)
            continue
        letters = word[1:]
        while letters and letters[0] in _SWITCHES:
            yield f"-{letters[0]}"
            letters = letters[1:]
        if letters:
            yield f"-{letters[0]}"
            if letters[1:]:
                yield letters[1:] if letters[0] not in "I" else f"-{letters[1:]}"


def _value(rest: Iterator[str], option: str) -> str:
    try:
        return next(rest)
    except StopIteration:
        raise RequestError(f"the curl line ends after {option}") from None
