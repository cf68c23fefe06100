"""One look at manifests, without an engine: what check, explain, translate and `load` stand on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sluicegate import ir
from sluicegate.checks import native_checks
from sluicegate.controller.looked import Looked
from sluicegate.controller.sources.files import Document, Reader
from sluicegate.controller.sources.files.judge import Validate
from sluicegate.controller.sources.files.reader import Progress
from sluicegate.controller.store.store import Delete, Store
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME, Options, Translation, Translator, ir_transaction
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.schema import violations

from ..controller.api import Diagnostic, RefusedPolicy, Secret, Service
from ..controller.api.kinds import OTHER_SECRETS
from ..controller.sources.files.source import Refresh, Source
from ..processes.backend_faults import faults_of
from ..processes.file_sources import sources_of, told_of
from ..processes.given_backends import GivenBackends
from ..processes.ingress_settings import Wanted

if TYPE_CHECKING:
    from ..processes.ingress_files import FileIngresses


#: Kinds of a cluster that are not listed: of each object its name is known.
ASKED_BY_NAME = ("Secret", "ConfigMap")


@dataclass(frozen=True, slots=True)
class Offline:
    """Manifests, translated.

    Attributes:
        source: knows the places of fields.
        refresh: what could not be read.
        translation: configuration, statuses and diagnostics.
        for_cluster: they were read for a cluster.
        from_cluster: a cluster has them: nothing is missing that a cluster would make.
        ingresses: that are served as well.
        backends: where programs of Services listen, as somebody gave it.
    """

    source: Source
    refresh: Refresh
    translation: Translation
    for_cluster: bool = False
    from_cluster: bool = False
    ingresses: FileIngresses | None = None
    backends: GivenBackends = field(default_factory=dict)

    def transaction(self) -> ir.Transaction:
        """The full state, with its secrets."""
        return ir_transaction(None, self.translation.ir, 1)

    def documents(self) -> list[Document]:
        """The objects as they are written."""
        return self.source.documents()

    def diagnostics(self) -> list[Diagnostic]:
        """Everything that is wrong, in the order of files and lines."""
        found = (item for item in self.translation.diagnostics if not self._is_made_there(item))
        told = told_of(found, self.source, self.ingresses)
        given = faults_of(self.backends, self.translation.snapshot)
        return sorted({*self.refresh.diagnostics, *told, *given}, key=Diagnostic.order)

    def _is_made_there(self, item: Diagnostic) -> bool:
        """Whether it is about endpoints that a cluster makes of the selector of a Service."""
        if not self.for_cluster or self.from_cluster or item.code != "no-endpoints":
            return False
        namespace, name = item.object.removeprefix("Service/").split("/")
        service = self.translation.snapshot.table("Service").get((namespace, name))
        return isinstance(service, Service) and bool(service.spec.selector)


def load_offline(
    paths: Sequence[str],
    controller_name: str = DEFAULT_CONTROLLER_NAME,
    *,
    standard_input: str | None = None,
    progress: Progress | None = None,
    port_offset: int = 0,
    cluster: bool | Callable[[Source], bool] = False,
    ingress: Wanted | None = None,
    backends: GivenBackends | None = None,
) -> Offline:
    """Read and translate manifests; what the API server would refuse is left out, a policy closed, as `serve` does it.

    Args:
        paths: files, directories, `-` for standard input.
        controller_name: of the GatewayClasses to serve.
        standard_input: text for `-`; None: standard input itself.
        progress: called for each file that is read.
        port_offset: the setting of that name.
        cluster: they are for a cluster and its controller, not for `serve`; may be asked of what was read.
        ingress: Ingresses that are served as well; None: none are.
        backends: where programs of Services listen; a cluster knows that itself.

    Raises:
        ValueError: a name of `ingress` that is none.
    """
    source, store, ingresses = sources_of(Reader(paths, standard_input), violations, ingress, controller_name)
    refresh = source.refresh(progress)
    for_cluster = cluster(source) if callable(cluster) else cluster
    given = backends if backends is not None and not for_cluster else {}
    options = Options(port_offset=port_offset, checks=native_checks(), now=time.time(), backends=given)
    if for_cluster:
        # Each Gateway has addresses of its own; the Secret of the controller is its own business.
        provision = ProvisionOptions(authority="")
        options = replace(options, merge_gateways=False, provision=provision, backends=None)
        _hide(store)
    if ingresses is not None:
        ingresses.update()
    translation = Translator(controller_name, options).translate(store.snapshot())
    return Offline(source, refresh, translation, for_cluster, ingresses=ingresses, backends=given)


def load_cluster(
    reader: Reader, validate: Validate, controller_name: str = DEFAULT_CONTROLLER_NAME, *, port_offset: int = 0
) -> tuple[Offline, dict[str, frozenset[tuple[str, str]]]]:
    """Translate what a cluster has, as its controller does; it took the objects, so their schemas are not looked at.

    Args:
        reader: has the objects.
        validate: says why one of them cannot be used.
        controller_name: of the GatewayClasses to serve.
        port_offset: the setting of that name.

    Returns:
        The translation, and of `ASKED_BY_NAME` what it looked for in vain: names with their namespaces, by kind.
    """
    source, store, _ = sources_of(reader, validate, None, controller_name)
    refresh = source.refresh()
    for item in store.snapshot().table("Secret").values():
        if isinstance(item, Secret) and item.type in OTHER_SECRETS:
            store.handle(Delete(item.key))
    # Each Gateway has addresses of its own; the Secret of the controller is its own business.
    options = Options(
        port_offset=port_offset,
        checks=native_checks(),
        now=time.time(),
        merge_gateways=False,
        provision=ProvisionOptions(authority=""),
    )
    snapshot = store.snapshot()
    looked = {kind: Looked(snapshot.table(kind)) for kind in ASKED_BY_NAME}
    translation = Translator(controller_name, options).translate(
        replace(snapshot, tables={**snapshot.tables, **looked})
    )
    offline = Offline(source, refresh, translation, for_cluster=True, from_cluster=True)
    return offline, {kind: table.missed for kind, table in looked.items()}


def _hide(store: Store) -> None:
    """Take away what the controller is not shown: Secrets that are of no certificate, and what no API server stores."""
    for item in [item for table in store.snapshot().tables.values() for item in table.values()]:
        if isinstance(item, RefusedPolicy) or (isinstance(item, Secret) and item.type in OTHER_SECRETS):
            store.handle(Delete(item.key))
