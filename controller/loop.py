"""The control loop: watches -> store -> snapshot -> translate -> deliver -> status; one batch in flight, one filling.

The first translation waits until every kind was listed once. Translation and delivery run on a thread, one at a time;
events that come meanwhile are the next batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from .kube.client import Client
from .kube.resources import WATCHED
from .kube.watch import Watch
from .model import Gateway
from .pool import AddressPool
from .snapshot import Snapshot
from .status import StatusWriter
from .store import Apply, Delete, Event, Init, InitDone, Store
from .translate import Translation, Translator

#: Seconds that events are gathered after the first of a batch: a kubectl apply of many objects is a few batches.
GATHER = 0.002

#: Takes a translation to the engines; returns it with their report. Runs on a thread.
Deliver = Callable[[Translation], Translation]
Complain = Callable[[str, str], None]


class Loop:
    """Translates what the API server has, for as long as it runs."""

    def __init__(
        self,
        client: Client,
        translator: Translator,
        deliver: Deliver,
        complain: Complain,
        pool: AddressPool | None = None,
    ) -> None:
        """Put the loop together.

        Args:
            client: of the API server.
            translator: makes configuration and status.
            deliver: takes a translation to the engines.
            complain: takes a code and a message.
            pool: addresses for Gateways that ask for none.
        """
        self._store = Store()
        self._translator = translator
        self._deliver = deliver
        self._pool = pool
        self.writer = StatusWriter(client, translator.controller_name, complain)
        self._watches = [Watch(client, item, self._take, complain, self.writer.seen) for item in WATCHED]
        self._changed = asyncio.Event()
        self.ready = asyncio.Event()
        self.seconds = 0.0

    async def run(self) -> None:
        """Run until cancelled."""
        jobs = [*(watch.run() for watch in self._watches), self.writer.run(), self._translate()]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            # None of them ends by itself: the first that does has failed.
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, event: Event) -> None:
        if isinstance(event, Apply) and isinstance(event.object, Gateway) and self._pool is not None:
            event = Apply(self._pool.place(event.object))
        elif isinstance(event, Delete):
            self.writer.gone(event.key)
            if event.key.kind == "Gateway" and self._pool is not None:
                self._pool.release(event.key)
        self._store.handle(event)
        if not isinstance(event, Init) and (self._store.ready or isinstance(event, InitDone)):
            self._changed.set()

    async def _translate(self) -> None:
        last: Snapshot | None = None
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER)
            self._changed.clear()
            if not self._store.ready:
                continue
            snapshot = self._store.snapshot()
            if snapshot is last:
                continue
            last = snapshot
            started = time.perf_counter()
            translation = await asyncio.to_thread(self._work, snapshot)
            self.seconds = time.perf_counter() - started
            self.writer.want(translation.statuses)
            self.ready.set()

    def _work(self, snapshot: Snapshot) -> Translation:
        return self._deliver(self._translator.translate(snapshot))
