"""Writes of a leader that are under way: they end with its leadership.

A request may take half a minute, and another leads five seconds after this one stopped (`lease`). What was sent cannot
be called back, so a write also carries the version that it was decided on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Writes:
    """What is under way."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, write: Coroutine[Any, Any, None]) -> None:
        """Do one write to its end, or until `stop`.

        Raises:
            Exception: what the write raises.
        """
        task = asyncio.ensure_future(write)
        self._tasks.add(task)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    def stop(self) -> None:
        """End all that is under way."""
        for task in self._tasks:
            task.cancel()
