"""Routes that get no connection or request because others of the same listener and hostname come first.

They are accepted and attached all the same (`TCPRoute`, `UDPRoute`, `TLSRoute.spec.hostnames`, `HTTPRoute` rules):
only a problem tells people. Of connections each translation says it, of requests `check` does.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sluicegate import ir

from ..api import Diagnostic, ObjectKey

#: Routes that are told at a place, the first ones behind the one that has it, and places that one route is told of:
#: with each change of a place all that are told there are looked at, and a route may be at 32,000 places.
MAX_TOLD, MAX_PLACES = 32, 4


class Place(NamedTuple):
    """What one route can have of a listener: its connections to a hostname; empty: all of them."""

    listener: str
    hostname: str


class Rank(NamedTuple):
    """A route in the order of those of a place: the older one has it, then the one that comes first by its id."""

    created: int
    route: str
    key: ObjectKey

    @property
    def told_under(self) -> ObjectKey:
        """Key of what is told of the route, among the diagnostics."""
        return self.key._replace(kind=f"shadowed {self.key.kind}")


def rank(key: ObjectKey, rules: Sequence[ir.L4Rule]) -> Rank | None:
    """The rank of a route; None: it has no rules."""
    # The rules behind the first one get nothing in any case, and that is told where they are translated.
    return Rank(rules[0].created, rules[0].route, key) if rules else None


def places_of(rules: Sequence[ir.L4Rule], listeners: Iterable[str]) -> Iterator[Place]:
    """Places that a route is for; `listeners`: those that its rules are attached to."""
    for listener in listeners if rules else ():
        for hostname in rules[0].hostnames or ("",):
            yield Place(listener, hostname)


def shadowed(own: Rank, places: Iterable[Place], order: Mapping[Place, list[Rank]]) -> tuple[Diagnostic, ...]:
    """Tell where a route gets nothing.

    Args:
        own: the route.
        places: that it is for.
        order: the routes of each place.
    """
    found: list[Diagnostic] = []
    for place in places:
        ranks = order[place]
        if 0 < bisect.bisect_left(ranks, own) <= MAX_TOLD:
            found.append(_shadowed(own, place, ranks[0]))
            if len(found) == MAX_PLACES:
                break
    return tuple(found)


def _shadowed(own: Rank, place: Place, winner: Rank) -> Diagnostic:
    of_host = f" with hostname {place.hostname}" if place.hostname else ""
    message = f"{winner.route} comes first at {place.listener}: what comes there{of_host} goes to it, not to this route"
    return Diagnostic(
        severity="warning",
        object=own.route,
        field="spec.parentRefs",
        code="shadowed-route",
        message=message,
        remedy="make one route of the two, with several backendRefs, or attach one of them elsewhere",
    )


def shadowed_matches(rules: Iterable[ir.HttpRule], attachments: Mapping[str, ir.Attachment]) -> Iterator[Diagnostic]:
    """Tell of matches that get no request, because the same match of the same listener and hostname comes first.

    Of matches that are equal the order is by age, name and place (ARCHITECTURE.md, "4. Rule", 6 to 9). What is only
    nearly the same, such as a regular expression that holds for all of a prefix, is not looked for.
    """
    first: dict[tuple[str, str, ir.PathMatch, str, frozenset[object], frozenset[object]], ir.HttpRule] = {}
    for rule in sorted(rules, key=lambda item: (item.created, item.route, item.index)):
        listeners = tuple(ir.listeners_of(rule, attachments))
        places = [(listener, hostname) for listener in listeners for hostname in rule.hostnames or ("",)]
        for number, match in enumerate(rule.matches):
            what = (match.path, match.method, frozenset[object](match.headers), frozenset[object](match.query))
            lost = {place: first.setdefault((*place, *what), rule) for place in places}
            others = {place: winner for place, winner in lost.items() if winner is not rule}
            if others:
                yield _shadowed_match(rule, number, others, whole=len(others) == len(places))


def _because(winner: ir.HttpRule, loser: ir.HttpRule) -> str:
    """Why one of two equal matches comes first."""
    if winner.created != loser.created:
        return f"since its route is older (made {_day(winner.created)}, this one {_day(loser.created)})"
    if winner.route != loser.route:
        return "since its route comes first by namespace and name, and both are of the same age"
    return "since its rule comes first in the route"


def _day(created: int) -> str:
    """A time in UTC, to the second: objects are often made on one day."""
    if created == 0:
        return "at a time that is not known"
    try:
        return datetime.datetime.fromtimestamp(created, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{created} s after 1970"


def _shadowed_match(
    rule: ir.HttpRule, number: int, others: dict[tuple[str, str], ir.HttpRule], *, whole: bool
) -> Diagnostic:
    (listener, hostname), winner = next(iter(others.items()))
    place = f"{listener}{f' with hostname {hostname}' if hostname else ''}"
    more = f" and {len(others) - 1} other place{'s' if len(others) > 2 else ''}" if len(others) > 1 else ""
    rest = "this match gets no request" if whole else "this match gets none there"
    same = f"{winner.route} rules[{winner.index}] has the same match at {place}{more} and comes first"
    return Diagnostic(
        severity="warning",
        object=rule.route,
        field=f"spec.rules[{rule.index}].matches[{number}]",
        code="shadowed-route",
        message=f"{same}, {_because(winner, rule)}: {rest}",
        remedy="remove one of the two, or tell them apart by hostname, path, method, headers or query parameters",
    )
