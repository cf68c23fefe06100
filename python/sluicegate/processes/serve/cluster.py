"""`sluicegate serve --kubernetes`: watch, translate, status and engine in one process.

For one node, a homelab, hostNetwork. Gateways without addresses get one of `--address-pool`, else all share every
address of the host.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sluicegate.checks import native_checks
from sluicegate.controller.api.kinds import READ_KINDS
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.resources import WATCHED
from sluicegate.controller.status import StatusWriter
from sluicegate.controller.status.ingress import IngressStatusWriter
from sluicegate.controller.translate import Options, Translation, Translator
from sluicegate.controller.translate.pool import pool_of
from sluicegate.observe.log import Log

from ..follower import Follower
from ..ingress_settings import INGRESS_GATEWAY, wanted_of
from ..job import Job
from ..loop import Loop, Output
from ..process import Process
from ..serving_engine import ServingEngine
from ..settings import Settings
from ..translation_delivery import TranslationDelivery
from ..viewed import MakePage, ServingPod, Viewed, before_engine
from .drain import drain_of

if TYPE_CHECKING:
    from ..ingress_cluster import ClusterIngresses


_READ = tuple(item.kind for item in WATCHED if item.kind in READ_KINDS)


async def serve_cluster(settings: Settings, version: str, page: MakePage | None = None) -> int:
    """Serve the Gateways of a cluster until a signal; returns the exit status.

    Args:
        settings: of the process.
        version: of this program.
        page: makes the page of the admin listener; None: there is none.

    Raises:
        ApiError: no API server is configured.
        ValueError: a setting that the engine does not take.
        OSError: the system refuses what the engine needs.
    """
    async with await Client.load(settings.kubeconfig or None) as client:
        log = Log(settings.output, settings.log_level, color=settings.color)
        engine = ServingEngine(settings, drain_of(settings), log, settings.keys_directory, before_engine(page))
        return await Process(ClusterGateway(client, settings, engine, log, version), log, engine).run()


class ClusterGateway:
    """Keeps an engine at what a cluster says, and the cluster's status at what the engine does."""

    def __init__(self, client: Client, settings: Settings, engine: ServingEngine, log: Log, version: str) -> None:
        """Serve nothing yet.

        Args:
            client: of the API server.
            settings: of the process.
            engine: serves.
            log: takes what happens.
            version: of this program.
        """
        self._client = client
        self._engine = engine
        self._log = log
        self._version = version
        self._keep_going = settings.keep_going
        self._delivery = TranslationDelivery(engine.delivery, lambda: engine.keys.away)
        options = Options(
            port_offset=settings.port_offset,
            listen=settings.listen,
            implicit_class=False,
            implicit_namespaces=False,
            keep_served=True,
            certificate_grace=settings.certificate_grace,
            pool=pool_of(settings.address_pool),
            status_addresses=settings.status_address or (_own_address(),),
            checks=native_checks(),
            external_names=settings.external_names,
        )
        translator = Translator(settings.controller_name, options)
        writer = StatusWriter(client, settings.controller_name, log.warning)
        outputs = [Output(writer, lambda translation: translation, reported=True)]
        wanted = wanted_of(settings, f"{settings.namespace}/{INGRESS_GATEWAY}")
        ingress: ClusterIngresses | None = None
        if wanted is not None:
            from ..ingress_cluster import ClusterIngresses

            ingress = ClusterIngresses(wanted, settings.controller_name, _READ)
        if ingress is not None and not settings.no_ingress_status:
            status = IngressStatusWriter(client, ingress.gateway, lambda: ingress.selected, log.warning)
            outputs.append(Output(status, lambda translation: translation, reported=True))
        self._loop = Loop(client, translator, outputs, self, log.warning, take=self._delivery.deliver, ingress=ingress)
        self._follower = Follower(client, self._loop, self._lead, log, namespace=settings.namespace)
        self._settings = settings
        self._ingress = ingress
        engine.look = self._look

    async def start(self) -> None:
        """Nothing is served before everything was listed.

        Raises:
            StartError: the admin port is taken.
        """
        if not self._keep_going:
            self._engine.check_admin()

    def jobs(self) -> Iterator[Job]:
        """What follows the cluster."""
        self._engine.when_bound(self._tell_report)
        self._engine.when_keys_change(self._tell_report)
        yield from self._follower.jobs(f"serves the Gateways of {self._client.host}", self._version)

    def hang_up(self) -> None:
        """Nothing is read from files but what each connection reads again."""

    async def leave(self) -> None:
        """Have another write the status."""
        await self._follower.leave()

    async def close(self) -> None:
        """Nothing is kept."""

    def reported(self, translation: Translation) -> Translation:
        """The translation with the report of the engine here, which has it (`Reports` of the loop)."""
        self._engine.set_unusable(self._loop.unusable)
        for item in self._delivery.refusals(translation):
            self._log.warning(item.code, item.text, object=item.object)
        return self._delivery.reported(translation)

    def _look(self) -> Viewed | None:
        """What the page shows."""
        if self._loop.seen is None:
            return None
        translation, changed = self._loop.seen
        generation = self._engine.delivery.generation
        return Viewed(
            role="serve --kubernetes",
            version=self._version,
            translation=translation,
            diagnostics=(*self._delivery.refusals(translation), *translation.diagnostics),
            documents=list,
            with_lines=iter,
            pods=(ServingPod("", "", "current", generation),),
            generation=generation,
            changed=changed,
            port_offset=self._settings.port_offset,
            path_normalization=self._settings.engine.path_normalization or "strict",
            ingresses=self._ingress.served if self._ingress is not None else None,
        )

    async def _tell_report(self) -> None:
        self._loop.report_changed()

    def _lead(self, leading: bool) -> None:
        text = "leading: status is written here" if leading else "not leading"
        self._log.information("leader", text, leading=leading)


def _own_address() -> str:
    """The address that this machine reaches others by; loopback where it reaches none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])
    return "127.0.0.1"


__all__ = ["ApiError", "serve_cluster"]
