"""What a data plane serves: transactions of the controller in, reports out; what was taken is kept in a file.

What the engine refuses changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sluicegate.controller.stream.protocol import KeysOutcome, ListenerOutcome, PlaneReport
from sluicegate.dataplane.holdings import Change, Holdings
from sluicegate.dataplane.snapshot_file import SnapshotError, write_snapshot
from sluicegate.engine.delivery import Delivery

#: Seconds between two snapshots; the first change after a while is written at once.
SNAPSHOT_INTERVAL = 5.0


class Serving:
    """Keeps an engine at what the controller sends."""

    def __init__(
        self,
        delivery: Delivery,
        holdings: Holdings,
        state_directory: str,
        warn: Callable[[str, str], None],
        away: Callable[[], Iterable[tuple[str, bool]]] = tuple,
    ) -> None:
        """Serve with an engine that has no configuration yet.

        Args:
            delivery: to the engine.
            holdings: what is to be served; kept at what the engine has taken.
            state_directory: of the snapshot.
            warn: takes a code and a message.
            away: identity providers whose keys the engine cannot fetch, and whether older ones verify.
        """
        self.holdings = holdings
        self._delivery = delivery
        self._directory = state_directory
        self._warn = warn
        self._away = away
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
        """What is bound, of the listeners as they are, and which providers of keys are away."""
        return PlaneReport(
            tuple(
                ListenerOutcome(item.id, version, item.bound, item.error)
                for item in sorted(self._delivery.listeners.values(), key=lambda item: item.id)
                if (version := self.holdings.version("listeners", item.id))
            ),
            tuple(KeysOutcome(source, verify) for source, verify in self._away()),
        )

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
        await asyncio.to_thread(self._delivery.apply, change.transaction)
