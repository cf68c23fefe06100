"""Routes that get no connection because others of the same listener and hostname come first.

They are accepted and attached all the same (`TCPRoute`, `UDPRoute`, `TLSRoute.spec.hostnames`), so only a problem tells
people. Asked for when problems are shown, not with every translation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sluicegate import ir

from ..model import ObjectKey
from .problems import Problem


def shadowed_routes(rules: Iterable[ir.L4Rule]) -> Iterator[Problem]:
    """Tell which routes come after others; the older one wins, then the route that comes first by its id."""
    winners: dict[tuple[str, str], str] = {}
    for rule in sorted(rules, key=lambda rule: (rule.created, rule.route, rule.index)):
        for listener in rule.listeners:
            for hostname in rule.hostnames or ("",):
                winner = winners.setdefault((listener, hostname), rule.route)
                if winner != rule.route:
                    yield _problem(rule, listener, hostname, winner)


def _problem(rule: ir.L4Rule, listener: str, hostname: str, winner: str) -> Problem:
    of_host = f" with hostname {hostname}" if hostname else ""
    return Problem(
        severity="warning",
        key=ObjectKey(*rule.route.split("/")),
        field="spec.parentRefs",
        code="shadowed-route",
        message=f"{winner} comes first at {listener}, so what comes there{of_host} goes to it and not to this route",
        remedy="make one route of the two, with several backendRefs, or attach one of them elsewhere",
    )
