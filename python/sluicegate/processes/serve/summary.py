"""What is served, as data for programs and as text for people."""

from __future__ import annotations

import itertools
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from sluicegate import ir
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.translate import Translation
from sluicegate.controller.translate.grpc_rules import CONTENT_TYPE
from sluicegate.words import count

#: Routes shown of each listener; programs get all.
SHOWN_ROUTES = 20
#: Requests to try, one of each listener.
SHOWN_TRIES = 8
#: Diagnostics shown in the summary; the rest is counted.
SHOWN_DIAGNOSTICS = 50

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Words for what a listener takes.

    Attributes:
        scheme: of its URL.
        without_route: what becomes of it where no route is attached.
    """

    scheme: str
    without_route: str


_TRAFFIC = {
    ir.ListenerProtocol.HTTP: _Traffic("http", "every request is answered 404"),
    ir.ListenerProtocol.HTTPS: _Traffic("https", "every request is answered 404"),
    ir.ListenerProtocol.TLS: _Traffic("tls", "every connection is closed"),
    ir.ListenerProtocol.TCP: _Traffic("tcp", "every connection is closed"),
    ir.ListenerProtocol.UDP: _Traffic("udp", "every datagram is dropped"),
}


class RouteLine(msgspec.Struct, frozen=True, kw_only=True):
    """One match of one rule as a listener has it; rules of TLSRoutes, TCPRoutes and UDPRoutes have one each."""

    route: str
    hostnames: tuple[str, ...]
    match: str
    backends: tuple[str, ...]


class ListenerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A listener.

    Attributes:
        id: such as `Gateway/default/example-gateway/http`.
        url: by which a client on this machine reaches it; empty where nothing is bound.
        hostname: that it serves; empty: every.
        bound: sockets, `address:port`.
        attached: number of routes attached to it.
        routes: what it serves.
        error: why it is not bound.
        protocol: of the listener.
    """

    id: str
    url: str
    hostname: str
    bound: tuple[str, ...]
    attached: int
    routes: tuple[RouteLine, ...]
    error: str | None = None
    protocol: str = "HTTP"


def listeners_of(translation: Translation, bound: dict[str, tuple[tuple[str, ...], str | None]]) -> list[ListenerLine]:
    """List the listeners.

    Args:
        translation: of this moment.
        bound: by listener id, the sockets and why there are none.
    """
    rules: dict[str, list[ir.HttpRule | ir.L4Rule]] = defaultdict(list)
    for table in (translation.ir.http_rules, translation.ir.l4_rules):
        for rule in table.values():
            for listener in ir.listeners_of(rule, translation.ir.attachments):
                rules[listener].append(rule)
    return [
        _listener(item, *bound.get(item.id, ((), None)), translation.attached.get(item.id, 0), rules[item.id])
        for item in sorted(translation.ir.listeners.values(), key=lambda item: (item.bind_port, item.id))
    ]


def _listener(
    item: ir.Listener,
    bound: tuple[str, ...],
    error: str | None,
    attached: int,
    rules: list[ir.HttpRule | ir.L4Rule],
) -> ListenerLine:
    return ListenerLine(
        id=item.id,
        url=url_of(item, bound),
        hostname=item.hostname,
        bound=bound,
        attached=attached,
        routes=tuple(line for rule in sorted(rules, key=lambda rule: rule.id) for line in _routes(rule, item)),
        error=error,
        protocol=item.protocol.value,
    )


def _routes(rule: ir.HttpRule | ir.L4Rule, listener: ir.Listener) -> Iterator[RouteLine]:
    if isinstance(rule, ir.L4Rule):
        matches = [_describe_connection(listener)]
    else:
        matches = [describe_match(_without_implied(match) if rule.grpc else match) for match in rule.matches]
    for match in matches:
        yield RouteLine(
            route=rule.route, hostnames=rule.hostnames, match=match, backends=tuple(describe_backends(rule))
        )


def _describe_connection(listener: ir.Listener) -> str:
    if listener.protocol is ir.ListenerProtocol.TLS:
        return "TLS, terminated" if listener.tls is not None else "TLS, passed through"
    return "datagrams" if listener.protocol is ir.ListenerProtocol.UDP else "connections"


def _without_implied(match: ir.Match) -> ir.Match:
    """A match of a GRPCRoute without what every gRPC request has."""
    headers = tuple(item for item in match.headers if item != CONTENT_TYPE)
    return msgspec.structs.replace(match, method="", headers=headers)


def describe_match(match: ir.Match) -> str:
    """A match in the words of the API, such as `GET PathPrefix /login, header x-user: anna`."""
    kind = type(match.path).__name__.removesuffix("Path")
    is_expression = isinstance(match.path, ir.GrpcMethod) and match.path.kind is ir.ValueMatchKind.REGULAR_EXPRESSION
    parts = [f"{match.method} {kind} {match.path.value}{' (RegularExpression)' if is_expression else ''}".strip()]
    for name, values in (("header", match.headers), ("query", match.query)):
        sign = {"header": ": ", "query": "="}[name]
        for item in values:
            regular = " (RegularExpression)" if item.kind is ir.ValueMatchKind.REGULAR_EXPRESSION else ""
            parts.append(f"{name} {item.name}{sign}{item.value}{regular}")
    return ", ".join(parts)


def describe_backends(rule: ir.HttpRule | ir.L4Rule) -> Iterator[str]:
    """Where a rule sends its requests or connections."""
    failure = _failure(rule)
    if isinstance(rule, ir.HttpRule):
        redirect = next((item for item in rule.filters if isinstance(item, ir.Redirect)), None)
        if rule.invalid:
            yield f"{failure} (the rule is invalid)"
            return
        if redirect is not None:
            yield f"{redirect.status} redirect"
            return
    several = len(rule.backends) > 1
    for backend in rule.backends:
        name = backend.backend if backend.backend is not None else f"{failure} (the backend cannot be used)"
        yield f"{name} (weight {backend.weight})" if several else name
    if not rule.backends:
        yield f"{failure} (no backend)"


def _failure(rule: ir.HttpRule | ir.L4Rule) -> str:
    if isinstance(rule, ir.L4Rule):
        return "dropped" if rule.route.startswith("UDPRoute/") else "closed"
    return "UNAVAILABLE" if rule.grpc else "500"


def url_of(item: ir.Listener, bound: tuple[str, ...]) -> str:
    """By which a client on this machine reaches a listener; empty where nothing is bound."""
    if not bound:
        return ""
    scheme = _TRAFFIC[item.protocol].scheme
    host = item.hostname or _reachable(bound[0])
    if scheme not in _DEFAULT_PORTS:
        return f"{scheme}://{host}:{item.bind_port}"
    port = "" if item.bind_port == _DEFAULT_PORTS[scheme] else f":{item.bind_port}"
    return f"{scheme}://{host}{port}/"


def _reachable(socket: str) -> str:
    """An address by which a client on this machine reaches a socket."""
    address = socket.rpartition(":")[0]
    return {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}.get(address, address)  # noqa: S104 (compared, not bound)


def try_lines(listeners: Iterable[ListenerLine]) -> Iterator[str]:
    """A curl command for each listener that has a route which one can ask for, up to `SHOWN_TRIES`."""
    commands = (command for item in listeners if item.bound and (command := _try(item)) is not None)
    return itertools.islice(commands, SHOWN_TRIES)


def _try(listener: ListenerLine) -> str | None:
    """What is forwarded says more than a redirect."""
    routes = sorted(listener.routes, key=lambda route: any("redirect" in backend for backend in route.backends))
    commands = (_curl(listener, route) for route in routes)
    return next((command for command in commands if command is not None), None)


def _host(own: str, names: Iterable[str]) -> str | None:
    """A name that a listener and a route both have; of a wildcard one that it stands for; None: they take any."""
    if own and not own.startswith("*"):
        return own
    both = [name for name in names if name.removeprefix("*").endswith(own[1:])] or ([own] if own else [])
    return next((name for name in both if not name.startswith("*")), f"www{both[0][1:]}" if both else None)


def _curl(listener: ListenerLine, route: RouteLine) -> str | None:
    kind, _, path = route.match.partition(" ")
    if kind not in {"PathPrefix", "Exact"} or "," in path:
        return None  # a match by method, header, query or expression: people know best what to send
    scheme, port = listener.url.partition(":")[0], listener.bound[0].rpartition(":")[2]
    host = _host(listener.hostname, route.hostnames)
    address = _reachable(listener.bound[0])
    suffix = "" if int(port) == _DEFAULT_PORTS[scheme] else f":{port}"
    insecure = ("--insecure",) if scheme == "https" else ()
    if host is None:
        words = (*insecure, f"{scheme}://{address}{suffix}{path}")
    elif scheme == "https":
        words = (*insecure, "--resolve", f"{host}:{port}:{address}", f"https://{host}{suffix}{path}")
    else:
        words = ("--header", f"Host: {host}", f"http://{address}{suffix}{path}")
    return shlex.join(("curl", *words))


def text_lines(listeners: list[ListenerLine], diagnostics: Iterable[Diagnostic]) -> Iterator[str]:
    """The summary for people."""
    for listener in listeners:
        where = listener.url or f"not bound: {listener.error}"
        yield f"  {listener.id}  {where}"
        for route in listener.routes[:SHOWN_ROUTES]:
            hosts = ",".join(route.hostnames) or "*"
            yield f"    {hosts} {route.match} -> {', '.join(route.backends)}  [{route.route}]"
        if len(listener.routes) > SHOWN_ROUTES:
            yield f"    ... and {len(listener.routes) - SHOWN_ROUTES:,} more matches"
        if not listener.routes:
            without_route = _TRAFFIC[ir.ListenerProtocol(listener.protocol)].without_route
            yield f"    no route is attached: {without_route}"
    found = [item for item in diagnostics if item.severity != "info"]
    if found:
        yield f"{count(len({item.object or item.path for item in found}), 'object')} with problems:"
        yield from (f"  {item}" for item in found[:SHOWN_DIAGNOSTICS])
        if len(found) > SHOWN_DIAGNOSTICS:
            yield f"  ... and {len(found) - SHOWN_DIAGNOSTICS:,} more; `sluicegate check` lists all"
