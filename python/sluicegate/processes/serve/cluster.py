"""`sluicegate serve --kubernetes`: watch, translate, status and engine in one process.

For one node, a homelab, hostNetwork. Gateways without addresses get one of `--address-pool`, else all share every
address of the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable

from sluicegate.controller import caught
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.lease import Election
from sluicegate.controller.status import StatusWriter
from sluicegate.controller.translate import Options, Translation, Translator
from sluicegate.controller.translate.pool import pool_of
from sluicegate.engine.checks import native_checks
from sluicegate.engine.delivery import Delivery
from sluicegate.engine.native import Engine
from sluicegate.processes import signals
from sluicegate.processes.loop import Loop, Output
from sluicegate.processes.settings import Settings

from .leave import leave
from .report import Reporter

#: Seconds between attempts to bind ports that could not be bound.
RETRY_BINDS = 2.0
#: Name of the Lease; all replicas of one controller name share it.
LEASE = "sluicegate-controller"
#: Seconds for giving the Lease back, while connections are already drained.
GOODBYE = 5.0
EXIT_AT_ONCE = 130
#: Seconds before the same thing is told again, and things that are remembered for that.
AGAIN, MAX_REMEMBERED = 60.0, 256


async def serve_cluster(settings: Settings, kubeconfig: str | None, version: str) -> int:
    """Serve the Gateways of a cluster until a signal; returns the exit status.

    Raises:
        ApiError: no API server is configured.
        ValueError: a setting that the engine does not take.
        OSError: the system refuses what the engine needs.
    """
    async with await Client.load(kubeconfig) as client:
        return await _Cluster(client, settings, version).run()


class _Cluster:
    def __init__(self, client: Client, settings: Settings, version: str) -> None:
        self._client = client
        self._settings = settings
        self._version = version
        self._reporter = Reporter(settings.output)
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._stop = asyncio.Event()
        self._engine = Engine(settings.engine_settings())
        self._log = signals.AccessLogSignals(
            self._engine,
            settings.access_log,
            lambda code, message: self._reporter.information(message, code),
            lambda code, message: self._reporter.warning(message, code),
        )
        self._delivery = Delivery(self._engine)
        options = Options(
            port_offset=settings.port_offset,
            listen=settings.listen,
            implicit_class=False,
            implicit_namespaces=False,
            keep_served=True,
            pool=pool_of(settings.address_pool),
            status_addresses=settings.status_addresses or (_own_address(),),
            checks=native_checks(),
        )
        translator = Translator(settings.controller_name, options)
        writer = StatusWriter(client, settings.controller_name, self._complain)
        outputs = [Output(writer, lambda translation: translation.statuses, reported=True)]
        self._loop = Loop(client, translator, outputs, self, self._complain)

    async def run(self) -> int:
        signals.handle(self._signalled, self._log.reopen, self._log.switch)
        identity = f"{socket.gethostname()}_{os.getpid()}"
        election = Election(self._client, self._settings.namespace, LEASE, identity, self._lead, self._complain)
        jobs = (self._loop.run(), election.run(self._loop.ready), self._announce(), self._log.run())
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stopping, *tasks[:2]], return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in tasks[:2] if task.done()]
            # At the same time: an API server that does not answer must not keep clients waiting.
            await asyncio.gather(
                _within(GOODBYE, election.release()), leave(self._engine, self._settings, self._reporter)
            )
            for task in failed:
                task.result()
        finally:
            stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._engine.shutdown_async()
        return 0

    def reported(self, translation: Translation) -> Translation:
        """Deliver to the engine here; the translation with its report (`Reports` of the loop)."""
        self._delivery.deliver(translation)
        self._engine.control_side(self._loop.unusable, caught.total())
        for item in self._delivery.refusals:
            self._complain(item.code, item.text)
        return self._delivery.reported(translation)

    async def _announce(self) -> None:
        started = time.perf_counter()
        await self._loop.ready.wait()
        seconds = time.perf_counter() - started
        text = f"Sluicegate {self._version} serves the Gateways of {self._client.host}, ready after {seconds:.2f} s"
        self._reporter.information(text, "ready")

    def _lead(self, leading: bool) -> None:
        self._reporter.information("leading: status is written here" if leading else "not leading", "leader")
        self._loop.lead(leading)

    def _complain(self, code: str, message: str) -> None:
        # A watch that fails again and again says so once a minute.
        now = time.monotonic()
        if now - self._told.get((code, message), -AGAIN) >= AGAIN:
            self._told[code, message] = now
            self._told.move_to_end((code, message))
            while len(self._told) > MAX_REMEMBERED:
                self._told.popitem(last=False)
            self._reporter.warning(message, code)

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(EXIT_AT_ONCE)
        self._stop.set()


async def _within(limit: float, job: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(job, limit)


def _own_address() -> str:
    """The address that this machine reaches others by; loopback where it reaches none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])
    return "127.0.0.1"


__all__ = ["ApiError", "serve_cluster"]
