"""`sluicegate serve PATH...`: the Gateways of manifests.

One step at a time runs on a thread (reading, translating, applying); changes that come meanwhile are the next one's.
The engine's own threads never wait for any of this. A step that raises is told, counted and made again; what was live
before serves on.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator, Sequence

from sluicegate.checks import native_checks
from sluicegate.controller.sources.files import Reader, Settling
from sluicegate.controller.sources.files.judge import Validate
from sluicegate.controller.sources.files.reader import Progress
from sluicegate.controller.sources.files.source import Refresh
from sluicegate.controller.translate import Options, Translator
from sluicegate.engine.native import self_signed
from sluicegate.observe.log import Log
from sluicegate.words import count

from ..file_sources import sources_of
from ..given_backends import given_backends
from ..ingress_settings import wanted_of
from ..job import Job, tell_fault
from ..live import Live, Step
from ..process import Process
from ..serving_engine import ServingEngine
from ..settings import Settings
from ..start_error import StartError
from ..viewed import MakePage, ServingPod, Viewed, before_engine
from .drain import drain_of
from .follow import changes
from .hints import hints_of
from .report import Reporter
from .worth import REMEDY, reason_to_end

#: Seconds between looks at the clock for certificates that expire: the machine may sleep, or its clock be set.
LOOK_AT_CLOCK = 30.0


async def serve(
    paths: Sequence[str],
    settings: Settings,
    version: str,
    validate: Validate | None = None,
    *,
    remedy: str = REMEDY,
    notes: Sequence[str] = (),
    page: MakePage | None = None,
) -> int:
    """Serve manifests until a signal; returns the exit status.

    Args:
        paths: files and directories.
        settings: of the process.
        version: of this program.
        validate: looks at documents as the API server would.
        remedy: what to do about a start that would serve nothing.
        notes: sentences for the summary, beside its hints.
        page: makes the page of the admin listener; None: there is none.

    Raises:
        ValueError: a setting of the engine that it does not take.
        OSError: the system refuses what the engine needs.
    """
    log = Log(settings.output, settings.log_level, color=settings.color)
    engine = ServingEngine(settings, drain_of(settings), log, settings.keys_directory, before_engine(page))
    gateway = FilesGateway(paths, settings, engine, log, version, validate, remedy=remedy, notes=notes)
    return await Process(gateway, log, engine).run()


class FilesGateway:
    """Keeps an engine at what files say."""

    def __init__(
        self,
        paths: Sequence[str],
        settings: Settings,
        engine: ServingEngine,
        log: Log,
        version: str,
        validate: Validate | None,
        *,
        remedy: str = REMEDY,
        notes: Sequence[str] = (),
    ) -> None:
        """Serve nothing yet.

        Args:
            paths: files and directories.
            settings: of the process.
            engine: serves.
            log: takes what happens.
            version: of this program.
            validate: looks at documents as the API server would.
            remedy: what to do about a start that would serve nothing.
            notes: sentences for the summary, beside its hints.
        """
        self._remedy = remedy
        self._notes = notes
        self._paths = paths
        self._settings = settings
        self._engine = engine
        self._log = log
        self._version = version
        self._reporter = Reporter(log)
        self._one_step = asyncio.Lock()
        self._refresh: Refresh | None = None
        self._due: float | None = None
        self._restless = asyncio.Event()
        self._timed = asyncio.Event()
        self._failed = asyncio.Event()
        self._hung_up = asyncio.Event()
        options = Options(
            port_offset=settings.port_offset,
            listen=settings.listen,
            checks=native_checks(),
            external_names=settings.external_names,
            backends=given_backends(settings.backend),
            self_signed=functools.cache(self_signed) if settings.self_signed else None,
        )
        reader = Reader(paths, settling=Settling())
        source, store, ingresses = sources_of(reader, validate, wanted_of(settings), settings.controller_name)
        translator = Translator(settings.controller_name, options)
        self._live = Live(source, store, translator, engine.delivery, ingresses)
        self._ingresses = ingresses
        #: For the page: the last step, and when its configuration came.
        self._seen: tuple[Step, float] | None = None
        engine.look = self._look

    async def start(self) -> None:
        """Serve what the files say now.

        Raises:
            StartError: nothing of it is served, a path is not there, or the admin port is taken.
        """
        started = time.perf_counter()
        if not self._settings.keep_going:
            self._engine.check_admin()
        step = await self._step(self._reporter.progress)
        hints = [*hints_of(step, self._settings.controller_name), *self._notes]
        reason = None if self._settings.keep_going else reason_to_end(self._paths, step)
        if reason is not None:
            fields = self._reporter.not_started(step, version=self._version, hints=hints)
            raise StartError(f"{reason}; {self._remedy}", **fields)
        self._engine.tell_events()  # such as an admin port that is taken
        self._reporter.ready(
            step,
            version=self._version,
            admin=self._engine.admin_address,
            seconds=time.perf_counter() - started,
            hints=hints,
        )

    def jobs(self) -> Iterator[Job]:
        """What makes a step."""
        self._engine.when_bound(self._tell_bound)
        yield Job("the watch of the files", self._follow)
        yield Job("reading again", self._reread)
        yield Job("files that were being written", self._settle)
        yield Job("certificates whose time comes", self._expire)
        yield Job("a step that raised", self._step_again)

    def hang_up(self) -> None:
        """Read all files again, whether or not the system has told of a change."""
        self._hung_up.set()

    async def leave(self) -> None:
        """Nobody is told."""

    async def close(self) -> None:
        """Nothing is left."""

    async def _step(
        self, progress: Progress | None = None, changed: frozenset[str] | None = None, *, anew: bool = False
    ) -> Step:
        async with self._one_step:
            step = await asyncio.to_thread(self._live.step, progress, changed, anew=anew)
        self._note(step)
        self._refresh = step.refresh
        self._due = step.translation.due
        self._timed.set()
        if step.refresh.due is not None:
            self._restless.set()
        self._engine.set_unusable(step.unusable)
        return step

    async def _update(self, changed: frozenset[str] | None, *, anew: bool = False) -> Step | None:
        """Make live what changed, and tell it; whatever goes wrong is told and made again."""
        try:
            step = await self._step(None, changed, anew=anew)
            self._reporter.changed(step)
        except Exception as error:
            tell_fault(self._log, "a step", error)
            self._failed.set()
            return None
        return step

    async def _step_again(self) -> None:
        while True:
            await self._failed.wait()
            self._reporter.changed(await self._step())
            self._failed.clear()

    async def _follow(self) -> None:
        async for changed in changes(self._paths, self._warn):
            await self._update(changed)

    def _warn(self, message: str) -> None:
        self._log.warning("warning", message)

    async def _reread(self) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            if step := await self._update(None, anew=True):
                self._log.information("reread", f"SIGHUP: read again, {count(step.refresh.objects, 'object')}")

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
                self._due = None  # the step says when it is due again; one that raises is made again by itself
                await self._update(frozenset())
                continue
            wait = LOOK_AT_CLOCK if due is None else min(due - time.time(), LOOK_AT_CLOCK)
            # Not `wait_for`: before Python 3.12 it can lose a cancellation.
            timer = asyncio.get_running_loop().call_later(wait, self._timed.set)
            try:
                await self._timed.wait()
            finally:
                timer.cancel()

    async def _tell_bound(self) -> None:
        async with self._one_step:
            step = await asyncio.to_thread(self._live.again)
        if step is not None:
            self._note(step)
            self._reporter.changed(step)

    def _note(self, step: Step) -> None:
        is_new = step.applied is not None or self._seen is None
        self._seen = (step, time.time() if is_new or self._seen is None else self._seen[1])

    def _look(self) -> Viewed | None:
        """What the page shows."""
        if self._seen is None:
            return None
        step, changed = self._seen
        generation = self._engine.delivery.generation
        return Viewed(
            role="serve",
            version=self._version,
            translation=step.translation,
            diagnostics=step.diagnostics,
            documents=self._live.documents,
            with_lines=self._live.with_lines,
            pods=(ServingPod("", "", "current", generation),),
            generation=generation,
            changed=changed,
            port_offset=self._settings.port_offset,
            path_normalization=self._settings.engine.path_normalization or "strict",
            ingresses=self._ingresses,
        )
