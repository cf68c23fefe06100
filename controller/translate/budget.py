"""What routes may cost the data planes that they share: compiled expressions, and places in the tables.

A route over its own limit is refused, and its conditions say so. In a namespace the oldest routes come first: one that
finds no room in what its namespace may have is refused until there is some. So nobody pays for a route but those who
own it. What a refused route asks for counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..api import ObjectKey
from .options import Checks, RouteLimits


class Cost(NamedTuple):
    """What a route costs each data plane that has it.

    Attributes:
        expressions: bytes of its regular expressions, compiled, by their text: equal ones are compiled once.
        places: listeners x hostnames x matches: each is an entry of a table.
    """

    expressions: Mapping[str, int]
    places: int

    @property
    def size(self) -> int:
        """Bytes of all expressions."""
        return sum(self.expressions.values())


class OverBudgetError(Exception):
    """A route asks for more than one may have; the message says of what."""


@dataclass(slots=True)
class RouteExpressions:
    """Checks the regular expressions of one route, and counts what they cost.

    Once there is no room the rest is not looked at: that would cost as much as to serve them.
    """

    checks: Checks
    limit: int
    found: dict[str, int] = field(default_factory=dict)
    _size: int = 0

    def error(self, pattern: str) -> str | None:
        """Why a pattern cannot be used, or None.

        Raises:
            OverBudgetError: all together are too large.
        """
        if pattern in self.found:
            return None
        facts = self.checks.pattern(pattern)
        if facts.error is not None:
            return facts.error
        self.found[pattern] = facts.size
        self._size += facts.size
        if self._size > self.limit:
            message = f"the regular expressions of the route take more than {self.limit:,} bytes when they are compiled"
            raise OverBudgetError(message)
        return None

    def substitution_error(self, pattern: str, replacement: str) -> str | None:
        """Why what is searched for, or what stands in its place, cannot be used, or None; raises as `error`."""
        return self.checks.substitution(pattern, replacement) or self.error(pattern)


def too_many_places(places: int, limits: RouteLimits) -> str:
    """Why a route has too many places; empty: it has not."""
    if places <= limits.places:
        return ""
    return f"its listeners, hostnames and matches make {places:,} combinations; a route may have {limits.places:,}"


class _Entry(NamedTuple):
    """A route as its namespace sees it."""

    created: int
    cost: Cost


@dataclass(slots=True)
class _Namespace:
    """The routes of one namespace; the sums are of all of them, with equal expressions counted for each."""

    routes: dict[ObjectKey, _Entry] = field(default_factory=dict)
    size: int = 0
    places: int = 0
    refused: dict[ObjectKey, str] = field(default_factory=dict)

    def add(self, entry: _Entry, step: int) -> None:
        self.size += step * entry.cost.size
        self.places += step * entry.cost.places


@dataclass(slots=True)
class Budgets:
    """What the routes of each namespace cost together, and which of them find no room."""

    limits: RouteLimits = field(default_factory=RouteLimits)
    _namespaces: dict[str, _Namespace] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)

    def replace(self, key: ObjectKey, created: int, cost: Cost | None) -> None:
        """Note what a route costs now, None: nothing; `created`: seconds since 1970."""
        entry = _Entry(created, cost) if cost is not None else None
        namespace = self._namespaces.get(key.namespace)
        old = namespace.routes.get(key) if namespace is not None else None
        if entry == old:
            return
        namespace = self._namespaces.setdefault(key.namespace, _Namespace())
        self._touched.add(key.namespace)
        if old is not None:
            namespace.add(namespace.routes.pop(key), -1)
        if entry is not None:
            namespace.add(entry, 1)
            namespace.routes[key] = entry

    def settle(self) -> set[ObjectKey]:
        """Say who finds room after what changed; returns the routes of which that is news."""
        changed: set[ObjectKey] = set()
        for name in self._touched:
            namespace = self._namespaces[name]
            before, namespace.refused = namespace.refused, self._refused(name, namespace)
            both = before.keys() | namespace.refused.keys()
            changed.update(key for key in both if before.get(key) != namespace.refused.get(key))
            if not namespace.routes:
                del self._namespaces[name]
        self._touched.clear()
        return changed

    def refusal(self, key: ObjectKey) -> str:
        """Why a route finds no room in its namespace; empty: it does."""
        namespace = self._namespaces.get(key.namespace)
        return namespace.refused.get(key, "") if namespace is not None else ""

    def _refused(self, name: str, namespace: _Namespace) -> dict[ObjectKey, str]:
        limits = self.limits
        if namespace.size <= limits.namespace_expressions and namespace.places <= limits.namespace_places:
            return {}
        refused: dict[ObjectKey, str] = {}
        known: set[str] = set()
        size = places = 0
        for key, (_, cost) in sorted(namespace.routes.items(), key=lambda item: (item[1].created, str(item[0]))):
            more = sum(cost.expressions[pattern] for pattern in cost.expressions.keys() - known)
            if size + more > limits.namespace_expressions:
                what = f"{limits.namespace_expressions:,} bytes of compiled regular expressions"
            elif places + cost.places > limits.namespace_places:
                what = f"{limits.namespace_places:,} combinations of listeners, hostnames and matches"
            else:
                known.update(cost.expressions)
                size, places = size + more, places + cost.places
                continue
            refused[key] = f"the routes of namespace {name} may have {what}, and older ones leave no room for this one"
        return refused
