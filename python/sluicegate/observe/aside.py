"""What takes time to answer is made aside of the listener, one at a time: nobody who opens a page holds up a probe.

Nothing is made, and no thread is begun, before somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .answering import Answer, Asked, text

#: Who may wait for an answer at once. Stops a hundred tabs from taking memory and time.
MAX_WAITING = 48
#: Seconds that one waits.
PATIENCE = 20.0
#: What the listener, or the engine, answers by itself.
OTHERS = frozenset({"/healthz", "/readyz", "/metrics", "/config"})

Make = Callable[[Asked], Answer]


class Aside:
    """Answers by a function that may take a while; for this machine alone."""

    def __init__(self, make: Make, tell: Callable[[Exception], None]) -> None:
        """Answer nobody yet.

        Args:
            make: gives the answer; called on a thread of its own, one call at a time.
            tell: takes what it raises: a fault of ours.
        """
        self._make = make
        self._tell = tell
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0

    async def __call__(self, asked: Asked) -> Answer | None:
        """Answer what is not the listener's own."""
        if asked.path in OTHERS:
            return None
        if not asked.is_local:
            message = "this is shown to this machine only, asked for as localhost or by address; "
            return text(403, f"{message}in a cluster: kubectl port-forward")
        if self._waiting >= MAX_WAITING:
            return text(503, "too many ask at once", ("retry-after", "1"))
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "page")
        self._waiting += 1
        try:
            made = asyncio.get_running_loop().run_in_executor(self._thread, self._make, asked)
            return await asyncio.wait_for(made, PATIENCE)
        except TimeoutError:
            return text(503, f"there was no answer within {PATIENCE:.0f} s", ("retry-after", "5"))
        except Exception as error:  # it costs this answer; the listener goes on
            self._tell(error)
            return text(500, "a fault of Sluicegate; its log has more: please report it")
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Make no more answers; does not wait for the one that is being made."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
