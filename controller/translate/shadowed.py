"""Routes that get no connection or request because others of the same listener and hostname come first.

They are accepted and attached all the same (`TCPRoute`, `UDPRoute`, `TLSRoute.spec.hostnames`, `HTTPRoute` rules):
only a problem tells people. Of connections each translation says it, of requests `check` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sluicegate import ir

from ..api import Diagnostic, ObjectKey

#: Rules of a place that are told at most, the first ones: with each change of one all that are told are looked at.
MAX_TOLD = 32


class Place(NamedTuple):
    """What one rule can have of a listener: its connections to a hostname; empty: all of them."""

    listener: str
    hostname: str

    @property
    def key(self) -> ObjectKey:
        """Key of the place among the diagnostics."""
        return ObjectKey("Place", self.listener, self.hostname)


def places_of(rule: ir.L4Rule) -> Iterator[Place]:
    """Places that a rule is for."""
    for listener in rule.listeners:
        for hostname in rule.hostnames or ("",):
            yield Place(listener, hostname)


def rank(rule: ir.L4Rule) -> tuple[int, str, int]:
    """Order of the rules of a place: the older one has it, then the one that comes first by its id; all differ."""
    return rule.created, rule.route, rule.index


def shadowed(place: Place, rules: Sequence[ir.L4Rule]) -> tuple[Diagnostic, ...]:
    """Tell which routes of a place get nothing; `rules` are in the order of `rank`."""
    winner, *losers = rules[: MAX_TOLD + 1]
    of_host = f" with hostname {place.hostname}" if place.hostname else ""
    message = f"{winner.route} comes first at {place.listener}: what comes there{of_host} goes to it, not to this route"
    return tuple(
        Diagnostic(
            severity="warning",
            object=route,
            field="spec.parentRefs",
            code="shadowed-route",
            message=message,
            remedy="make one route of the two, with several backendRefs, or attach one of them elsewhere",
        )
        for route in dict.fromkeys(rule.route for rule in losers)
        if route != winner.route
    )


def shadowed_matches(rules: Iterable[ir.HttpRule]) -> Iterator[Diagnostic]:
    """Tell of matches that get no request, because the same match of the same listener and hostname comes first.

    Of matches that are equal the order is by age, name and place (ARCHITECTURE.md, "4. Rule", 6 to 9). What is only
    nearly the same, such as a regular expression that holds for all of a prefix, is not looked for.
    """
    first: dict[tuple[str, str, ir.PathMatch, str, frozenset[object], frozenset[object]], ir.HttpRule] = {}
    for rule in sorted(rules, key=lambda item: (item.created, item.route, item.index)):
        for number, match in enumerate(rule.matches):
            what = (match.path, match.method, frozenset[object](match.headers), frozenset[object](match.query))
            places = [(listener, hostname) for listener in rule.listeners for hostname in rule.hostnames or ("",)]
            lost = {place: first.setdefault((*place, *what), rule) for place in places}
            others = {place: winner for place, winner in lost.items() if winner is not rule}
            if others:
                yield _shadowed_match(rule, number, others, whole=len(others) == len(places))


def _shadowed_match(
    rule: ir.HttpRule, number: int, others: dict[tuple[str, str], ir.HttpRule], *, whole: bool
) -> Diagnostic:
    (listener, hostname), winner = next(iter(others.items()))
    place = f"{listener}{f' with hostname {hostname}' if hostname else ''}"
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    rest = "it gets no request" if whole else "it gets none there"
    return Diagnostic(
        severity="warning",
        object=rule.route,
        field=f"spec.rules[{rule.index}].matches[{number}]",
        code="shadowed-route",
        message=f"{winner.route} rules[{winner.index}] has the same match at {place}{more} and comes first: {rest}",
        remedy="remove one of the two, or tell them apart by hostname, path, method, headers or query parameters",
    )
