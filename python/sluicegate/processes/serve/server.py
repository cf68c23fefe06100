"""The standalone gateway: engine, files and signals on one event loop.

One job at a time runs on a thread (reading, translating, applying); changes that come meanwhile are the next job's. The
engine's own threads never wait for any of this. A job that raises is told, counted and done again later; what was live
before serves on. Only at the start there is nothing that could serve on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence

from sluicegate.controller import caught
from sluicegate.controller.sources.files import Reader, Settling
from sluicegate.controller.sources.files.reader import Progress
from sluicegate.controller.sources.files.source import Refresh, Source, Validate
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Options, Translator
from sluicegate.engine.checks import native_checks
from sluicegate.engine.native import Engine
from sluicegate.processes import collector, signals
from sluicegate.processes.live import Live, Step
from sluicegate.processes.settings import Settings

from .follow import changes
from .hints import hints_of
from .leave import leave
from .report import Reporter

#: Seconds between attempts to bind ports that could not be bound.
RETRY_BINDS = 2.0
#: Seconds between looks at what the engine has to tell.
POLL_EVENTS = 0.5
#: Seconds between looks at the clock for certificates that expire: the machine may sleep, or its clock be set.
LOOK_AT_CLOCK = 30.0
#: Seconds before a job that raised is done again, the first and the longest wait.
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
#: Exit status after a second signal.
EXIT_AT_ONCE = 130


async def serve(paths: Sequence[str], settings: Settings, version: str, validate: Validate | None = None) -> int:
    """Serve manifests until a signal; returns the exit status.

    Raises:
        ValueError: a setting of the engine that it does not take.
        OSError: the system refuses what the engine needs.
    """
    return await _Server(paths, settings, version, validate).run()


class _Server:
    def __init__(self, paths: Sequence[str], settings: Settings, version: str, validate: Validate | None) -> None:
        self._paths = paths
        self._settings = settings
        self._version = version
        self._reporter = Reporter(settings.output)
        self._stop = asyncio.Event()
        self._job = asyncio.Lock()
        self._started = False
        self._restless = asyncio.Event()
        self._refresh: Refresh | None = None
        self._unusable = 0
        self._timed = asyncio.Event()
        self._due: float | None = None
        self._failed = asyncio.Event()
        self._retry_wait = FIRST_RETRY
        self._hung_up = asyncio.Event()
        self._engine = Engine(settings.engine_settings())
        self._log = signals.AccessLogSignals(
            self._engine,
            settings.access_log,
            lambda code, message: self._reporter.information(message, code),
            lambda code, message: self._reporter.warning(message, code),
        )
        options = Options(port_offset=settings.port_offset, listen=settings.listen, checks=native_checks())
        store = Store()
        source = Source(Reader(paths, settling=Settling()), store, validate)
        self._live = Live(source, store, Translator(settings.controller_name, options), self._engine)

    async def run(self) -> int:
        started = time.perf_counter()
        self._handle_signals()
        logging = asyncio.create_task(self._log.run())
        try:
            step = await self._step(self._reporter.progress)
            self._started = True
            self._tell_events()  # such as an admin port that is taken
            self._reporter.ready(
                step,
                version=self._version,
                admin=self._engine.admin_address,
                seconds=time.perf_counter() - started,
                hints=hints_of(step, self._settings.controller_name),
            )
            collector.settle()
            jobs = (
                self._follow(),
                self._reread(),
                self._settle(),
                self._expire(),
                self._poll_events(),
                self._retry_binds(),
                self._retry_steps(),
            )
            tasks = [asyncio.create_task(job) for job in jobs]
            await self._wait(tasks)
            await leave(self._engine, self._settings, self._reporter)
        finally:
            logging.cancel()
            await self._engine.shutdown_async()
        return 0

    async def _wait(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for the stop; a task that fails ends the gateway with its error rather than silently."""
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        await stopping
        failed = [task for task in tasks if task.done() and task.exception() is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if failed:
            failed[0].result()

    async def _step(self, progress: Progress | None = None, changed: frozenset[str] | None = None) -> Step:
        async with self._job:
            step = await asyncio.to_thread(self._live.step, progress, changed)
        self._refresh, self._unusable = step.refresh, step.unusable
        self._due = step.translation.due
        self._timed.set()
        if step.refresh.due is not None:
            self._restless.set()
        self._engine.control_side(step.unusable, caught.total())
        return step

    async def _update(self, changed: frozenset[str] | None) -> Step | None:
        """Make live what changed, and tell it; whatever goes wrong, the gateway serves on."""
        try:
            step = await self._step(None, changed)
            self._reporter.changed(step)
        except Exception as error:
            self._tell_exception(error)
            self._failed.set()
            return None
        self._retry_wait = FIRST_RETRY
        return step

    def _tell_exception(self, error: Exception) -> None:
        said = caught.note("step", error)
        self._engine.control_side(self._unusable, caught.total())
        self._reporter.warning(f"{said}; what was live before serves on", "fault")

    async def _retry_steps(self) -> None:
        """Do again what raised, later each time."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            await asyncio.sleep(self._retry_wait)
            self._retry_wait = min(self._retry_wait * 2, LONGEST_RETRY)
            await self._update(None)

    async def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                async for changed in changes(self._paths, self._stop, self._reporter.warning):
                    await self._update(changed)
            except Exception as error:  # of the watch: it begins anew, and looks at everything
                self._tell_exception(error)
                await asyncio.sleep(FIRST_RETRY)
        await self._stop.wait()

    async def _reread(self) -> None:
        """Read all files again when SIGHUP asks for it, whether or not the system has told of a change."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            if step := await self._update(None):
                self._reporter.information(f"SIGHUP: read again, {step.refresh.objects:,} objects", "reread")

    async def _settle(self) -> None:
        """Look again at files that somebody was still writing."""
        while True:
            await self._restless.wait()
            self._restless.clear()
            if self._refresh is not None and self._refresh.due is not None:
                await asyncio.sleep(self._refresh.due)
                await self._update(self._refresh.restless)

    async def _expire(self) -> None:
        """Judge certificates again when their time comes."""
        while True:
            self._timed.clear()
            due = self._due
            if due is not None and due <= time.time():
                self._due = None  # the step says when it is due again; one that raises is done again by itself
                await self._update(frozenset())
                continue
            wait = LOOK_AT_CLOCK if due is None else min(due - time.time(), LOOK_AT_CLOCK)
            # Not `wait_for`: before Python 3.12 it can lose a cancellation.
            timer = asyncio.get_running_loop().call_later(wait, self._timed.set)
            try:
                await self._timed.wait()
            finally:
                timer.cancel()

    async def _retry_binds(self) -> None:
        while True:
            await asyncio.sleep(RETRY_BINDS)
            try:
                async with self._job:
                    step = await asyncio.to_thread(self._live.retry_binds)
                if step is not None:
                    self._reporter.changed(step)
            except Exception as error:
                self._tell_exception(error)

    async def _poll_events(self) -> None:
        while True:
            await asyncio.sleep(POLL_EVENTS)
            try:
                self._tell_events()
            except Exception as error:
                self._tell_exception(error)

    def _tell_events(self) -> None:
        for event in self._engine.poll_events():
            self._reporter.warning(event.message, event.code)

    def _handle_signals(self) -> None:
        signals.handle(self._signalled, self._hang_up, self._log.switch)
        # See `manifests.disk.is_open_for_writing`.
        with contextlib.suppress(OSError):
            signal.signal(signal.SIGIO, signal.SIG_IGN)

    def _hang_up(self) -> None:
        self._log.reopen()
        self._hung_up.set()

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(EXIT_AT_ONCE)
        self._stop.set()
        if not self._started:
            # Nobody is served yet, and the thread that reads the files cannot be interrupted.
            self._reporter.information("stopped before it was ready", "stopped")
            os._exit(0)
