"""The process of a data plane: engine, snapshot, stream, signals.

SIGTERM: readiness fails first and clients are asked to go; new connections are taken for `settle` seconds more, until
no balancer sends any; then open requests get `drain` seconds. The stream is followed all the while: backends come and
go. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from sluicegate.controller import caught
from sluicegate.controller.stream.protocol import RefusedError
from sluicegate.dataplane.holdings import Holdings
from sluicegate.dataplane.snapshot_file import SnapshotError, read_snapshot
from sluicegate.engine.native import Engine
from sluicegate.processes import collector, signals
from sluicegate.processes.settings import GatewaySettings

from ...dataplane.serving import Serving
from .log import Log

#: Seconds between looks at what the engine has to tell.
POLL_EVENTS = 0.5
#: Seconds before a job that raised is done again.
AGAIN = 1.0
#: Exit status after a second signal.
EXIT_AT_ONCE = 130


class Connection(msgspec.Struct, frozen=True):
    """Where the configuration comes from.

    Attributes:
        controller: `host:port` of the config stream.
        token_file: a ServiceAccount token for it.
        ca_file: PEM of the CA of the controller.
        state_directory: of the snapshot.
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
    return await _Role(connection, settings, version).run()


class _Role:
    def __init__(self, connection: Connection, settings: GatewaySettings, version: str) -> None:
        self._connection = connection
        self._settings = settings
        self._version = version
        self._log = Log(settings.output)
        self._stop = asyncio.Event()
        self._engine = Engine(settings.engine_settings())
        self._access_log = signals.AccessLogSignals(
            self._engine, settings.access_log, self._log.information, self._log.warning
        )

    async def run(self) -> int:
        signals.handle(self._signalled, self._access_log.reopen, self._access_log.switch)
        logging = asyncio.create_task(self._access_log.run())
        try:
            serving = await self._begin()
            self._tell_events()  # such as an admin port that is taken
            # Only now: what it needs takes longer to load than the snapshot to serve.
            from sluicegate.dataplane.client import StreamClient

            client = StreamClient(
                self._connection.controller,
                self._connection.token_file,
                self._connection.ca_file,
                serving.holdings,
                serving,
                self._log.warning,
            )
            collector.settle()
            jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [
                client.run,
                serving.save,
                functools.partial(serving.retry_binds, client.report),
                self._poll_events,
                functools.partial(self._tell_connected, client.connected, client.lost),
            ]
            tasks = [asyncio.create_task(self._keep_up(job)) for job in jobs]
            await self._wait(tasks)
            try:
                await self._drain()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await serving.save_now()
            except Exception as error:
                self._log.warning("fault", caught.note("step", error))
        finally:
            logging.cancel()
            await self._engine.shutdown_async()
        return 0

    async def _begin(self) -> Serving:
        """Serve what the snapshot has, if there is a good one."""
        started = time.perf_counter()
        holdings = None
        try:
            holdings = read_snapshot(self._connection.state_directory)
        except SnapshotError as error:
            self._log.warning(
                "snapshot_ignored", f"{error}; it is ignored, nothing is served before the controller says"
            )
        serving = Serving(self._engine, holdings or Holdings(), self._connection.state_directory, self._log.warning)
        if holdings is not None:
            try:
                await serving.begin()
            except RefusedError as error:
                self._log.warning("snapshot_refused", f"the engine refuses the snapshot: {error}; it is ignored")
                serving = Serving(self._engine, Holdings(), self._connection.state_directory, self._log.warning)
        self._log.information(
            "started",
            f"Sluicegate {self._version} gateway: {'serves its snapshot' if holdings is not None else 'no snapshot'}, "
            f"asks {self._connection.controller} for its configuration",
            version=self._version,
            snapshot=holdings is not None,
            admin=self._engine.admin_address,
            seconds=round(time.perf_counter() - started, 3),
        )
        return serving

    async def _wait(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for the stop; a task that ends all the same ends the process with its error rather than silently."""
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in tasks:
            if task.done():
                task.result()

    async def _keep_up(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do a job that has no end; what raises is told, counted and done again, and what is there serves on."""
        while True:
            try:
                await job()
            except Exception as error:
                self._log.warning("fault", f"{caught.note('step', error)}; what is there serves on")
            await asyncio.sleep(AGAIN)

    async def _tell_connected(self, connected: asyncio.Event, lost: asyncio.Event) -> None:
        while True:
            await connected.wait()
            self._log.information("connected", f"follows {self._connection.controller}")
            await lost.wait()

    async def _poll_events(self) -> None:
        while True:
            await asyncio.sleep(POLL_EVENTS)
            self._tell_events()

    def _tell_events(self) -> None:
        for event in self._engine.poll_events():
            self._log.warning(event.code, event.message)

    async def _drain(self) -> None:
        settle, drain = self._settings.settle, self._settings.drain
        text = f"draining: new connections for {settle:g} s more, up to {drain:g} s for open requests"
        self._log.information("draining", text)
        ended = await self._engine.drain_async(settle + drain, settle)
        self._log.information("stopped", "stopped" if ended else "stopped; the rest of the connections was closed")

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(EXIT_AT_ONCE)
        self._stop.set()
