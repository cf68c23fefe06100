"""Ingresses of a cluster and what they use, as an inventory for a conversion: asked of its API server.

Ingresses, their classes, Services and Middlewares are listed. Secrets and ConfigMaps are asked for one by one, by the
names that the conversion looks for: nobody needs the right to list Secrets, and none is read that no Ingress names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sluicegate.controller.api import CLUSTER, Code, DecodeError, Diagnostic, Object, Severity, decode
from sluicegate.controller.api.ingress import INGRESS_KINDS
from sluicegate.controller.ingress import Conversion, Inventory, Options, Provider, convert
from sluicegate.controller.ingress.convert import Progress
from sluicegate.controller.looked import Looked
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.resources import INGRESS_RESOURCES, Resource

from .cluster_lists import listed, one
from .ingress_files import IngressFiles

#: Requests at once for what is asked for by name.
AT_ONCE = 8
#: Seconds for everything that is read.
DEADLINE = 300.0
#: Conversions until nothing new is looked for: an Ingress names a Secret, its ConfigMap a list, and hardly more.
MAX_ROUNDS = 6

#: Kinds that are listed: without these there is no conversion, and those that a cluster may do without.
_NEEDED, _OTHERS = ("Ingress",), ("IngressClass", "Service")


class Found(NamedTuple):
    """What a cluster holds, and what comes of it.

    Attributes:
        files: the objects, as files would have had them.
        conversion: of them.
    """

    files: IngressFiles
    conversion: Conversion


class _Converted(NamedTuple):
    """A conversion, and what it looked for in vain, by kind."""

    inventory: Inventory
    conversion: Conversion
    missed: dict[str, frozenset[tuple[str, str]]]


async def read_cluster(client: Client, provider: Provider, options: Options, progress: Progress | None = None) -> Found:
    """Read the Ingresses of a cluster and convert them.

    Args:
        client: of its API server.
        provider: whose annotations they have.
        options: what is wanted.
        progress: called for each Ingress that is converted.

    Raises:
        ApiError: the Ingresses cannot be read.
        TimeoutError: not all came within `DEADLINE`.
    """
    async with asyncio.timeout(DEADLINE):
        return await _Reading(client, provider, options, progress).read()


class _Reading:
    """One look at a cluster."""

    def __init__(self, client: Client, provider: Provider, options: Options, progress: Progress | None) -> None:
        self._client = client
        self._provider = provider
        self._options = options
        self._progress = progress
        self._problems: list[Diagnostic] = []
        self._objects: list[Object] = []
        #: What was asked for by name, whatever came of it.
        self._asked: dict[str, set[tuple[str, str]]] = {"Secret": set(), "ConfigMap": set()}

    async def read(self) -> Found:
        others = _OTHERS if self._provider.name != "traefik" else (*_OTHERS, "Middleware")
        for kind in (*_NEEDED, *others):
            self._objects += await self._list(INGRESS_RESOURCES[kind], needed=kind in _NEEDED)
        found = await self._convert()
        for _ in range(MAX_ROUNDS):
            if not await self._ask_for(found.missed):
                break
            found = await self._convert()
        problems = tuple(sorted(self._problems, key=Diagnostic.order))
        return Found(IngressFiles(found.inventory, problems, len(self._objects)), found.conversion)

    async def _convert(self) -> _Converted:
        inventory = Inventory.of(self._objects)
        secrets, config_maps = Looked(inventory.secrets), Looked(inventory.config_maps)
        watched = replace(inventory, secrets=secrets, config_maps=config_maps)
        conversion = await asyncio.to_thread(convert, watched, self._provider, self._options, self._progress)
        missed = {"Secret": secrets.missed, "ConfigMap": config_maps.missed}
        return _Converted(inventory, conversion, missed)

    async def _ask_for(self, missed: Mapping[str, Iterable[tuple[str, str]]]) -> bool:
        """Ask for objects by name, each once; returns whether one was there."""
        wanted = [(kind, *name) for kind, names in missed.items() for name in sorted({*names} - self._asked[kind])]
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(kind: str, namespace: str, name: str) -> Object | None:
            async with limit:
                return await self._get(INGRESS_RESOURCES[kind], namespace, name)

        for kind, namespace, name in wanted:
            self._asked[kind].add((namespace, name))
        found = [item for item in await asyncio.gather(*(ask(*each) for each in wanted)) if item is not None]
        self._objects += found
        return bool(found)

    async def _get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        found = await one(self._client, resource, namespace, name, self._tell)
        return None if found is None else self._decoded(resource, found)

    async def _list(self, resource: Resource, *, needed: bool) -> list[Object]:
        """All objects of a kind, in the newest version that the cluster has.

        Raises:
            ApiError: of a kind that is needed.
        """
        try:
            documents = await listed(self._client, resource)
        except ApiError as error:
            if needed:
                raise
            if error.status != 404:
                self._tell("error", "", f"{resource.kind} cannot be listed: {error}")
            return []
        return [item for each in documents if (item := self._decoded(resource, each)) is not None]

    def _decoded(self, resource: Resource, document: dict[str, Any]) -> Object | None:
        try:
            return decode(document, CLUSTER, INGRESS_KINDS)
        except DecodeError as error:
            metadata = document.get("metadata")
            names = metadata if isinstance(metadata, dict) else {}
            about = f"{resource.kind}/{names.get('namespace', '')}/{names.get('name', '')}"
            self._tell("error", about, f"{error.reason}: left out", field=error.field)
            return None

    def _tell(self, severity: Severity, about: str, message: str, *, field: str = "") -> None:
        code: Code = "invalid" if field else "unreadable"
        found = Diagnostic(path=CLUSTER.path, severity=severity, object=about, field=field, code=code, message=message)
        if found not in self._problems:
            self._problems.append(found)
