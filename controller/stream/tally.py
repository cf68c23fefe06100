"""Counters of pods that come and go, added up as if they were of one process: they never fall, and never leap.

What is growth counts. What a pod had counted before it was first asked counts too where nobody had been asked for that
route before; of a pod that comes later only what it counts from then on: else each that connects looks like a burst.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set

from .figures import Figures, RouteCounters

#: A counter: of a route or of all (empty), what it counts, and its class, code or place.
_Counter = tuple[str, str, str | int]


class Tally:
    """Adds up; lives on one thread."""

    def __init__(self) -> None:
        """Nobody has been asked."""
        self._before: dict[str, dict[_Counter, int]] = {}
        #: Routes that a pod was asked for: what it did not tell of them was nothing.
        self._known: dict[str, set[str]] = {}
        self._sums: dict[_Counter, int] = defaultdict(int)
        self._since: dict[str, int] = {}
        self._bounds: tuple[float, ...] = ()
        self._look = 0

    def begin(self, routes: Iterable[str]) -> None:
        """Pods are asked for these routes."""
        self._look += 1
        for route in ("", *routes):
            self._since.setdefault(route, self._look)

    def add(self, pod: str, asked: Iterable[str], now: Figures) -> None:
        """A pod answers; `asked`: the routes that it was asked for, of which it tells those that had a request."""
        self._bounds = self._bounds or now.bounds
        before, known = self._before.setdefault(pod, {}), self._known.setdefault(pod, set())
        for counter, count in _counters(now, with_buckets=now.bounds == self._bounds):
            old, route = before.get(counter), counter[0]
            if old is None:
                old = 0 if route in known or self._since.get(route) == self._look else count
            # Less than before: it began anew.
            self._sums[counter] += count - old if count >= old else count
            before[counter] = count
        known.update(("", *asked))

    def total(self, present: Iterable[Figures], wanted: Set[str] | None) -> Figures:
        """What all counted of some routes, or of all, with what is open now at those that are there."""
        here = list(present)
        routes: dict[str, _Route] = defaultdict(_Route)
        errors: dict[str, int] = {}
        for (route, kind, part), count in self._sums.items():
            if route and wanted is not None and route not in wanted:
                continue
            if kind == "errors":
                errors[str(part)] = count
            elif kind == "requests" and route:
                routes[route].requests[str(part)] = count
            elif kind == "buckets":
                routes[route].buckets[int(part)] = count
            elif route:
                routes[route].connections = count
        return Figures(
            connections=sum(item.connections for item in here),
            accepted=self._sums.get(("", "accepted", ""), 0),
            requests=self._sums.get(("", "requests", ""), 0),
            errors={code: count for code, count in errors.items() if count},
            bounds=self._bounds,
            routes={
                name: RouteCounters(
                    requests=item.requests,
                    buckets=tuple(item.buckets[place] for place in sorted(item.buckets)),
                    connections=item.connections,
                    active=sum(one.routes[name].active for one in here if name in one.routes),
                )
                for name, item in routes.items()
            },
            checked=_worst(here),
        )


class _Route:
    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.buckets: dict[int, int] = {}
        self.connections = 0


def _counters(now: Figures, *, with_buckets: bool) -> Iterator[tuple[_Counter, int]]:
    yield ("", "accepted", ""), now.accepted
    yield ("", "requests", ""), now.requests
    for code, count in now.errors.items():
        yield ("", "errors", code), count
    for name, route in now.routes.items():
        yield (name, "connections", ""), route.connections
        for kind, count in route.requests.items():
            yield (name, "requests", kind), count
        for place, count in enumerate(route.buckets if with_buckets else ()):
            yield (name, "buckets", place), count


def _worst(here: Iterable[Figures]) -> dict[str, dict[str, int]]:
    """Endpoints that do well, as the pod sees it that sees the fewest."""
    found: dict[str, dict[str, int]] = {}
    for item in here:
        for backend, counts in item.checked.items():
            known = found.get(backend)
            if known is None or counts.get("healthy", 0) < known.get("healthy", 0):
                found[backend] = counts
    return found
