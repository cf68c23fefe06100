"""Which status is written next: what counts routes before the routes, and of those few at a time.

A burst of routes must leave the API server to those who create them, and a Gateway's count of routes must not wait
behind a thousand routes. Rules:
- Routes are written `ROUTE_WORKERS` at a time. Where more than `BURST` of them wait and more come it is one at a
  time, and each write is followed by a rest.
- In a burst the newest and the oldest route take turns: who asks for one route's status has made it just now.
"""

from __future__ import annotations

from ..api import ROUTE_KINDS, ObjectKey

#: Routes that are written at once.
ROUTE_WORKERS = 2
#: Routes that wait from which on they are a burst.
BURST = 32
#: How many times as long as a write the rest after it is.
REST = 4.0
#: Seconds of a rest at most.
LONGEST = 1.0
#: Seconds without another route after which they go on coming no more.
QUIET = 0.25


class Lanes:
    """What waits to be written and what is being written; times are those of one clock, in seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._others: dict[ObjectKey, None] = {}
        self._routes: dict[ObjectKey, None] = {}
        self._busy: set[ObjectKey] = set()
        self._busy_routes = 0
        #: When the next route may be written.
        self._due = float("-inf")
        self._came = float("-inf")
        self._newest = False

    def __len__(self) -> int:
        """Objects that wait to be written or are being written."""
        return len(self._others) + len(self._routes) + len(self._busy)

    def push(self, key: ObjectKey, now: float, *, comes: bool = False) -> None:
        """An object has to be looked at; `comes`: somebody has just made or changed it."""
        if key.kind not in ROUTE_KINDS:
            self._others[key] = None
            return
        self._routes.setdefault(key)
        if comes:
            self._came = now

    def drop(self, key: ObjectKey) -> None:
        """An object is gone."""
        self._others.pop(key, None)
        self._routes.pop(key, None)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._others.clear()
        self._routes.clear()

    def take(self, now: float) -> ObjectKey | None:
        """The next object to write; None where none may be written now. `written` has to follow."""
        key = next((key for key in self._others if key not in self._busy), None)
        if key is not None:
            del self._others[key]
        elif now >= self._due and self._busy_routes < (1 if self._go_on_coming(now) else ROUTE_WORKERS):
            self._newest = self._is_burst and not self._newest
            order = reversed(self._routes) if self._newest else iter(self._routes)
            key = next((key for key in order if key not in self._busy), None)
            if key is not None:
                del self._routes[key]
                self._busy_routes += 1
        if key is not None:
            self._busy.add(key)
        return key

    def written(self, key: ObjectKey, seconds: float, now: float) -> float:
        """A write is over, which took so many seconds; returns when the next one may begin."""
        self._busy.discard(key)
        if key.kind not in ROUTE_KINDS:
            return now
        self._busy_routes -= 1
        if self._go_on_coming(now):
            self._due = now + min(seconds * REST, LONGEST)
        return self._due

    def _go_on_coming(self, now: float) -> bool:
        return self._is_burst and now - self._came < QUIET

    @property
    def _is_burst(self) -> bool:
        return len(self._routes) > BURST
