"""`sluicegate explain`: who takes a request, and why others do not.

The native table decides; whether a single part of a match holds is asked of the native table too, by a table with that
part alone, so the explanation cannot differ from what the gateway does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sluicegate import ir
from sluicegate.engine import RouteTable
from sluicegate.library import Decision, Request, RequestError, Routes, parse_request
from sluicegate.pipeline import load_offline
from sluicegate.standalone.summary import describe_match

#: Candidates looked at; a table may have a hundred thousand.
MAX_CANDIDATES = 2_000
#: Losers shown.
SHOWN = 8
EXIT_USAGE = 2

#: What decides between two matches that hold, in the order of the specification (ARCHITECTURE.md, "4. Rule").
_RANKS = (
    "its hostname is less specific",
    "its path type comes later (Exact, RegularExpression, PathPrefix)",
    "its path is shorter",
    "it asks for no method",
    "it has fewer header matches",
    "it has fewer query parameter matches",
    "its route is younger",
    "its route comes later by namespace and name",
    "its rule comes later in the route",
    "its match comes later in the rule",
)
_PATH_RANK = {ir.ExactPath: 0, ir.RegularExpressionPath: 1, ir.PathPrefix: 2}
_EVERYTHING = ir.PathPrefix(value="/")


class Loser(msgspec.Struct, frozen=True, kw_only=True):
    """A match that does not take the request, and why."""

    route: str
    rule: int
    match: int
    text: str
    holds: bool
    reasons: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `--output json` writes.

    Attributes:
        request: as it was understood.
        decision: what happens to it.
        winner: the match that takes it, in words.
        hostname: of the route, that the match was found by.
        filters: that are applied, in order.
        losers: those that hold too, then those that nearly do.
        listeners: of the port, where none takes the request.
        problems: of the winner's route.
    """

    request: Request
    decision: Decision
    winner: str | None
    hostname: str | None
    filters: tuple[str, ...]
    losers: tuple[Loser, ...]
    listeners: tuple[str, ...]
    problems: tuple[str, ...]


def run(paths: Sequence[str], request: str, headers: Sequence[str], port: int | None, name: str, output: str) -> int:
    """Explain; returns 0 where the request is forwarded or redirected, 1 otherwise, 2 for a request that is none."""
    try:
        asked = parse_request(request, [_field(item) for item in headers], port)
    except RequestError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    explanation = explain(Routes(load_offline(paths, name)), asked)
    if output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode() + "\n")
    else:
        for line in _lines(explanation):
            sys.stdout.write(line + "\n")
    return 0 if explanation.decision.reason in {"forwarded", "redirect", "cors_preflight"} else 1


def explain(routes: Routes, request: Request) -> Explanation:
    """Explain what happens to a request."""
    decision = routes.decide(request)
    resources = routes.transaction.upsert
    rules = {rule.id: rule for rule in resources.http_rules}
    rule = rules.get(f"{decision.route}/{decision.rule}") if decision.route is not None else None
    listeners = tuple(
        f"{item.id} ({item.protocol.value}, port {item.port}, hostname {item.hostname or '*'})"
        for item in resources.listeners
        if decision.listener is None
    )
    host = (decision.request.authority if decision.request else request.authority).rpartition("@")[2]
    host = _host(request.authority) or host
    losers = tuple(_losers(routes, request, decision, host)) if decision.listener is not None else ()
    filters: tuple[str, ...] = ()
    winner = hostname = None
    if rule is not None and decision.match is not None:
        winner = describe_match(rule.matches[decision.match])
        hostname = _best_hostname(rule.hostnames, host)
        chosen = next((item for item in rule.backends if item.backend == decision.backend), None)
        filters = tuple(_filter(item) for item in (*rule.filters, *(chosen.filters if chosen is not None else ())))
    problems = tuple(
        str(item) for item in routes.problems if decision.route is not None and item.object == decision.route
    )
    return Explanation(
        request=request,
        decision=decision,
        winner=winner,
        hostname=hostname,
        filters=filters,
        losers=losers,
        listeners=listeners,
        problems=problems,
    )


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise RequestError(f"{text!r} is no header: write one as 'x-user: anna'")
    return name.strip(), value.strip()


def _host(authority: str) -> str:
    """The host of an authority, as matching has it."""
    host = authority.rpartition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0]
    return host.lower().removesuffix(".")


def _best_hostname(hostnames: Iterable[str], host: str) -> str | None:
    """The most specific of a route's hostnames that holds; `*` for a route without; None where none holds."""
    names = list(hostnames)
    if not names:
        return "*"
    fitting = [item for item in names if item == host or (item.startswith("*") and host.endswith(item[1:]))]
    return max(fitting, key=lambda item: (not item.startswith("*"), len(item)), default=None)


def _losers(routes: Routes, request: Request, decision: Decision, host: str) -> Iterator[Loser]:
    rules = [rule for rule in routes.transaction.upsert.http_rules if decision.listener in rule.listeners]
    found = [
        (_rank(rule, index, _best_hostname(rule.hostnames, host)), rule, index)
        for rule in rules
        for index in range(len(rule.matches))
    ]
    found.sort(key=lambda item: item[0])
    winner = next(
        (
            rank
            for rank, rule, index in found
            if (rule.route, rule.index, index) == (decision.route, decision.rule, decision.match)
        ),
        None,
    )
    holding: list[Loser] = []
    missing: list[Loser] = []
    for rank, rule, index in found[:MAX_CANDIDATES]:
        if rank == winner:
            continue
        reasons = list(_misses(routes, request, rule, rule.matches[index], host))
        loser = Loser(
            route=rule.route,
            rule=rule.index,
            match=index,
            text=describe_match(rule.matches[index]),
            holds=not reasons,
            reasons=tuple(reasons) if reasons else (_difference(winner, rank),),
        )
        (missing if reasons else holding).append(loser)
    yield from holding[:SHOWN]
    yield from sorted(missing, key=lambda item: len(item.reasons))[: SHOWN - len(holding[:SHOWN])]


def _rank(rule: ir.HttpRule, index: int, hostname: str | None) -> tuple[object, ...]:
    match = rule.matches[index]
    length = 0 if hostname in {None, "*"} else len(hostname or "")
    specific = {None: 3, "*": 2}.get(hostname, 1 if (hostname or "").startswith("*") else 0)
    return (
        (specific, -length if specific == 1 else 0),
        _PATH_RANK[type(match.path)],
        -len(match.path.value),
        not match.method,
        -len(match.headers),
        -len(match.query),
        rule.created,
        rule.route.encode(),
        rule.index,
        index,
    )


def _difference(winner: tuple[object, ...] | None, rank: tuple[object, ...]) -> str:
    if winner is None:
        return "it holds"
    return next((text for text, one, other in zip(_RANKS, winner, rank, strict=True) if one != other), "it comes later")


def _misses(routes: Routes, request: Request, rule: ir.HttpRule, match: ir.Match, host: str) -> Iterator[str]:
    """What of a match does not hold."""
    if _best_hostname(rule.hostnames, host) is None:
        yield f"the hostnames {', '.join(rule.hostnames)} do not hold for {host}"
    parts: list[tuple[str, ir.Match]] = [
        (f"the path does not fit {describe_match(ir.Match(path=match.path))}", ir.Match(path=match.path))
    ]
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
        if not _holds(routes, request, part):
            yield reason


def _holds(routes: Routes, request: Request, match: ir.Match) -> bool:
    """Ask the native table about one part of a match."""
    listener = ir.Listener(id="l", gateway="g", port=80, bind_port=80, protocol=ir.ListenerProtocol.HTTP)
    rule = ir.HttpRule(id="r", route="r", index=0, listeners=("l",), matches=(match,), invalid=True)
    resources = ir.Resources(listeners=(listener,), http_rules=(rule,))
    table = RouteTable(ir.encode(ir.Transaction(version=ir.VERSION, generation=1, full=True, upsert=resources)))
    asked = msgspec.structs.replace(request, port=80, scheme="http")
    document = msgspec.json.decode(routes.native_request(asked))
    document["bind_port"] = 80
    return b'"rule_invalid"' in table.decide(msgspec.json.encode(document))


def _filter(item: ir.Filter) -> str:
    """A filter in words."""
    document = msgspec.to_builtins(item)
    kind = document.pop("type")
    return f"{kind}: {msgspec.json.encode(document).decode()}"


def _lines(found: Explanation) -> Iterator[str]:
    request, decision = found.request, found.decision
    yield f"{request.method} {request.scheme}://{request.authority}{request.target} (port {request.port})"
    if decision.listener is not None:
        yield f"  listener  {decision.listener}"
    if decision.route is not None:
        yield f"  route     {decision.route}, hostname {found.hostname}"
        yield f"  rule      rules[{decision.rule}].matches[{decision.match}]: {found.winner}"
    for item in found.filters:
        yield f"  filter    {item}"
    if decision.backend is not None:
        yield f"  backend   {decision.backend}"
        yield f"  endpoints {', '.join(decision.endpoints) or 'none'}"
    for mirror in decision.mirrors:
        yield f"  mirror    {mirror}"
    if decision.request is not None:
        yield f"  sent as   {decision.request.method} {decision.request.authority}{decision.request.target}"
        yield from (f"              {name}: {value}" for name, value in decision.request.headers)
    if decision.outcome == "respond":
        yield f"  answer    {decision.status} ({decision.reason})"
        if decision.response is not None:
            yield from (f"              {name}: {value}" for name, value in decision.response.headers)
    for listener in found.listeners:
        yield f"  not by    {listener}"
    for loser in found.losers:
        place = f"{loser.route} rules[{loser.rule}].matches[{loser.match}]: {loser.text}"
        yield f"  {'holds too' if loser.holds else 'not'}: {place}: {'; '.join(loser.reasons)}"
    for problem in found.problems:
        yield f"  problem   {problem}"
