"""Who is asked first: the matches of a listener in the order in which they are tried for a hostname."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sluicegate import ir
from sluicegate.controller.translate.state import State
from sluicegate.processes.serve.summary import describe_backends, describe_match

from ..losers import Rank, best_hostname, host_of, l4_rank, rank
from .facts import RankedMatch

#: A hostname of routes that have none: everything that comes to the listener.
ANY = "*"

_Rule = ir.HttpRule | ir.L4Rule


class _Entry(NamedTuple):
    rank: Rank
    rule: _Rule
    match: int | None
    found_by: str


class Ranking:
    """The rules of each listener, by hostname."""

    def __init__(self, state: State) -> None:
        """Index what is served."""
        self._listeners = state.listeners
        self._places: dict[str, dict[str, list[_Rule]]] = defaultdict(lambda: defaultdict(list))
        for table in (state.http_rules, state.l4_rules):
            for rule in table.values():
                for listener in ir.listeners_of(rule, state.attachments):
                    for hostname in rule.hostnames or (ANY,):
                        self._places[listener][hostname].append(rule)

    def hostnames(self) -> Iterator[tuple[str, str]]:
        """Each listener with each hostname that its routes name; `*`: a route without."""
        for listener in sorted(self._places, key=self._order):
            for hostname in sorted(self._places[listener]):
                yield listener, hostname

    def all(self) -> Iterator[RankedMatch]:
        """Of each hostname its own matches; those of less specific ones, which follow, are not said again."""
        for listener, hostname in self.hostnames():
            yield from self._ranked(listener, hostname, [hostname])

    def of(self, host: str) -> Iterator[RankedMatch]:
        """All matches that a request for a hostname may be for, at each socket by the listener that has it."""
        name = host_of(host)
        for listener in self._isolated(name):
            names = [item for item in self._places[listener] if item == ANY or best_hostname([item], name) is not None]
            if names:
                yield from self._ranked(listener, name, names)

    def _order(self, listener: str) -> tuple[int, str]:
        found = self._listeners.get(listener)
        return (found.bind_port if found is not None else 0, listener)

    def _isolated(self, name: str) -> list[str]:
        """The listeners that get requests for a name: of those of a socket the most specific one."""
        sockets: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
        for listener in self._places:
            found = self._listeners.get(listener)
            if found is not None:
                is_udp = found.protocol is ir.ListenerProtocol.UDP
                socket = (found.addresses, found.bind_port, is_udp, found.gateway if not found.addresses else "")
                sockets[socket][found.hostname or ANY] = listener
        found_at = []
        for names in sockets.values():
            fitting = [item for item in names if item != ANY and best_hostname([item], name) is not None]
            best = best_hostname(fitting, name) if fitting else (ANY if ANY in names else None)
            if best is not None:
                found_at.append(names[best])
        return sorted(found_at, key=self._order)

    def _ranked(self, listener: str, hostname: str, names: Iterable[str]) -> Iterator[RankedMatch]:
        rules = {rule.id: rule for name in names for rule in self._places[listener].get(name, ())}
        entries = sorted(
            (entry for rule in rules.values() for entry in _entries(rule, hostname)), key=lambda entry: entry.rank
        )
        first: dict[object, _Entry] = {}
        for place, entry in enumerate(entries, 1):
            winner = first.setdefault(_what(entry), entry)
            yield _fact(listener, hostname, place, entry, _label(winner) if winner is not entry else "")


def _entries(rule: _Rule, hostname: str) -> Iterator[_Entry]:
    found_by = ANY if hostname == ANY else best_hostname(rule.hostnames, hostname) or ANY
    if isinstance(rule, ir.L4Rule):
        yield _Entry(l4_rank(rule, found_by), rule, None, found_by)
        return
    for index in range(len(rule.matches)):
        yield _Entry(rank(rule, index, found_by), rule, index, found_by)


def _what(entry: _Entry) -> object:
    """What it asks for: of two that ask for the same the second gets nothing."""
    if isinstance(entry.rule, ir.L4Rule) or entry.match is None:
        return None  # there is nothing to ask for
    match = entry.rule.matches[entry.match]
    return (match.path, match.method, frozenset(match.headers), frozenset(match.query))


def _label(entry: _Entry) -> str:
    match = f".matches[{entry.match}]" if entry.match is not None else ""
    return f"{entry.rule.route} rules[{entry.rule.index}]{match}"


def _fact(listener: str, hostname: str, place: int, entry: _Entry, shadowed: str) -> RankedMatch:
    rule = entry.rule
    return RankedMatch(
        listener=listener,
        hostname=hostname,
        place=place,
        route=rule.route,
        rule=rule.index,
        match=entry.match,
        text=describe_match(rule.matches[entry.match or 0]) if isinstance(rule, ir.HttpRule) else "every connection",
        found_by=entry.found_by,
        backends=tuple(describe_backends(rule)),
        shadowed=shadowed,
    )
