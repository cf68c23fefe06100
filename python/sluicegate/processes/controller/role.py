"""The process of the controller: every replica watches and translates, one leads.

The leader provisions data planes, serves them the config stream, writes status and events. What it writes as status
waits until the data planes that are there have connected to it (or had the time to): a new leader knows nothing of
them, and must not say so.

SIGTERM: the Lease is given back first, so that another replica takes over at once; data planes serve on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sluicegate.checks import native_checks
from sluicegate.controller import caught
from sluicegate.controller.api import ObjectKey
from sluicegate.controller.api.kinds import AUTHORITY, READ_KINDS
from sluicegate.controller.provision.apply import InfraWriter
from sluicegate.controller.provision.events import EventWriter
from sluicegate.controller.provision.ingress_events import IngressEvents
from sluicegate.controller.provision.pods import PodTroubles
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.resources import WATCHED_TO_PROVISION
from sluicegate.controller.status import StatusWriter
from sluicegate.controller.status.ingress import IngressStatusWriter
from sluicegate.controller.store.store import Event
from sluicegate.controller.stream.identity import Identity
from sluicegate.controller.stream.reports import Reports
from sluicegate.controller.stream.review import Reviewer
from sluicegate.controller.stream.server import StreamServer
from sluicegate.controller.stream.tickets import TicketKeeper
from sluicegate.controller.stream.wanted import WantedOf
from sluicegate.controller.translate import Options, Translation, Translator
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.observe.admin import Admin
from sluicegate.observe.aside import Aside
from sluicegate.observe.log import Log

from ..follower import Follower
from ..ingress_settings import INGRESS_GATEWAY, wanted_of
from ..job import Job, tell_fault
from ..loop import Loop, Output
from ..process import Process
from ..start_error import StartError
from ..viewed import MakePage, Viewed, Views
from .certificates import Expiries
from .look import serving_pods
from .metrics import ControllerMetrics, Figures
from .settings import ControllerSettings

if TYPE_CHECKING:
    from ..ingress_cluster import ClusterIngresses


_READ = tuple(item.kind for item in WATCHED_TO_PROVISION if item.kind in READ_KINDS)


async def run_controller(settings: ControllerSettings, version: str, page: MakePage | None = None) -> int:
    """Control the Gateways of a cluster until a signal; returns the exit status.

    Args:
        settings: of the process.
        version: of this program.
        page: makes the page of the admin listener; None: there is none.

    Raises:
        ApiError: no API server is configured.
    """
    async with await Client.load(settings.kubeconfig or None) as client:
        log = Log(settings.output, settings.log_level)
        return await Process(Controller(client, settings, log, version, page), log).run()


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
        self._writer.want(value)
        self._write(self._leading and value.settled)

    def _write(self, writing: bool) -> None:
        if writing != self._writing:
            self._writing = writing
            self._writer.lead(writing)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writer.run()


class Controller:
    """What follows the cluster, and what the leader writes."""

    def __init__(
        self, client: Client, settings: ControllerSettings, log: Log, version: str, page: MakePage | None = None
    ) -> None:
        """Put it together.

        Args:
            client: of the API server.
            settings: of the process.
            log: takes what happens.
            version: of this program.
            page: makes the page of the admin listener; None: there is none.
        """
        self._client = client
        self._settings = settings
        self._version = version
        self._log = log
        self._admin: Admin | None = None
        self._leads = Leadership()
        self._expiries = Expiries()
        self.metrics = ControllerMetrics(self.figures)
        name = settings.controller_name
        self._identity = Identity(client, settings.namespace, [settings.stream_host], self._log.warning)
        wanted = wanted_of(settings, f"{settings.namespace}/{INGRESS_GATEWAY}")
        ingress: ClusterIngresses | None = None
        if wanted is not None:
            from ..ingress_cluster import ClusterIngresses

            ingress = ClusterIngresses(wanted, name, _READ)
        self._events = EventWriter(client, name, settings.pod, self._log.warning, ingress)
        self._infra = InfraWriter(client, name, self._log.warning, changed=self._report_changed, tell=self._events.tell)
        self._pods = PodTroubles(name, changed=self._report_changed, tell=self._events.tell)
        self._server = StreamServer(
            settings.stream_address, self._identity, Reviewer(client), self._log.warning, self._report_changed
        )
        self._page: Aside | None = None
        if page is not None:
            views = Views(self._look, self._server.figures)
            self._page = Aside(page(views), lambda error: tell_fault(log, "the page", error))
        self._tickets = TicketKeeper(client, settings.namespace, self._log.warning, self._server.share)
        self._status = StatusWriter(client, name, self._log.warning)
        options = Options(
            implicit_class=False,
            implicit_namespaces=False,
            merge_gateways=False,
            certificate_grace=settings.certificate_grace,
            checks=native_checks(),
            external_names=settings.external_names,
            provision=ProvisionOptions(
                namespace=settings.namespace,
                image=settings.image,
                image_pull_policy=settings.image_pull_policy,
                stream=settings.stream_name,
                authority=AUTHORITY,
            ),
        )
        outputs = [
            Output(self._server, WantedOf()),
            Output(self._infra, lambda translation: translation.infrastructure),
            Output(SettledStatus(self._status), lambda translation: translation, reported=True),
            Output(self._events, lambda translation: translation, reported=True),
            Output(self._pods, lambda translation: translation.infrastructure),  # leads after those that it tells
        ]
        self._ingress_status: IngressStatusWriter | None = None
        if ingress is not None:
            events = IngressEvents(self._events, lambda: ingress.losses, lambda: ingress.selected)
            outputs.append(Output(events, lambda translation: translation, reported=True))
        if ingress is not None and not settings.no_ingress_status:
            self._ingress_status = IngressStatusWriter(
                client, ingress.gateway, lambda: ingress.selected, self._log.warning
            )
            outputs.append(Output(self._ingress_status, lambda translation: translation, reported=True))
        reports = Reports(
            self._server.said,
            lambda translation, report, before: translation.with_report(report, self._failures(), before),
        )
        self._loop = Loop(
            client,
            Translator(name, options),
            outputs,
            reports,
            self._log.warning,
            resources=WATCHED_TO_PROVISION,
            observe=self.metrics.observe,
            ingress=ingress,
        )
        self._ingress = ingress
        self._follower = Follower(
            client, self._loop, self._lead, log, namespace=settings.namespace, identity=settings.pod
        )

    async def start(self) -> None:
        """Answer probes.

        Raises:
            StartError: the admin address cannot be bound.
        """
        if self._settings.admin == "off":
            return
        self._admin = Admin(self._settings.admin, self._loop.faults, self._missing, self.metrics.text, self._page)
        try:
            await self._admin.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            text = f"admin listener {self._settings.admin}: {reason}; stop what listens there"
            raise StartError(f"{text}, or choose another address with --admin, or --admin off") from None
        address = self._admin.address
        self._log.information("admin", f"page, healthz, readyz and metrics on {address}", address=address)

    def jobs(self) -> Iterator[Job]:
        """What follows the cluster, and what the leader keeps."""
        yield from self._follower.jobs(f"controls the Gateways of {self._client.host}", self._version)
        yield Job("the keys of session tickets", lambda: self._while_leading(self._tickets.run))
        yield Job("the CA of the config stream", lambda: self._while_leading(self._keep_authority))
        yield Job("the announcement of the config stream", self._tell_stream)

    def hang_up(self) -> None:
        """Say that there is nothing to do."""
        text = "SIGHUP: nothing to do, a controller has no access log and reads no manifests"
        self._log.information("signal_ignored", text)

    async def leave(self) -> None:
        """Have another replica lead at once."""
        self._log.information("stopping", "giving the Lease back")
        await self._follower.leave()

    async def close(self) -> None:
        """Answer no more probes."""
        if self._page is not None:
            self._page.close()
        if self._admin is not None:
            await self._admin.stop()

    async def _while_leading(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do what only the leader does, each time that it leads."""
        while True:
            await self._leads.begun.wait()
            ended = asyncio.create_task(self._leads.ended.wait())
            keeping = asyncio.create_task(job())
            try:
                await asyncio.wait([ended, keeping], return_when=asyncio.FIRST_COMPLETED)
                if keeping.done():
                    keeping.result()
            finally:
                ended.cancel()
                keeping.cancel()
                await asyncio.gather(ended, keeping, return_exceptions=True)

    async def _keep_authority(self) -> None:
        # Without it no data plane connects: the first one is not to be told that there are no keys.
        await self._tickets.tried.wait()
        await self._identity.run()

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

    def _look(self) -> Viewed | None:
        """What the page shows."""
        if self._loop.seen is None:
            return None
        translation, changed = self._loop.seen
        return Viewed(
            role="controller",
            version=self._version,
            translation=translation,
            diagnostics=tuple(translation.diagnostics),
            documents=list,
            with_lines=iter,
            pods=serving_pods(self._server, translation),
            generation=self._server.generation,
            changed=changed,
            ingresses=self._ingress.served if self._ingress is not None else None,
        )

    def _report_changed(self) -> None:
        self._loop.report_changed()

    def _failures(self) -> dict[ObjectKey, str]:
        """Why Gateways have no pods, by Gateway: what could not be written says more than that they do not start."""
        return {**self._pods.failures, **self._infra.failures}

    def _missing(self) -> Iterable[str]:
        """What keeps this replica from being ready: whoever is could lead at once."""
        if not self._loop.ready.is_set():
            yield "not everything was listed and translated yet"

    @property
    def _status_writes(self) -> int:
        return self._status.writes + (self._ingress_status.writes if self._ingress_status is not None else 0)

    @property
    def _status_depth(self) -> int:
        return self._status.depth + (self._ingress_status.depth if self._ingress_status is not None else 0)

    def figures(self) -> Figures:
        """What there is to count."""
        newest = self._loop.newest
        expiries, untold = self._expiries.of(newest.ir) if newest is not None else ([], 0)
        return Figures(
            leading=self._leads.begun.is_set(),
            ready=self._loop.ready.is_set(),
            writes={"infra": self._infra.writes, "status": self._status_writes, "events": self._events.writes},
            waiting={"infra": self._infra.depth, "status": self._status_depth, "events": self._events.depth},
            provisioning_failures=len(self._failures()),
            planes=self._server.connected,
            unusable=self._loop.unusable,
            exceptions=caught.counts(),
            faults=len(self._loop.faults()),
            expiries=expiries,
            expiries_untold=untold,
        )


__all__ = ["ApiError", "run_controller"]
