"""Whoever looks at the controller's page: pods are asked what they counted, and waited for a moment.

A pod that does not answer (it is slow, or of an older release) is there with what it said last, and is soon not waited
for.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Set

from .. import caught
from .figures import MAX_ROUTES, Figures, read_answer
from .messages import Request
from .plane import PlaneKey
from .session import ProtocolError
from .tally import Tally

#: Seconds that whoever looks waits for the pods.
LOOK = 0.7
#: Seconds without a look after which what was counted is forgotten.
FORGET = 60.0
#: Answers that a pod may owe before it is not waited for any more.
MISSES = 3


class Asked:
    """What one pod was asked for, and what it said; lives on one thread.

    Attributes:
        due: it is to be asked.
        routes: for which.
        last: its last answer.
    """

    def __init__(self) -> None:
        """Nothing was asked."""
        self.due = asyncio.Event()
        self.routes: frozenset[str] = frozenset()
        self.last: Figures | None = None
        self._answer: asyncio.Future[None] | None = None
        self._missed = 0

    def ask(self, routes: frozenset[str]) -> asyncio.Future[None] | None:
        """Have it asked, unless it still owes an answer. Returns what to wait for; None: it is not worth it."""
        if self._answer is None or self._answer.done():
            self.routes = routes
            self._answer = asyncio.get_running_loop().create_future()
            self.due.set()
        return self._answer if self._missed < MISSES else None

    def end(self) -> None:
        """Nobody waits any more."""
        if self._answer is not None and not self._answer.done():
            self._missed += 1

    def take(self, request: Request) -> Figures | None:
        """Take an answer; None: nobody asked.

        Raises:
            ProtocolError: it is none.
        """
        if self._answer is None or self._answer.done():
            return None
        try:
            self.last = read_answer(request, self.routes)
        except caught.UNREADABLE as error:
            raise ProtocolError(f"figures that cannot be read: {error}") from None
        self._missed = 0
        self._answer.set_result(None)
        return self.last


class Onlookers:
    """Asks pods, and adds up what they say; lives on the thread of the stream."""

    def __init__(self, routes_of: Callable[[PlaneKey], Set[str]]) -> None:
        """Nobody looks yet.

        Args:
            routes_of: the routes that a data plane has; it is believed of these alone.
        """
        self._routes_of = routes_of
        self._tally = Tally()
        self._looked = 0.0

    async def look(self, pods: Iterable[tuple[PlaneKey, Asked]], wanted: frozenset[str] | None) -> Figures | None:
        """What pods counted, of some routes or of all that there are; None: there are no pods."""
        now = time.monotonic()
        if now - self._looked > FORGET:
            self._tally = Tally()
        self._looked = now
        asked = {pod: self._asked_of(plane, wanted) for plane, pod in pods}
        if not asked:
            return None
        self._tally.begin(frozenset().union(*asked.values()))
        answers = [answer for pod, routes in asked.items() if (answer := pod.ask(routes)) is not None]
        if answers:
            await asyncio.wait(answers, timeout=LOOK)
        for pod in asked:
            pod.end()
        return self._tally.total([pod.last for pod in asked if pod.last is not None], wanted)

    def _asked_of(self, plane: PlaneKey, wanted: frozenset[str] | None) -> frozenset[str]:
        routes = self._routes_of(plane)
        return frozenset(itertools.islice(routes if wanted is None else routes & wanted, MAX_ROUTES))

    def take(self, name: str, pod: Asked, request: Request) -> None:
        """Take what a pod of a name says.

        Raises:
            ProtocolError: it cannot be read.
        """
        found = pod.take(request)
        if found is not None:
            self._tally.add(name, pod.routes, found)
