"""What goes on beside others in a process, and begins again where it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from sluicegate.controller import caught
from sluicegate.observe.log import Log

#: Seconds before a job that raised begins again, the first and the longest wait. One that went well for longer than the
#: longest begins with the first again.
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0


class Job(NamedTuple):
    """Something that goes on until the end of the process; one that returns is done.

    Attributes:
        name: what a fault of it is told with.
        run: begins it.
    """

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]


def tell_fault(to: Log, name: str, error: BaseException) -> None:
    """Tell and count an exception that nothing should raise.

    Args:
        to: takes what is told.
        name: of what raised it.
        error: the exception.
    """
    to.warning("fault", f"{name}: {caught.note('step', error)}; what is there serves on")


class Jobs:
    """The jobs of a process. What one raises is told and counted, and it begins again, later each time."""

    def __init__(self, log: Log) -> None:
        """Have no job yet."""
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: Job) -> None:
        """Begin a job."""
        task = asyncio.create_task(self._keep_up(job), name=job.name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Cancel all of them and wait for that."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_up(self, job: Job) -> None:
        loop, wait = asyncio.get_running_loop(), FIRST_RETRY
        while True:
            begun = loop.time()
            try:
                await job.run()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                tell_fault(self._log, job.name, error)  # something that it waited for was cancelled, not the job
            except Exception as error:
                tell_fault(self._log, job.name, error)
            else:
                return
            if loop.time() - begun > LONGEST_RETRY:
                wait = FIRST_RETRY
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_RETRY)
