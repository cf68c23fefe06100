"""The role of a data plane: its snapshot at once, then what the controller says.

The stream is followed while connections are drained too: backends come and go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from sluicegate.controller.stream.figures import Figures
from sluicegate.dataplane.holdings import Holdings
from sluicegate.dataplane.serving import Serving
from sluicegate.dataplane.snapshot_file import SnapshotError, read_snapshot
from sluicegate.ir import RefusedError
from sluicegate.observe.log import Log

from ..job import Job
from ..process import Process
from ..serving_engine import Drain, ServingEngine
from ..settings import GatewaySettings


class Connection(msgspec.Struct, frozen=True):
    """Where the configuration comes from.

    Attributes:
        controller: `host:port` of the config stream.
        token_file: a ServiceAccount token for it.
        ca_file: PEM of the CA of the controller.
        state_directory: of the snapshot, and of keys that identity providers publish.
    """

    controller: str
    token_file: str
    ca_file: str
    state_directory: str


async def run_gateway(connection: Connection, settings: GatewaySettings, version: str) -> int:
    """Serve until a signal; returns the exit status.

    Raises:
        ValueError: a setting that the engine does not take.
        OSError: the system refuses what the engine needs.
    """
    log = Log(settings.output, settings.log_level)
    drain = Drain(settings.settle, settings.drain, settings.settle + settings.drain, always=True)
    engine = ServingEngine(settings, drain, log, connection.state_directory)
    return await Process(DataPlane(connection, engine, log, version), log, engine).run()


class DataPlane:
    """The data plane of a Gateway."""

    def __init__(self, connection: Connection, engine: ServingEngine, log: Log, version: str) -> None:
        """Serve nothing yet.

        Args:
            connection: where the configuration comes from.
            engine: serves it.
            log: takes what happens.
            version: of this program.
        """
        self._connection = connection
        self._engine = engine
        self._log = log
        self._version = version
        self._serving = self._make(Holdings())

    async def start(self) -> None:
        """Serve what the snapshot has, if there is a good one."""
        started = time.perf_counter()
        holdings = self._read_snapshot()
        if holdings is not None:
            serving = self._make(holdings)
            try:
                await serving.begin()
                self._serving = serving
            except RefusedError as error:
                self._log.warning("snapshot_refused", f"the engine refuses the snapshot: {error}; it is ignored")
        self._log.information(
            "started",
            f"Sluicegate {self._version} gateway: {'serves its snapshot' if holdings is not None else 'no snapshot'}, "
            f"asks {self._connection.controller} for its configuration",
            version=self._version,
            snapshot=holdings is not None,
            admin=self._engine.engine.admin_address,
            seconds=round(time.perf_counter() - started, 3),
        )
        # Only now: what it needs takes longer to load than the snapshot to serve.
        from sluicegate.dataplane.client import StreamClient

        connection = self._connection
        self._client = StreamClient(
            connection.controller,
            connection.token_file,
            connection.ca_file,
            self._serving.holdings,
            self._serving,
            self._log.warning,
            figures=self._figures,
        )

    def jobs(self) -> Iterator[Job]:
        """The stream, and what it brings to the disk."""
        self._engine.when_bound(self._report)
        self._engine.when_keys_change(self._report)
        yield Job("the config stream", self._client.run)
        yield Job("the snapshot", self._serving.save)
        yield Job("the connection", self._tell_connected)

    def hang_up(self) -> None:
        """Nothing is read from files but what each connection reads again."""

    async def leave(self) -> None:
        """Nobody is told: the stream ends with the process."""

    async def close(self) -> None:
        """Keep what is served."""
        await self._serving.save_now()

    def _make(self, holdings: Holdings) -> Serving:
        engine, directory = self._engine, self._connection.state_directory
        return Serving(engine.delivery, holdings, directory, self._log.warning, lambda: engine.keys.away)

    def _read_snapshot(self) -> Holdings | None:
        try:
            return read_snapshot(self._connection.state_directory)
        except SnapshotError as error:
            text = f"{error}; it is ignored, nothing is served before the controller says"
            self._log.warning("snapshot_ignored", text)
            return None

    def _figures(self, routes: frozenset[str]) -> Figures:
        """What the engine counted, for whoever looks at the controller's page."""
        from sluicegate.observe.figures import read_figures

        return read_figures(self._engine.engine.metrics(), routes)

    async def _report(self) -> None:
        self._client.report()

    async def _tell_connected(self) -> None:
        while True:
            await self._client.connected.wait()
            self._log.information("connected", f"follows {self._connection.controller}")
            await self._client.lost.wait()
