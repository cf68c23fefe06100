"""The engine of a data plane: transactions of the controller in, reports out; what it has taken is kept in a file.

One call into the engine at a time, each on a thread. What the engine refuses changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from sluicegate.controller.stream.protocol import BindError, ListenerOutcome, PlaneReport, Refusal, RefusedError
from sluicegate.dataplane.holdings import Change, Holdings
from sluicegate.dataplane.snapshot_file import SnapshotError, write_snapshot
from sluicegate.engine.native import Engine, ListenerReport, Refused

#: Seconds between attempts to bind ports that could not be bound.
RETRY_BINDS = 2.0
#: Seconds between two snapshots; the first change after a while is written at once.
SNAPSHOT_INTERVAL = 5.0

_REFUSALS = msgspec.json.Decoder(tuple[Refusal, ...])


class Serving:
    """Keeps an engine at what the controller sends."""

    def __init__(
        self, engine: Engine, holdings: Holdings, state_directory: str, warn: Callable[[str, str], None]
    ) -> None:
        """Serve with an engine that has no configuration yet.

        Args:
            engine: serves.
            holdings: what is to be served; kept at what the engine has taken.
            state_directory: of the snapshot.
            warn: takes a code and a message.
        """
        self.holdings = holdings
        self.applied_seconds = 0.0
        self._engine = engine
        self._directory = state_directory
        self._warn = warn
        self._generation = 0
        self._listeners: dict[str, ListenerReport] = {}
        self._calls = asyncio.Lock()
        self._changed = asyncio.Event()
        self._saved = True

    async def begin(self) -> None:
        """Serve the holdings as they are.

        Raises:
            RefusedError: the engine does not take them.
        """
        async with self._calls:
            await self._apply(self.holdings.everything())

    async def apply(self, change: Change) -> None:
        """Apply a transaction and take it over.

        Raises:
            RefusedError: nothing of it was applied.
        """
        async with self._calls:
            await self._apply(change)
            self.holdings.apply(change)
        self._saved = False
        self._changed.set()

    def report(self) -> PlaneReport:
        """What is bound, of the listeners as they are."""
        return PlaneReport(
            tuple(
                ListenerOutcome(item.id, version, tuple(item.bound), _error(item))
                for item in sorted(self._listeners.values(), key=lambda item: item.id)
                if (version := self.holdings.version("listeners", item.id))
            )
        )

    async def retry_binds(self, report: Callable[[], None]) -> None:
        """Try ports again that could not be bound, until cancelled; `report` is called where that changed something."""
        while True:
            await asyncio.sleep(RETRY_BINDS)
            if not any(item.error for item in self._listeners.values()):
                continue
            async with self._calls:
                before = dict(self._listeners)
                self._take(await asyncio.to_thread(self._engine.retry_binds))
            if self._listeners != before:
                report()

    async def save(self) -> None:
        """Keep the snapshot at what is served, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.save_now()
            except Exception:
                self._changed.set()  # whoever calls again finds it so
                raise
            await asyncio.sleep(SNAPSHOT_INTERVAL)

    async def save_now(self) -> None:
        """Write the snapshot where it is not what is served."""
        if self._saved:
            return
        self._saved = True
        tables = {section: dict(table) for section, table in self.holdings.tables.items()}
        try:
            await asyncio.to_thread(write_snapshot, self._directory, tables)
        except SnapshotError as error:
            self._warn("snapshot_failed", f"{error}; a restart without the controller would serve an older state")
        except Exception:
            self._saved = False
            raise

    async def _apply(self, change: Change) -> None:
        self._generation += 1
        try:
            report = await asyncio.to_thread(self._engine.apply, change.transaction(self._generation))
        except Refused as error:
            raise RefusedError(_refusals(str(error))) from None
        self.applied_seconds = report.apply_seconds
        self._listeners = {item.id: item for item in report.listeners}

    def _take(self, listeners: Iterable[ListenerReport]) -> None:
        self._listeners.update({item.id: item for item in listeners})


def _error(item: ListenerReport) -> BindError | None:
    return BindError(item.error.code, item.error.message, item.error.hint) if item.error is not None else None


def _refusals(text: str) -> tuple[Refusal, ...]:
    try:
        return _REFUSALS.decode(text)
    except msgspec.DecodeError:
        return (Refusal("transaction", "", text),)
