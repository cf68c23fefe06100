"""The control loop: watches -> store -> snapshot -> translate -> outputs; one batch in flight, one filling.

The first translation waits until every kind was listed once. Translation and reports run on a thread, one at a time;
events that come meanwhile are the next batch. Where results go is given: engines, data planes, the API server.

What raises costs itself only: an object at a writer, a writer its part of a round, a round itself. It is told and
counted (`caught`); a round is made again with the next change, at the latest after `LOOK_AT_CLOCK`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..controller import caught
from ..controller.api import POLICY_KINDS, READ_KINDS, Gateway, ObjectKey
from ..controller.api.gateway import GatewayStatus
from ..controller.api.ingress import SERVED_INGRESS_KINDS
from ..controller.complain import Complain
from ..controller.sources.kubernetes.client import Client
from ..controller.sources.kubernetes.resources import WATCHED, Resource
from ..controller.sources.kubernetes.watch import Watch
from ..controller.store.snapshot import Snapshot
from ..controller.store.store import Apply, Delete, Event, Init, InitDone, Keep, Store, kind_of
from ..controller.translate import Take, Translation, Translator
from .job import Job
from .rest import Rest

if TYPE_CHECKING:
    from .ingress_cluster import ClusterIngresses

#: Seconds that a controller which does not lead gathers events for: nobody waits for it, it only has to be near when it
#: does.
FOLLOW = 0.25
#: Seconds from a look at what data planes report to the next one, where nothing else changed.
REPORTS = 0.02
#: Seconds between looks at the clock, for certificates whose time comes or is over.
LOOK_AT_CLOCK = 30.0

#: Seconds in which a round has to get ahead with something; however much there is to do, one object takes far less.
STUCK = 120.0


class Writer(Protocol):
    """Keeps something at what the translation says; all calls come on the event loop."""

    def lead(self, leading: bool) -> None:
        """Begin or stop to write."""

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Take a watched object as the API has it, status and all; comes before the event."""

    def handle(self, event: Event) -> None:
        """Take an event of any watched kind; kinds that the gateway does not read have no `Apply`, only `seen`."""

    def want(self, value: Any) -> None:  # noqa: ANN401 (what the output selects)
        """Say what is wanted from now on."""

    async def run(self) -> None:
        """Write until cancelled."""


@dataclass(frozen=True, slots=True)
class Output:
    """A writer, and what of a translation it wants.

    Attributes:
        writer: the writer.
        select: takes its part out of a translation.
        reported: it wants the translation with the data planes' reports, so it also hears when only those change.
    """

    writer: Writer
    select: Callable[[Translation], object]
    reported: bool = False


class Reports(Protocol):
    """What data planes make of translations."""

    def reported(self, translation: Translation) -> Translation:
        """The translation with what the data planes last said; called on a thread, one call at a time."""


@dataclass(slots=True)
class _Pace:
    """How far a round was when it was last looked at."""

    steps: int
    since: float

    def standing(self, steps: int, now: float) -> float:
        """Seconds for which nothing moved; `now`: of the monotonic clock."""
        if steps != self.steps:
            self.steps, self.since = steps, now
        return now - self.since


class Loop:
    """Translates what the API server has, for as long as it runs."""

    def __init__(
        self,
        client: Client,
        translator: Translator,
        outputs: Sequence[Output],
        reports: Reports,
        complain: Complain,
        resources: Sequence[Resource] = WATCHED,
        observe: Callable[[float], None] | None = None,
        take: Take | None = None,
        ingress: ClusterIngresses | None = None,
    ) -> None:
        """Put the loop together.

        Args:
            client: of the API server.
            translator: makes configuration and status.
            outputs: where results go, in this order; those without reports go first.
            reports: adds the data planes' reports to a translation.
            complain: takes a code and a message.
            resources: kinds to watch.
            observe: takes the seconds that each round took, from its snapshot to the results.
            take: gives a translation to an engine of this process.
            ingress: Ingresses that are served as well; None: none are.
        """
        self._ingress = ingress
        kinds = [item.kind for item in resources if item.kind in READ_KINDS]
        self._store = ingress.store if ingress is not None else Store(kinds)
        others = ingress.resources if ingress is not None else ()
        self._read = frozenset((*READ_KINDS, *(item.kind for item in others)))
        self._translator = translator
        self._outputs = tuple(outputs)
        self._reports = reports
        #: Only a pool of addresses is read out of the status of Gateways: otherwise our own writes would be changes.
        self._reads_status = bool(translator.options.pool)
        self._watches = [
            *(Watch(client, item, self._take, complain, self._seen) for item in resources),
            *(Watch(client, item, self._take, complain, self._seen, SERVED_INGRESS_KINDS) for item in others),
        ]
        self._rest = Rest()
        #: When reports were last looked at, of the monotonic clock.
        self._reported = float("-inf")
        self._changed = asyncio.Event()
        self._reports_changed = False
        self._leading = False
        self.ready = asyncio.Event()
        self._observe = observe
        self._deliver = take
        self._complain = complain
        self._unreadable: set[ObjectKey] = set()
        self._held: dict[ObjectKey, str] = {}
        self._faults: dict[ObjectKey, str] = {}
        #: The round that is under way.
        self._pace: _Pace | None = None
        self.seconds = 0.0
        #: The newest translation; None: there was none yet.
        self.newest: Translation | None = None
        #: The last one, with what data planes said of it, and when its configuration came; None: there is none yet.
        self.seen: tuple[Translation, float] | None = None

    def jobs(self) -> Iterator[Job]:
        """What goes on, each by itself: the watches, the translation, the writers."""
        for watch in self._watches:
            yield Job(f"the watch of {watch.kind}", watch.run)
        yield Job("the translation", self._translate)
        for output in self._outputs:
            yield Job(f"the writer {type(output.writer).__name__}", output.writer.run)

    def lead(self, leading: bool) -> None:
        """Tell all writers whether this process leads."""
        self._leading = leading
        for output in self._outputs:
            output.writer.lead(leading)

    def report_changed(self) -> None:
        """Make results again from the last translation and the newest reports, without translating."""
        self._reports_changed = True
        self._changed.set()

    def faults(self) -> list[str]:
        """What stands still: watches that neither heard nor tried anything for longer than any limit, a stuck round."""
        now = time.monotonic()
        found = [f"the watch of {watch.kind} is dead" for watch in self._watches if watch.is_dead(now)]
        if self._pace is not None and (seconds := self._pace.standing(self._translator.steps, now)) > STUCK:
            found.append(f"a translation got no further for {seconds:.0f} s")
        return found

    @property
    def unusable(self) -> int:
        """Objects that cannot be used as they are."""
        return len(self._unreadable | self._held.keys() | self._faults.keys())

    def _seen(self, kind: str, document: dict[str, Any]) -> None:
        if self._ingress is not None:
            self._ingress.seen(kind, document)
        for output in self._outputs:
            with self._guard("watch", f"an object of kind {kind} is left out by a writer"):
                output.writer.seen(kind, document)

    @contextlib.contextmanager
    def _guard(self, stage: caught.Stage, outcome: str) -> Iterator[None]:
        """Tell and count an exception; what follows goes on."""
        try:
            yield
        except Exception as error:
            self._complain("fault", f"{outcome}: {caught.note(stage, error)}")

    @property
    def _is_changed(self) -> bool:
        """Whether another round is worth it."""
        return self._store.changed or (self._ingress is not None and self._ingress.changed)

    def _note_unreadable(self, event: Event) -> None:
        if isinstance(event, Keep):
            self._unreadable.add(event.key)
        elif isinstance(event, Init):  # the list says it again
            self._unreadable = {key for key in self._unreadable if key.kind != event.kind}
        elif self._unreadable and isinstance(event, (Apply, Delete)):
            self._unreadable.discard(event.object.key if isinstance(event, Apply) else event.key)

    def _take(self, event: Event) -> None:
        self._note_unreadable(event)
        if isinstance(event, Apply) and isinstance(event.object, Gateway) and not self._reads_status:
            event = Apply(msgspec.structs.replace(event.object, status=GatewayStatus()))
        for output in self._outputs:
            with self._guard("watch", f"an event of kind {kind_of(event)} is left out by a writer"):
                output.writer.handle(event)
        if self._ingress is not None:
            self._ingress.handle(event)
        if kind_of(event) not in self._read:
            return
        gone = self._store.handle(event)
        if self._store.faults or self._faults:
            self._tell_faults()
        if isinstance(event, InitDone):
            for output in self._outputs:
                for key in gone:
                    with self._guard("watch", f"the end of {key} is left out by a writer"):
                        output.writer.handle(Delete(key))
            if self._ingress is not None:
                for key in gone:
                    self._ingress.handle(Delete(key))
        if isinstance(event, InitDone) or (self._store.ready and self._is_changed):
            self._changed.set()

    async def _translate(self) -> None:
        last: Snapshot | None = None
        translation: Translation | None = None
        while True:
            await self._until_changed(LOOK_AT_CLOCK)
            if translation is not None:
                await self._gather()
            self._changed.clear()
            if not self._store.ready:
                continue
            if self._ingress is not None:
                with self._guard("step", "Ingresses stay as they were"):
                    self._reports_changed |= await self._ingress.update(self._complain)
            reports_changed, self._reports_changed = self._reports_changed, False
            snapshot = self._store.snapshot()
            now = time.time()
            begins = snapshot is not last or (translation is not None and translation.is_due(now))
            changes = 0 if snapshot is last else sum(map(len, snapshot.changes.values()))
            last, done = snapshot, False
            with self._guard("step", "a change waits, what was there before goes on"):
                if begins:
                    translation = await self._round(snapshot, now)
                elif reports_changed and translation is not None:
                    await self._report(translation)
                done = True
            if not done:
                last = None
            if begins:
                self._rest.begin(time.monotonic(), changes)
            if begins or reports_changed:
                self._reported = time.monotonic()

    async def _gather(self) -> None:
        """Wait for what comes at the same time; objects do not wait for reports."""
        if not self._leading and self._deliver is None:
            await asyncio.sleep(FOLLOW)
            return
        while not self._is_changed and (left := self._reported + REPORTS - time.monotonic()) > 0:
            self._changed.clear()
            await self._until_changed(left)
        if self._is_changed:
            await asyncio.sleep(self._rest.left(time.monotonic()))

    async def _until_changed(self, seconds: float) -> None:
        """Wait for a change, no longer than that."""
        # Not `wait_for`: before Python 3.12 it can lose a cancellation.
        timer = asyncio.get_running_loop().call_later(seconds, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    async def _round(self, snapshot: Snapshot, now: float) -> Translation:
        """From a snapshot to what is wanted everywhere."""
        started = time.perf_counter()
        self._pace = _Pace(self._translator.steps, time.monotonic())
        try:
            translation = await asyncio.to_thread(self._translator.translate, snapshot, now, self._deliver)
            self.newest = translation
            self._tell_held()
            self._want(translation, reported=False)
            await self._report(translation)
        finally:
            self._pace = None
        self.seconds = time.perf_counter() - started
        if self._observe is not None:
            self._observe(self.seconds)
        return translation

    async def _report(self, translation: Translation) -> None:
        reported = await asyncio.to_thread(self._reports.reported, translation)
        is_same = self.seen is not None and self.seen[0].ir is reported.ir
        self.seen = (reported, self.seen[1] if is_same and self.seen is not None else time.time())
        self._want(reported, reported=True)
        self.ready.set()

    def _want(self, translation: Translation, *, reported: bool) -> None:
        for output in self._outputs:
            if output.reported == reported:
                with self._guard("write", "a writer stays at what it had"):
                    output.writer.want(output.select(translation))

    def _tell_faults(self) -> None:
        before, self._faults = self._faults, dict(self._store.faults)
        for key, reason in self._faults.items():
            if before.get(key) != reason:
                text = f"{key}: {reason}; its last good version goes on, if there was one"
                self._complain("fault", text, object=str(key))

    def _tell_held(self) -> None:
        before, self._held = self._held, dict(self._translator.held)
        for key, reason in self._held.items():
            if before.get(key) != reason:
                otherwise = ", else what it holds for is closed" if key.kind in POLICY_KINDS else ""
                text = f"{key}: {reason}; its last good version goes on, if there was one{otherwise}"
                self._complain("object_held", text, object=str(key))
