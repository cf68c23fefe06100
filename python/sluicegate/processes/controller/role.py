"""The process of the controller: every replica watches and translates, one leads.

The leader provisions data planes, serves them the config stream, writes status and events. What it writes as status
waits until the data planes that are there have connected to it (or had the time to): a new leader knows nothing of
them, and must not say so.

SIGTERM: the Lease is given back first, so that another replica takes over at once; data planes serve on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Iterable
from typing import Any

from sluicegate.controller import caught
from sluicegate.controller.api import ObjectKey
from sluicegate.controller.provision.apply import InfraWriter
from sluicegate.controller.provision.events import EventWriter
from sluicegate.controller.provision.pods import PodTroubles
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.lease import Election
from sluicegate.controller.sources.kubernetes.resources import NODE, OWNED, WATCHED
from sluicegate.controller.status import StatusWriter
from sluicegate.controller.store.store import Event
from sluicegate.controller.stream.identity import SECRET, Identity
from sluicegate.controller.stream.reports import Reports
from sluicegate.controller.stream.review import Reviewer
from sluicegate.controller.stream.server import StreamServer, wanted
from sluicegate.controller.stream.tickets import TicketKeeper
from sluicegate.controller.translate import Options, Translation, Translator
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.engine.checks import native_checks
from sluicegate.processes import collector, signals
from sluicegate.processes.gateway.log import Log
from sluicegate.processes.loop import Loop, Output

from .admin import Admin
from .metrics import Durations, lines, resident_bytes
from .settings import NAME, ControllerSettings

#: Seconds for giving the Lease back and closing connections.
GOODBYE = 5.0
#: Where an exception may be caught.
STAGES = ("watch", "translate", "write", "step", "log")
#: Exit status after a second signal.
EXIT_AT_ONCE = 130


async def run_controller(settings: ControllerSettings, version: str) -> int:
    """Control the Gateways of a cluster until a signal; returns the exit status.

    Raises:
        ApiError: no API server is configured.
        OSError: the admin address cannot be bound.
    """
    async with await Client.load(settings.kubeconfig or None) as client:
        return await _Controller(client, settings, version).run()


class Leadership:
    """Whether this process leads, to wait for.

    Attributes:
        begun: set while it leads.
        ended: set while it does not.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.ended.set()

    def set(self, leading: bool) -> None:
        """Begin or stop to lead."""
        now, before = (self.begun, self.ended) if leading else (self.ended, self.begun)
        before.clear()
        now.set()


class SettledStatus:
    """The writer of status, which leads only once it has what data planes said that had the time to say it."""

    def __init__(self, writer: StatusWriter) -> None:
        """Stand before a writer."""
        self._writer = writer
        self._leading = self._writing = False

    def lead(self, leading: bool) -> None:
        """Begin, with the first statuses that are settled, or stop."""
        self._leading = leading
        if not leading:
            self._write(False)

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Pass an object on."""
        self._writer.seen(kind, document)

    def handle(self, event: Event) -> None:
        """Pass an event on."""
        self._writer.handle(event)

    def want(self, value: Translation) -> None:
        """Pass the statuses on."""
        if not value.settled:
            self._write(False)
        self._writer.want(value.statuses)
        self._write(self._leading and value.settled)

    def _write(self, writing: bool) -> None:
        if writing != self._writing:
            self._writing = writing
            self._writer.lead(writing)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writer.run()


class _Controller:
    def __init__(self, client: Client, settings: ControllerSettings, version: str) -> None:
        self._client = client
        self._settings = settings
        self._version = version
        self._log = Log(settings.output)
        self._stop = asyncio.Event()
        self._leads = Leadership()
        self._durations = Durations()
        name = settings.controller_name
        self._identity = Identity(client, settings.namespace, [settings.stream_host], self._log.warning)
        self._events = EventWriter(client, name, settings.pod, self._log.warning)
        self._infra = InfraWriter(client, name, self._log.warning, changed=self._report_changed, tell=self._events.tell)
        self._pods = PodTroubles(name, changed=self._report_changed, tell=self._events.tell)
        self._server = StreamServer(
            settings.stream_address, self._identity, Reviewer(client), self._log.warning, self._report_changed
        )
        self._tickets = TicketKeeper(client, settings.namespace, self._log.warning, self._server.share)
        self._status = StatusWriter(client, name, self._log.warning)
        options = Options(
            implicit_class=False,
            implicit_namespaces=False,
            merge_gateways=False,
            checks=native_checks(),
            provision=ProvisionOptions(
                namespace=settings.namespace,
                image=settings.image,
                image_pull_policy=settings.image_pull_policy,
                stream=settings.stream_name,
                authority=SECRET,
            ),
        )
        outputs = [
            Output(self._server, wanted),
            Output(self._infra, lambda translation: translation.infrastructure),
            Output(SettledStatus(self._status), lambda translation: translation, reported=True),
            Output(self._events, lambda translation: translation, reported=True),
            Output(self._pods, lambda translation: translation.infrastructure),  # leads after those that it tells
        ]
        reports = Reports(
            self._server.said, lambda translation, report: translation.with_report(report, self._failures())
        )
        self._loop = Loop(
            client,
            Translator(name, options),
            outputs,
            reports,
            self._log.warning,
            resources=(*WATCHED, NODE, *OWNED),
            observe=self._durations.observe,
        )

    async def run(self) -> int:
        signals.handle(self._signalled, lambda: self._ignored("SIGHUP"), lambda: self._ignored("SIGUSR1"))
        admin = await self._listen()
        identity = self._settings.pod or f"{socket.gethostname()}_{os.getpid()}"
        election = Election(self._client, self._settings.namespace, NAME, identity, self._lead, self._log.warning)
        jobs = [
            self._loop.run(),
            election.run(self._loop.ready),
            self._keep_secrets(),
            self._announce(),
            self._tell_stream(),
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(self._stopped())
        try:
            # None of the jobs ends by itself: the first that does has failed.
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in tasks if task.done()]
            self._log.information("stopping", "giving the Lease back")
            await _within(GOODBYE, election.release())
            for task in failed:
                task.result()
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            if admin is not None:
                await admin.stop()
        self._log.information("stopped", "stopped")
        return 0

    async def _listen(self) -> Admin | None:
        if self._settings.admin == "off":
            return None
        admin = Admin(self._settings.admin, self._loop.faults, self._missing, self.metrics)
        await admin.start()
        self._log.information("admin", f"healthz, readyz and metrics on {admin.address}", address=admin.address)
        return admin

    async def _keep_secrets(self) -> None:
        """The leader keeps the CA of the stream and the keys of session tickets."""
        while True:
            await self._leads.begun.wait()
            keeping = [asyncio.create_task(self._tickets.run()), asyncio.create_task(self._keep_authority())]
            try:
                await self._leads.ended.wait()
            finally:
                for task in keeping:
                    task.cancel()
                await asyncio.gather(*keeping, return_exceptions=True)

    async def _keep_authority(self) -> None:
        # Without it no data plane connects: the first one is not to be told that there are no keys.
        await self._tickets.tried.wait()
        await self._identity.run()

    async def _announce(self) -> None:
        started = time.perf_counter()
        await self._loop.ready.wait()
        seconds = time.perf_counter() - started
        collector.settle()
        text = f"Sluicegate {self._version} controls the Gateways of {self._client.host}, ready after {seconds:.2f} s"
        self._log.information("ready", text, version=self._version, seconds=round(seconds, 3))
        await asyncio.Event().wait()

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _tell_stream(self) -> None:
        while True:
            await self._server.listening.wait()
            self._log.information("stream", f"data planes dial port {self._server.port}", port=self._server.port)
            await self._leads.ended.wait()
            await self._leads.begun.wait()

    def _lead(self, leading: bool) -> None:
        text = "leading: data planes, status and events are written here" if leading else "not leading"
        self._log.information("leader", text, leading=leading)
        self._leads.set(leading)
        self._loop.lead(leading)

    def _report_changed(self) -> None:
        self._loop.report_changed()

    def _failures(self) -> dict[ObjectKey, str]:
        """Why Gateways have no pods, by Gateway: what could not be written says more than that they do not start."""
        return {**self._pods.failures, **self._infra.failures}

    def _missing(self) -> Iterable[str]:
        """What keeps this replica from being ready: whoever is could lead at once."""
        if not self._loop.ready.is_set():
            yield "not everything was listed and translated yet"

    def metrics(self) -> str:
        """All metrics."""
        prefix = "sluicegate_controller"
        server, writers = self._server, {"infra": self._infra.writes, "status": self._status.writes}
        waiting = {"infra": self._infra.depth, "status": self._status.depth, "events": self._events.depth}
        writers["events"] = self._events.writes
        planes, exceptions = sorted(server.connected.items()), caught.counts()
        found = [
            *lines(f"{prefix}_leading", "gauge", "1 for the replica that writes.", [({}, self._leads.begun.is_set())]),
            *lines(f"{prefix}_ready", "gauge", "1 once all was translated.", [({}, self._loop.ready.is_set())]),
            *self._durations.lines(f"{prefix}_reconcile_seconds", "From a change to its configuration and status."),
            *lines(
                f"{prefix}_writes_total",
                "counter",
                "Objects written to the API.",
                [({"writer": name}, count) for name, count in writers.items()],
            ),
            *lines(
                f"{prefix}_queue_depth",
                "gauge",
                "Objects that wait to be written.",
                [({"writer": name}, count) for name, count in waiting.items()],
            ),
            *lines(
                f"{prefix}_provisioning_failures",
                "gauge",
                "Gateways whose data plane could not be provisioned.",
                [({}, len(self._failures()))],
            ),
            *lines(
                f"{prefix}_connected_pods",
                "gauge",
                "Pods on the config stream, by data plane.",
                [({"namespace": namespace, "name": name}, count) for (namespace, name), count in planes],
            ),
            *lines(
                f"{prefix}_unusable",
                "gauge",
                "Objects that cannot be used as they are.",
                [({}, self._loop.unusable)],
            ),
            *lines(
                f"{prefix}_exceptions_total",
                "counter",
                "Faults of the controller itself, caught.",
                [({"stage": stage}, exceptions.get(stage, 0)) for stage in STAGES],
            ),
            *lines(
                f"{prefix}_faults",
                "gauge",
                "What stands still: watches, a translation.",
                [({}, len(self._loop.faults()))],
            ),
            *lines("process_resident_memory_bytes", "gauge", "Memory in use.", [({}, resident_bytes())]),
            *lines("process_cpu_seconds_total", "counter", "CPU time.", [({}, time.process_time())]),
        ]
        return "\n".join(found) + "\n"

    def _ignored(self, name: str) -> None:
        text = f"{name}: nothing to do, a controller has no access log and reads no manifests"
        self._log.information("signal_ignored", text)

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(EXIT_AT_ONCE)
        self._stop.set()


async def _within(limit: float, job: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(job, limit)


__all__ = ["ApiError", "run_controller"]
