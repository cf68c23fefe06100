"""What a leader has to write: each item waits once, is worked on by one worker at a time, and ends with the leadership.

An item that is pushed while it is worked on waits for its next turn: what was decided before is not what is true now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from .writes import Writes

Item = TypeVar("Item")


class WorkQueue(Generic[Item]):
    """Items that wait, the oldest first, and those that are worked on.

    Attributes:
        settled: set while nothing waits and nothing is worked on.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._waiting: dict[Item, None] = {}
        self._busy: set[Item] = set()
        self._ready = asyncio.Event()
        self._writes = Writes()
        self.settled = asyncio.Event()
        self.settled.set()

    def __len__(self) -> int:
        """Items that wait or are worked on."""
        return len(self._waiting) + len(self._busy)

    @property
    def working(self) -> int:
        """Items that are worked on."""
        return len(self._busy)

    def push(self, item: Item) -> None:
        """An item has to be looked at."""
        self._waiting[item] = None
        self.settled.clear()
        self._ready.set()

    def drop(self, item: Item) -> None:
        """An item is gone: it waits no more."""
        self._waiting.pop(item, None)
        self._settle()

    def stop(self) -> None:
        """Nothing waits any more, and what is worked on ends."""
        self._waiting.clear()
        self._writes.stop()
        self._settle()

    async def run(
        self,
        workers: int,
        work: Callable[[Item], Coroutine[Any, Any, None]],
        failed: Callable[[Item, Exception], None],
    ) -> None:
        """Work until cancelled.

        Args:
            workers: items that are worked on at once.
            work: does what an item needs.
            failed: takes an item and what `work` raised; the other items go on.
        """
        async with asyncio.TaskGroup() as group:  # where one raises, all end and begin again
            for _ in range(workers):
                group.create_task(self._work(work, failed))

    async def _work(
        self, work: Callable[[Item], Coroutine[Any, Any, None]], failed: Callable[[Item, Exception], None]
    ) -> None:
        while True:
            item = next((item for item in self._waiting if item not in self._busy), None)
            if item is None:
                self._ready.clear()
                await self._ready.wait()
                continue
            del self._waiting[item]
            self._busy.add(item)
            try:
                await self._writes.run(work(item))
            except Exception as error:  # of one item: the others are worked on
                failed(item, error)
            finally:
                self._busy.discard(item)
                if self._waiting:
                    self._ready.set()
                self._settle()

    def _settle(self) -> None:
        if not self._waiting and not self._busy:
            self.settled.set()
