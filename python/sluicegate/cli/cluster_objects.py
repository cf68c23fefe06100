"""What a cluster has, translated as its controller does: asked of its API server once; nothing is written.

Kinds are listed. Secrets and ConfigMaps are asked for one by one, by the names that the translation looks for: nobody
needs the right to list Secrets, and none is read that nothing names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from sluicegate.controller.api import CLUSTER, POLICY_KINDS, Code, Diagnostic, Severity, unknown_field
from sluicegate.controller.api.kinds import BY_NAME, TABLE
from sluicegate.controller.sources.files import Document, Reader
from sluicegate.controller.sources.files.content import Content
from sluicegate.controller.sources.files.reader import File, Progress, Reading
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.resources import BY_KIND, Resource
from sluicegate.testing.offline import ASKED_BY_NAME, Offline, load_cluster

from .cluster_client import ask_cluster
from .cluster_error import ClusterError
from .cluster_lists import listed, one
from .exit_status import ExitStatus

#: Requests at once for what is asked for by name.
AT_ONCE = 8
#: Seconds for everything that is read.
DEADLINE = 300.0
#: Translations until nothing new is looked for: a policy names a Secret, and hardly more.
MAX_ROUNDS = 6

#: Without these there is nothing to look at.
_NEEDED = frozenset({"GatewayClass", "Gateway", "HTTPRoute"})
#: Kinds that are listed: what is read of files too, but for what only tells of nodes and CRDs.
LISTED = tuple(
    BY_KIND[kind.name]
    for kind in TABLE
    if kind.struct is not None and kind.files and not kind.minor and kind.name not in ASKED_BY_NAME
)


def look_at_cluster(kubeconfig: str | None, controller_name: str, port_offset: int = 0) -> Offline:
    """Read a cluster, and translate what it has.

    Args:
        kubeconfig: path; None: the pod's own account, else the usual one.
        controller_name: of the GatewayClasses to serve.
        port_offset: the setting of that name.

    Raises:
        ClusterError: it cannot be reached, does not answer, has no Gateway API, or does not let it be read.
    """
    return ask_cluster(kubeconfig, lambda client: _look(client, controller_name, port_offset))


async def _look(client: Client, controller_name: str, port_offset: int) -> Offline:
    async with asyncio.timeout(DEADLINE):
        return await _Look(client, controller_name, port_offset).run()


class _Objects(Reader):
    """Hands on objects of a cluster where files are expected."""

    def __init__(self, documents: tuple[Document, ...], problems: tuple[Diagnostic, ...]) -> None:
        super().__init__(())
        self._found = Reading((File(CLUSTER.path, documents, problems),), problems, frozenset())

    def read(self, progress: Progress | None = None, changed: frozenset[str] | None = None) -> Reading:
        """All of them."""
        return self._found


class _Look:
    """One look at a cluster."""

    def __init__(self, client: Client, controller_name: str, port_offset: int) -> None:
        self._client = client
        self._controller_name = controller_name
        self._port_offset = port_offset
        self._documents: list[Document] = []
        self._problems: list[Diagnostic] = []
        #: What was asked for by name, whatever came of it.
        self._asked: set[tuple[str, str, str]] = set()

    async def run(self) -> Offline:
        for resource in LISTED:
            self._take(await self._list(resource))
        offline, missed = await self._translated()
        for _ in range(MAX_ROUNDS):
            if not await self._ask_for(missed):
                break
            offline, missed = await self._translated()
        return offline

    async def _translated(self) -> tuple[Offline, Mapping[str, frozenset[tuple[str, str]]]]:
        reader = _Objects(tuple(self._documents), tuple(self._problems))
        return await asyncio.to_thread(
            load_cluster, reader, _newer, self._controller_name, port_offset=self._port_offset
        )

    async def _ask_for(self, missed: Mapping[str, frozenset[tuple[str, str]]]) -> bool:
        """Ask for objects by name, each once; returns whether something is known now that was not."""
        names = {(kind, *name) for kind, found in missed.items() for name in found if all(name)}
        wanted = sorted(names - self._asked)
        self._asked |= names
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
            async with limit:
                return await self._get(BY_KIND[kind], namespace, name)

        known = len(self._documents) + len(self._problems)
        for found in await asyncio.gather(*(ask(*each) for each in wanted)):
            self._take(found)
        return len(self._documents) + len(self._problems) > known

    async def _get(self, resource: Resource, namespace: str, name: str) -> list[dict[str, Any]]:
        found = await one(self._client, resource, namespace, name, self._tell)
        return [] if found is None else [found]

    async def _list(self, resource: Resource) -> list[dict[str, Any]]:
        name = resource.qualified_name
        try:
            return await listed(self._client, resource)
        except ApiError as error:
            may = f"ask for a role that may: kubectl auth can-i list {name} --all-namespaces"
            if resource.kind in _NEEDED and error.status == 404:
                text = f"the cluster has no {resource.kind}: {resource.remedy}"
                raise ClusterError(text, ExitStatus.FAILED) from None
            if resource.kind in _NEEDED and error.status == 403:
                raise ClusterError(f"{name} cannot be listed: {error}; {may}", ExitStatus.FAILED) from None
            if resource.kind in _NEEDED or error.status in {0, 401}:
                raise
            if error.status != 404:
                remedy = may if error.status == 403 else ""
                self._tell("error", "", f"{name} cannot be listed, and count as missing: {error}", remedy)
            return []

    def _take(self, documents: list[dict[str, Any]]) -> None:
        for document in documents:
            metadata = document.get("metadata")
            if isinstance(metadata, dict):
                metadata.pop("managedFields", None)  # half of what an object says, and of use to nobody here
            self._documents.append(Document(Content(document), CLUSTER, "", 1))

    def _tell(self, severity: Severity, about: str, message: str, remedy: str = "") -> None:
        code: Code = "unreadable"
        self._problems.append(
            Diagnostic(path=CLUSTER.path, severity=severity, object=about, code=code, message=message, remedy=remedy)
        )


def _newer(document: dict[str, Any]) -> Iterator[Diagnostic]:
    """Say what a policy asks for that this version does not know: then it is closed, as the controller does it."""
    kind = document.get("kind")
    struct = BY_NAME[kind].struct if isinstance(kind, str) and kind in POLICY_KINDS else None
    field = unknown_field(document, struct) if struct is not None else ""
    if field:
        message, remedy = "not known to this version", "ask by the version of the controller, or a newer one"
        yield Diagnostic(severity="error", field=field, code="unknown-field", message=message, remedy=remedy)
