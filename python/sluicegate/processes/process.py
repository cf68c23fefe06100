"""One process that serves, whatever its role: signals, jobs, the way out.

Its life:

    start    the role's own. A signal meanwhile ends the process at once: nobody is served yet
    serve    the jobs of the role and of its engine, until SIGTERM or SIGINT
    leave    readiness fails, new connections are taken for a settle time more, clients are asked to go; then open
             requests get their time. The role says goodbye meanwhile. The jobs go on: backends still come and go
    end      the jobs are cancelled, the role keeps what it has to keep, the engine stops

A second SIGTERM or SIGINT ends it at once. SIGHUP opens the access log anew and has the role read its files again;
SIGUSR1 switches the access log. What a job, a callback or a thread raises is told and counted, and what is there serves
on: only `start` ends a process with an error.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from sluicegate.observe.log import Log

from . import interpreter, signals
from .job import Job, Jobs, tell_fault
from .serving_engine import ServingEngine
from .start_error import StartError

#: Threads for what must not hold up the event loop: a translation, a call into the engine, a file, a name that is
#: looked up. Each has an arena of the allocator for ever, so they are as few as can be busy at once.
THREADS = 3
#: Seconds for the goodbye of a role, and for what it keeps at the end.
GOODBYE = 5.0
#: Exit status of a start that would serve nothing, and after a second signal.
EXIT_NOTHING, EXIT_AT_ONCE = 1, 130


class Role(Protocol):
    """What one kind of process does beyond what all do."""

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            StartError: nothing would be served.
            ValueError: a setting that cannot be used.
            OSError: the system refuses something.
        """

    def jobs(self) -> Iterable[Job]:
        """What goes on from now on; asked for once, after `start`."""

    def hang_up(self) -> None:
        """Read again what is read from files: SIGHUP."""

    async def leave(self) -> None:
        """Say goodbye while connections are drained; it gets `GOODBYE` seconds."""

    async def close(self) -> None:
        """Keep what has to be kept, once the jobs have ended; it gets `GOODBYE` seconds."""


class Process:
    """A process with a role."""

    def __init__(self, role: Role, log: Log, engine: ServingEngine | None = None) -> None:
        """Put it together.

        Args:
            role: what it does.
            log: takes what is told.
            engine: serves; None for a process without traffic.
        """
        self._role = role
        self._log = log
        self._engine = engine
        self._jobs = Jobs(log)
        self._stopping = asyncio.Event()
        self._serving = False

    async def run(self) -> int:
        """Serve until a signal; returns the exit status.

        Raises:
            ValueError, OSError: as `Role.start`.
        """
        interpreter.share_memory()
        self._log.take_over()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "work"))
        signals.handle(self._signalled, self._hang_up, self._switch_log)
        asyncio.get_running_loop().set_exception_handler(self._tell_stray)
        threading.excepthook = self._tell_thread
        text = "stopped"
        try:
            if self._engine is not None:
                self._jobs.begin(self._engine.access_log.job())
            await self._role.start()
            self._serving = True
            interpreter.settle()
            self._begin_jobs()
            await self._stopping.wait()
            # At the same time: whoever does not answer the role must not keep clients waiting.
            ended, _ = await asyncio.gather(self._drain(), self._within("leave", self._role.leave))
            if not ended:
                text = "stopped; the rest of the connections was closed"
        except StartError as error:
            self._log.error("start_failed", str(error), **error.fields)
            return EXIT_NOTHING
        finally:
            await self._jobs.end()
            await self._within("close", self._role.close)
            if self._engine is not None:
                await self._engine.shutdown()
        self._log.information("stopped", text)
        return 0

    def _begin_jobs(self) -> None:
        jobs = list(self._role.jobs())
        if self._engine is not None:
            jobs += self._engine.jobs(self._stopping)
        for job in jobs:
            self._jobs.begin(job)

    async def _drain(self) -> bool:
        try:
            return self._engine is None or await self._engine.drain()
        except Exception as error:  # the end comes all the same
            tell_fault(self._log, "drain", error)
            return False

    async def _within(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait_for(part(), GOODBYE)
        except TimeoutError:
            self._log.warning("late", f"{name}: not done within {GOODBYE:g} s, it is left")
        except Exception as error:
            tell_fault(self._log, name, error)

    def _tell_stray(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell what a callback raised, or a task that nobody waits for."""
        text, error = str(context.get("message", "")), context.get("exception")
        if error is not None:
            tell_fault(self._log, text, error)
        else:
            self._log.warning("event_loop", text)

    def _tell_thread(self, raised: threading.ExceptHookArgs) -> None:
        if raised.exc_value is not None:
            tell_fault(self._log, f"thread {raised.thread.name if raised.thread is not None else ''}", raised.exc_value)

    def _hang_up(self) -> None:
        if self._engine is not None:
            self._engine.access_log.reopen()
        self._role.hang_up()

    def _switch_log(self) -> None:
        if self._engine is not None:
            self._engine.access_log.switch()
        else:
            self._log.information("signal_ignored", "SIGUSR1: nothing to do, a controller has no access log")

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._log.close()
            os._exit(EXIT_AT_ONCE)
        self._stopping.set()
        if not self._serving:
            # The thread that reads files cannot be interrupted.
            self._log.information("stopped", "stopped before it was ready")
            self._log.close()
            os._exit(0)
