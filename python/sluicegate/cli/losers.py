"""Why others do not take a request or a connection: every other match or rule of the listener, compared.

Whether a single part of a match holds is asked of the native table, by a table with that part alone, so that the
explanation cannot differ from what the gateway does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sluicegate import ir
from sluicegate.engine.native import RouteTable
from sluicegate.processes.serve.summary import describe_match
from sluicegate.testing.decision import Decision
from sluicegate.testing.request import Connection, Request
from sluicegate.testing.table import Table

#: Candidates looked at; a table may have a hundred thousand.
MAX_CANDIDATES = 2_000
#: Losers shown.
SHOWN = 8

#: What decides between two matches that hold, in the order of the specification (ARCHITECTURE.md, "4. Rule").
_RANKS = (
    "its hostname is less specific",
    "its path type comes later (Exact, GrpcMethod, RegularExpression, PathPrefix)",
    "its path is shorter",
    "its gRPC service is shorter",
    "its gRPC method is shorter",
    "its gRPC method is a regular expression",
    "it asks for no method",
    "it has fewer header matches",
    "it has fewer query parameter matches",
    "its route is younger",
    "its route comes later by namespace and name",
    "its rule comes later in the route",
    "its match comes later in the rule",
)
#: The same for connections (ARCHITECTURE.md, "6. L4").
_L4_RANKS = (
    "its hostname is less specific",
    "its route is younger",
    "its route comes later by namespace and name",
    "its rule comes later in the route",
)
_PATH_RANK = {ir.ExactPath: 0, ir.GrpcMethod: 1, ir.RegularExpressionPath: 2, ir.PathPrefix: 3}
_EVERYTHING = ir.PathPrefix(value="/")

#: Compared from left to right; the lower one takes the request.
Rank = tuple[object, ...]


class Loser(msgspec.Struct, frozen=True, kw_only=True):
    """A match, or a rule of L4, that does not take it, and why.

    Attributes:
        route: that has it, such as `HTTPRoute/default/shop`; an Ingress that is served by itself.
        rule: index in the route's rules; None: an Ingress has it.
        match: index in the rule's matches; None: a rule of L4, or an Ingress has it.
        ingress: file, line, Ingress and field that it comes from; None: from no Ingress.
        text: the match in words.
        holds: whether it would take it, were it not for others.
        reasons: why it does not.
    """

    route: str
    rule: int | None
    match: int | None
    ingress: str | None = None
    text: str
    holds: bool
    reasons: tuple[str, ...]


class _Candidate(msgspec.Struct, frozen=True):
    """What may take a request; `misses` of an L4 rule are known, those of a match are asked for where it is shown."""

    rank: Rank
    rule: ir.HttpRule | ir.L4Rule
    match: int | None


def losers(table: Table, request: Request | Connection, decision: Decision) -> list[Loser]:
    """Those that hold too, best first, then those that nearly do: of the first `MAX_CANDIDATES`."""
    resources = table.resources
    listener = next((item for item in resources.listeners if item.id == decision.listener), None)
    if listener is None:
        return []
    attachments = {item.id: item for item in resources.attachments}
    if isinstance(request, Connection):
        name = _server_name(request, listener)
        found = [
            _Candidate(l4_rank(rule, best_hostname(rule.hostnames, name)), rule, None)
            for rule in resources.l4_rules
            if listener.id in ir.listeners_of(rule, attachments)
        ]
    else:
        host = host_of(request.authority)
        found = [
            _Candidate(rank(rule, index, best_hostname(rule.hostnames, host)), rule, index)
            for rule in resources.http_rules
            if listener.id in ir.listeners_of(rule, attachments)
            for index in range(len(rule.matches))
        ]
    found.sort(key=lambda item: item.rank)
    taken = (decision.route, decision.rule, decision.match)
    winner = next((item.rank for item in found if (item.rule.route, item.rule.index, item.match) == taken), None)
    holding: list[Loser] = []
    missing: list[Loser] = []
    for item in found[:MAX_CANDIDATES]:
        if item.rank != winner:
            loser = _loser(table, request, listener, item, winner)
            (holding if loser.holds else missing).append(loser)
    missing.sort(key=lambda loser: len(loser.reasons))
    return [*holding, *missing]


def _loser(
    table: Table, request: Request | Connection, listener: ir.Listener, item: _Candidate, winner: Rank | None
) -> Loser:
    ranks: tuple[str, ...]
    if isinstance(item.rule, ir.HttpRule) and isinstance(request, Request) and item.match is not None:
        text = describe_match(item.rule.matches[item.match])
        reasons = list(_misses(table, request, listener, item.rule, item.rule.matches[item.match]))
        ranks = _RANKS
    else:
        hostnames = item.rule.hostnames
        name = _server_name(request, listener) if isinstance(request, Connection) else ""
        text = ", ".join(hostnames) or "every connection"
        reasons = [_hostname_miss(hostnames, name)] if best_hostname(hostnames, name) is None else []
        ranks = _L4_RANKS
    return Loser(
        route=item.rule.route,
        rule=item.rule.index,
        match=item.match,
        text=text,
        holds=not reasons,
        reasons=tuple(reasons) or (_difference(ranks, winner, item.rank),),
    )


def _difference(texts: tuple[str, ...], winner: Rank | None, rank: Rank) -> str:
    if winner is None:
        return "it holds"
    return next((text for text, one, other in zip(texts, winner, rank, strict=True) if one != other), "it comes later")


# --- Hostnames --------------------------------------------------------------------------------------------------


def host_of(authority: str) -> str:
    """The host of an authority, as matching has it."""
    host = authority.rpartition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0]
    return host.lower().removesuffix(".")


def hostname_of(rule: ir.HttpRule | ir.L4Rule, request: Request | Connection, listener: ir.Listener) -> str | None:
    """The hostname of a route that a request was found by; `*` for a route without."""
    if isinstance(request, Connection):
        return best_hostname(rule.hostnames, _server_name(request, listener))
    return best_hostname(rule.hostnames, host_of(request.authority))


def _server_name(request: Connection, listener: ir.Listener) -> str:
    return (request.server_name or "").lower() if listener.protocol is ir.ListenerProtocol.TLS else ""


def best_hostname(hostnames: Iterable[str], host: str) -> str | None:
    """The most specific of a route's hostnames that holds; `*` for a route without; None where none holds."""
    names = list(hostnames)
    if not names:
        return "*"
    fitting = [item for item in names if item == host or (item.startswith("*") and host.endswith(item[1:]))]
    return max(fitting, key=lambda item: (not item.startswith("*"), len(item)), default=None)


def _hostname_miss(hostnames: Iterable[str], host: str) -> str:
    return f"the hostnames {', '.join(hostnames)} do not hold for {host or 'a client without SNI'}"


def _hostname_rank(hostname: str | None) -> tuple[int, int]:
    if hostname is None or hostname == "*":
        return (3 if hostname is None else 2, 0)
    return (1, -len(hostname)) if hostname.startswith("*") else (0, 0)


# --- Ranks ------------------------------------------------------------------------------------------------------


def rank(rule: ir.HttpRule, index: int, hostname: str | None) -> Rank:
    """The place of a match among those of a listener, where a request is for a hostname of the route's."""
    match = rule.matches[index]
    path, service, method, is_expression = "", "", "", False
    if isinstance(match.path, ir.GrpcMethod):
        service, method = match.path.service or "", match.path.method or ""
        is_expression = match.path.kind is ir.ValueMatchKind.REGULAR_EXPRESSION
    else:
        path = match.path.value
    return (
        _hostname_rank(hostname),
        _PATH_RANK[type(match.path)],
        -len(path.encode()),
        -len(service.encode()),
        -len(method.encode()),
        is_expression,
        not match.method,
        -len(match.headers),
        -len(match.query),
        rule.created,
        rule.route.encode(),
        rule.index,
        index,
    )


def l4_rank(rule: ir.L4Rule, hostname: str | None) -> Rank:
    """The same of a rule that takes connections."""
    return (_hostname_rank(hostname), rule.created, rule.route.encode(), rule.index)


# --- What does not hold -----------------------------------------------------------------------------------------


def _misses(table: Table, request: Request, listener: ir.Listener, rule: ir.HttpRule, match: ir.Match) -> Iterator[str]:
    """What of a match does not hold."""
    host = host_of(request.authority)
    if best_hostname(rule.hostnames, host) is None:
        yield _hostname_miss(rule.hostnames, host)
    path = ir.Match(path=match.path)
    parts: list[tuple[str, ir.Match]] = [(f"the path does not fit {describe_match(path)}", path)]
    if match.method:
        parts.append((f"the method is not {match.method}", ir.Match(path=_EVERYTHING, method=match.method)))
    parts += [
        (f"the header {item.name} does not fit", ir.Match(path=_EVERYTHING, headers=(item,))) for item in match.headers
    ]
    parts += [
        (f"the query parameter {item.name} does not fit", ir.Match(path=_EVERYTHING, query=(item,)))
        for item in match.query
    ]
    for reason, part in parts:
        if not _holds(table, request, listener, part):
            yield reason


def _holds(table: Table, request: Request, real: ir.Listener, match: ir.Match) -> bool:
    """Ask the native table about one part of a match, after the filters of the listener."""
    listener = ir.Listener(
        id="l", gateway="g", port=80, bind_port=80, protocol=ir.ListenerProtocol.HTTP, filters=real.filters
    )
    rule = ir.HttpRule(id="r", route="r", index=0, listeners=("l",), matches=(match,), invalid=True)
    resources = ir.Resources(listeners=(listener,), http_rules=(rule,))
    probe = RouteTable(ir.encode(ir.Transaction(version=ir.VERSION, generation=1, full=True, upsert=resources)))
    asked = msgspec.structs.replace(request, port=80, scheme="http", server_name=None)
    document = msgspec.json.decode(table.native_request(asked))
    document["bind_port"] = 80
    return b'"rule_invalid"' in probe.decide(msgspec.json.encode(document))
