"""Routes that get no connection because others of the same listener and hostname come first.

They are accepted and attached all the same (`TCPRoute`, `UDPRoute`, `TLSRoute.spec.hostnames`), so only a problem tells
people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
