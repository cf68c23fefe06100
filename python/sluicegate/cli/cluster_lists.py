"""All objects of a kind of a cluster, in pages: what commands have in common that look into one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sluicegate.controller.api import Severity
from sluicegate.controller.sources.kubernetes.client import ApiError, Client, decoded
from sluicegate.controller.sources.kubernetes.resources import Resource

#: Objects in a page of a list.
PAGE = 500
#: How often a list is begun again whose rest the API server no longer knows.
TRIES = 3


class _ListMeta(msgspec.Struct):
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[dict[str, Any]] | None = None


async def listed(client: Client, resource: Resource) -> list[dict[str, Any]]:
    """All objects of a kind, in the newest version that the cluster has; each with its kind and `apiVersion`.

    Raises:
        ApiError: they cannot be listed; status 404: the cluster has none of the versions.
    """
    versions = resource.versions
    for each in versions:
        try:
            return await _pages(client, each)
        except ApiError as error:
            if error.status != 404 or each is versions[-1]:
                raise
    return []


async def one(
    client: Client, resource: Resource, namespace: str, name: str, tell: Callable[[Severity, str, str], None]
) -> dict[str, Any] | None:
    """The object of a name, with its kind and `apiVersion`; None: there is none, or it cannot be read, which is told.

    Raises:
        ApiError: the answer is not the API server's.
    """
    about = f"{resource.kind}/{namespace}/{name}"
    try:
        answer = await client.get(resource.path(namespace, name))
    except ApiError as error:
        if error.status != 404:
            tell("warning", about, f"it cannot be read, and counts as missing: {error}")
        return None
    return named(resource, decoded(answer, dict[str, Any], about))


async def _pages(client: Client, resource: Resource) -> list[dict[str, Any]]:
    for attempt in range(TRIES):
        found: list[dict[str, Any]] = []
        query = {"limit": str(PAGE)}
        try:
            while True:
                answer = await client.get(resource.collection, query)
                page = decoded(answer, _List, f"the list of {resource.kind}")
                found += [named(resource, item) for item in page.items or ()]
                if not page.metadata.token:
                    return found
                query["continue"] = page.metadata.token
        except ApiError as error:
            if error.status != 410 or attempt == TRIES - 1:  # 410: what the list goes on from is forgotten
                raise
    return []


def named(resource: Resource, document: dict[str, Any]) -> dict[str, Any]:
    """An object with its kind and `apiVersion`: items of a list have neither."""
    return {**document, "kind": resource.kind, "apiVersion": document.get("apiVersion") or resource.version}
