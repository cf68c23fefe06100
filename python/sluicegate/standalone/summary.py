"""What is served, as data for programs and as text for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from sluicegate import ir
from sluicegate.controller.translate import Translation
from sluicegate.pipeline import Finding

#: Routes shown of each listener; programs get all.
SHOWN_ROUTES = 20
#: Findings shown in the summary; the rest is counted.
SHOWN_FINDINGS = 50

_DEFAULT_PORTS = {"http": 80, "https": 443}


class RouteLine(msgspec.Struct, frozen=True, kw_only=True):
    """One match of one rule as a listener has it."""

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
    """

    id: str
    url: str
    hostname: str
    bound: tuple[str, ...]
    attached: int
    routes: tuple[RouteLine, ...]
    error: str | None = None


def listeners_of(translation: Translation, bound: dict[str, tuple[tuple[str, ...], str | None]]) -> list[ListenerLine]:
    """List the listeners.

    Args:
        translation: of this moment.
        bound: by listener id, the sockets and why there are none.
    """
    rules: dict[str, list[ir.HttpRule]] = defaultdict(list)
    for rule in translation.ir.http_rules.values():
        for listener in rule.listeners:
            rules[listener].append(rule)
    return [
        _listener(item, *bound.get(item.id, ((), None)), translation.attached.get(item.id, 0), rules[item.id])
        for item in sorted(translation.ir.listeners.values(), key=lambda item: (item.bind_port, item.id))
    ]


def _listener(
    item: ir.Listener, bound: tuple[str, ...], error: str | None, attached: int, rules: list[ir.HttpRule]
) -> ListenerLine:
    return ListenerLine(
        id=item.id,
        url=_url(item, bound),
        hostname=item.hostname,
        bound=bound,
        attached=attached,
        routes=tuple(line for rule in sorted(rules, key=lambda rule: rule.id) for line in _routes(rule)),
        error=error,
    )


def _routes(rule: ir.HttpRule) -> Iterator[RouteLine]:
    for match in rule.matches:
        yield RouteLine(
            route=rule.route,
            hostnames=rule.hostnames,
            match=describe_match(match),
            backends=tuple(describe_backends(rule)),
        )


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


def describe_backends(rule: ir.HttpRule) -> Iterator[str]:
    """Where a rule sends its requests."""
    redirect = next((item for item in rule.filters if isinstance(item, ir.Redirect)), None)
    if rule.invalid:
        yield "500 (the rule is invalid)"
    elif redirect is not None:
        yield f"{redirect.status} redirect"
    elif not rule.backends:
        yield "500 (no backend)"
    else:
        several = len(rule.backends) > 1
        for backend in rule.backends:
            name = backend.backend if backend.backend is not None else "500 (the backend cannot be used)"
            yield f"{name} (weight {backend.weight})" if several else name


def _url(item: ir.Listener, bound: tuple[str, ...]) -> str:
    if not bound:
        return ""
    scheme = "https" if item.protocol is ir.ListenerProtocol.HTTPS else "http"
    host = item.hostname or _reachable(bound[0])
    port = "" if item.bind_port == _DEFAULT_PORTS[scheme] else f":{item.bind_port}"
    return f"{scheme}://{host}{port}/"


def _reachable(socket: str) -> str:
    """An address by which a client on this machine reaches a socket."""
    address = socket.rpartition(":")[0]
    return {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}.get(address, address)  # noqa: S104 (compared, not bound)


def try_line(listeners: Iterable[ListenerLine]) -> str | None:
    """A curl command that a route of these listeners answers; None where there is none."""
    for listener in listeners:
        for route in listener.routes:
            command = _curl(listener, route) if listener.bound else None
            if command is not None:
                return command
    return None


def _curl(listener: ListenerLine, route: RouteLine) -> str | None:
    kind, _, path = route.match.partition(" ")
    if kind not in {"PathPrefix", "Exact"} or "," in path:
        return None  # a match by method, header, query or expression: people know best what to send
    scheme, port = listener.url.partition(":")[0], listener.bound[0].rpartition(":")[2]
    host = next((name for name in (*route.hostnames, listener.hostname) if name and not name.startswith("*")), None)
    address = _reachable(listener.bound[0])
    suffix = "" if int(port) == _DEFAULT_PORTS[scheme] else f":{port}"
    if host is None:
        named = any((*route.hostnames, listener.hostname))
        return None if named or scheme == "https" else f"curl {scheme}://{address}{suffix}{path}"
    if scheme == "https":
        return f"curl --insecure --resolve {host}:{port}:{address} https://{host}{suffix}{path}"
    return f"curl --header 'Host: {host}' http://{address}{suffix}{path}"


def text_lines(listeners: list[ListenerLine], findings: Iterable[Finding]) -> Iterator[str]:
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
            yield "    no route is attached: every request is answered 404"
    found = [item for item in findings if item.severity != "info"]
    if found:
        yield f"{len({item.object or item.path for item in found}):,} objects with problems:"
        yield from (f"  {item}" for item in found[:SHOWN_FINDINGS])
        if len(found) > SHOWN_FINDINGS:
            yield f"  ... and {len(found) - SHOWN_FINDINGS:,} more; `sluicegate check` lists all"
