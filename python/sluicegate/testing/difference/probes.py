"""Requests that tell two tables apart: of each host the paths, methods, fields and parameters that either table names.

Each match gives requests that it takes and others at its edges: a slash more, a longer segment, a path below. Each path
is also asked for with what other matches of the host want besides a path. The same tables and the same seed give the
same requests in the same order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple
from urllib.parse import quote

from sluicegate import ir
from sluicegate.controller.ingress.probes.examples import example
from sluicegate.controller.ingress.probes.paths import written
from sluicegate.controller.translate.grpc_rules import CONTENT_TYPE

from ..request import Connection, Request
from .places import UNLISTED, Port

#: What is asked besides a path, of one host.
MAX_VARIANTS = 24
#: Texts that are made of one expression.
EXAMPLES = 3
#: A path that nobody has.
ELSEWHERE = "/unlisted"

_Header = tuple[str, str]
#: Fields of a call of gRPC (gRPC over HTTP/2, Requests).
_CALL: tuple[_Header, ...] = (("content-type", "application/grpc"), ("te", "trailers"))
_SCHEMES: dict[ir.ListenerProtocol, Literal["http", "https"]] = {
    ir.ListenerProtocol.HTTP: "http",
    ir.ListenerProtocol.HTTPS: "https",
}


class Probe(NamedTuple):
    """Something to ask.

    Attributes:
        asked: the request or the connection.
        edge: what it looks at, for people.
        is_first: it is what a match is there for, and is asked even where not all can be.
    """

    asked: Request | Connection
    edge: str
    is_first: bool


class _Variant(NamedTuple):
    """What a request has besides its path."""

    about: str
    method: str = "GET"
    headers: tuple[_Header, ...] = ()
    query: tuple[_Header, ...] = ()


_PLAIN = _Variant("")


def requests_of(
    port: Port, host: str, rules: Iterable[ir.HttpRule], protocols: Iterable[ir.ListenerProtocol], seed: int
) -> list[Probe]:
    """Requests for a host of a port.

    Args:
        port: it.
        host: that they ask for.
        rules: that hold for the host, of both sets.
        protocols: of the listeners of the port.
        seed: of what is left open.
    """
    schemes = [_SCHEMES[item] for item in sorted(protocols, key=lambda item: item.value) if item in _SCHEMES]
    chance = random.Random(f"{seed}/{host}")  # noqa: S311 (no secret is made of it)
    found: dict[Request, Probe] = {}
    for target, variant, edge, is_first in _questions(list(rules), chance):
        for scheme in schemes:
            request = Request(
                method=variant.method,
                scheme=scheme,
                authority=host if port.number == {"http": 80, "https": 443}[scheme] else f"{host}:{port.number}",
                port=port.number,
                target=_with_query(target, variant.query),
                headers=variant.headers,
                server_name=host if scheme == "https" else None,
            )
            about = ", ".join(part for part in (edge, variant.about) if part)
            if request not in found or (is_first and not found[request].is_first):
                found[request] = Probe(request, about, is_first)
    return list(found.values())


def connections_of(port: Port, hosts: Iterable[str], protocols: Iterable[ir.ListenerProtocol]) -> list[Probe]:
    """Connections to a port, and datagrams.

    Args:
        port: it.
        hosts: server names.
        protocols: of its listeners.
    """
    wanted = set(protocols)
    found: list[Probe] = []
    if ir.ListenerProtocol.TLS in wanted:
        for host in hosts:
            about = "a server name that nobody has" if host == UNLISTED else ""
            found.append(Probe(Connection(protocol="tls", port=port.number, server_name=host), about, is_first=True))
        found.append(Probe(Connection(protocol="tls", port=port.number), "no server name", is_first=True))
    if ir.ListenerProtocol.TCP in wanted:
        found.append(Probe(Connection(protocol="tcp", port=port.number), "", is_first=True))
    if ir.ListenerProtocol.UDP in wanted:
        found.append(Probe(Connection(protocol="udp", port=port.number), "", is_first=True))
    return found


def _questions(rules: list[ir.HttpRule], chance: random.Random) -> Iterator[tuple[str, _Variant, str, bool]]:
    """Target, what is besides it, what that looks at, and whether it is what a match is there for."""
    variants: dict[_Variant, None] = {_PLAIN: None}
    bases: dict[str, str] = {"/": "the root", ELSEWHERE: "a path that nobody has"}
    for rule in rules:
        for match in rule.matches:
            own = _variants(match, chance, is_call=rule.grpc)
            for target, edge in _edges(match.path, chance):
                for variant in own[:1] if edge else own:
                    yield target, variant, edge, variant is own[0] and not edge
                if not edge:
                    bases.setdefault(target, "")
            for variant in own:
                variants.setdefault(variant)
        for variant in _of_browsers(rule):
            variants.setdefault(variant)
    # Those that leave most to the path first.
    kept = sorted(variants, key=lambda item: len(item.headers) + len(item.query))[:MAX_VARIANTS]
    for target, edge in bases.items():
        for variant in kept:
            yield target, variant, edge, False


def _edges(path: ir.PathMatch, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Targets at the edges of a path, and what each looks at; those that it is there for have no word."""
    if isinstance(path, ir.GrpcMethod):
        yield from _calls(path, chance)
        return
    if isinstance(path, ir.RegularExpressionPath):
        texts = sorted({written(example(path.value, chance)) for _ in range(EXAMPLES)})
    else:
        texts = [written(path.value)]
    for text in texts:
        yield text, ""
    bare = texts[0].rstrip("/")
    yield bare if texts[0].endswith("/") and bare else f"{bare}/", "a slash more or less at the end"
    yield f"{bare}/below", "below the path"
    yield f"{bare}x", "a longer segment"


def _calls(path: ir.GrpcMethod, chance: random.Random) -> Iterator[tuple[str, str]]:
    def part(value: str | None, other: str) -> str:
        if value is None:
            return other
        return example(value, chance) if path.kind is ir.ValueMatchKind.REGULAR_EXPRESSION else value

    service, method = part(path.service, "sample.Service"), part(path.method, "Sample")
    yield written(f"/{service}/{method}"), ""
    yield written(f"/{service}/Unlisted"), "another method of the service"
    yield written(f"/{service}x/{method}"), "another service"


def _variants(match: ir.Match, chance: random.Random, *, is_call: bool) -> list[_Variant]:
    """What a match wants besides its path, the whole first, then with each part left out or another."""
    headers = tuple(
        (item.name, _value(item.kind, item.value, chance)) for item in match.headers if item != CONTENT_TYPE
    )
    query = tuple((item.name, _value(item.kind, item.value, chance)) for item in match.query)
    fields = (*_CALL, *headers) if is_call else headers
    method = "POST" if is_call else match.method or "GET"
    whole = _Variant(_about(match.method, headers, query, is_call=is_call), method, fields, query)
    found = [whole]
    if match.method and not is_call and (headers or query):
        other = "POST" if match.method == "GET" else "GET"
        found.append(whole._replace(about=f"{_about('', headers, query)}, method {other}", method=other))
    for index, (name, _) in enumerate(headers):
        rest = (*headers[:index], *headers[index + 1 :])
        kept = (*_CALL, *rest) if is_call else rest
        found.append(whole._replace(about=f"{whole.about}, without header {name}", headers=kept))
        odd = (*kept, (name, "another"))
        found.append(whole._replace(about=f"{whole.about}, another value of header {name}", headers=odd))
    for index, (name, _) in enumerate(query):
        parts = (*query[:index], *query[index + 1 :])
        found.append(whole._replace(about=f"{whole.about}, without parameter {name}", query=parts))
    return found


def _about(method: str, headers: tuple[_Header, ...], query: tuple[_Header, ...], *, is_call: bool = False) -> str:
    parts = ["a call of gRPC"] if is_call else [f"method {method}"] if method else []
    parts += [f"header {name}" for name, _ in headers]
    parts += [f"parameter {name}" for name, _ in query]
    return ", ".join(parts)


def _of_browsers(rule: ir.HttpRule) -> Iterator[_Variant]:
    """What browsers ask where a rule has CORS: preflights and requests, of origins that may and of others."""
    found = [item for item in rule.filters if isinstance(item, ir.Cors)]
    for item in found:
        allowed = [
            origin.replace("*", "app") if "://" in origin else "https://app.example" for origin in item.allow_origins
        ]
        for origin in (*allowed[:1], "https://unlisted.invalid"):
            fields = (("origin", origin),)
            yield _Variant(f"origin {origin}", headers=fields)
            preflight = (*fields, ("access-control-request-method", "PUT"))
            yield _Variant(f"a preflight of origin {origin}", "OPTIONS", preflight)


def _value(kind: ir.ValueMatchKind, value: str, chance: random.Random) -> str:
    text = example(value, chance) if kind is ir.ValueMatchKind.REGULAR_EXPRESSION else value
    return "".join(each for each in text if each.isprintable()).strip()


def _with_query(target: str, query: tuple[_Header, ...]) -> str:
    parts = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    return f"{target}?{parts}" if parts else target
