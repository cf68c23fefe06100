"""Manifests of a migration into a cluster: what would change is asked of the API server first, then written.

Rules:
- Nothing is written before all of it was tried (`dryRun`), and the API server takes all of it.
- What others need comes first, routes last: a route that came before its policy would let everybody in. Where anything
  before them fails no route is written.
- Server-side, with a field manager of its own and without force: what others wrote is not overwritten, but told.
- What is written was decided on the version that was shown: what has changed since is told and left.
- Nothing is deleted.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import yaml

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.ingress import Manifest
from sluicegate.controller.ingress.emit.manifest import ORDER
from sluicegate.controller.sources.kubernetes.client import APPLY, ApiError, Client, decoded
from sluicegate.controller.sources.kubernetes.resources import path_of

from .migration_report import AppliedObject

#: As the API server notes who wrote a field.
FIELD_MANAGER = "sluicegate-migrate"
#: Requests at once.
AT_ONCE = 8
#: What refers to all others, and is written last.
_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute")
#: Kinds in the order in which they are written.
_ORDER = (*(kind for kind in reversed(ORDER) if kind not in _ROUTES), *_ROUTES)
#: Of metadata: what people and this command write; the rest is the API server's.
_SHOWN = ("name", "namespace", "labels", "annotations")

_ItemT = TypeVar("_ItemT")


@dataclass(frozen=True, slots=True)
class Step:
    """One object on its way.

    Attributes:
        key: of it.
        document: that is applied.
        outcome: what is known of it so far.
        version: of the object that is there; empty: none is.
    """

    key: ObjectKey
    document: dict[str, Any]
    outcome: AppliedObject
    version: str = ""

    def failed(self, reason: str) -> Step:
        """The same with why it cannot be."""
        return Step(self.key, self.document, msgspec.structs.replace(self.outcome, error=reason), self.version)

    def done(self) -> Step:
        """The same, written."""
        return Step(self.key, self.document, msgspec.structs.replace(self.outcome, written=True), self.version)


async def plan(client: Client, objects: Iterable[Manifest]) -> list[Step]:
    """Ask the API server what would become of manifests; returns them in the order in which they are written.

    Args:
        client: of it.
        objects: the manifests.
    """
    ordered = sorted(objects, key=lambda item: (_ORDER.index(item.kind), item.namespace, item.name))

    async def look(item: Manifest) -> Step:
        return await _planned(client, item)

    return await _each(ordered, look)


async def write(client: Client, steps: Sequence[Step]) -> list[Step]:
    """Write what was planned; returns the steps with what came of them.

    Args:
        client: of the API server.
        steps: of `plan`, none of which has an error.
    """
    done: list[Step] = []

    async def bring(step: Step) -> Step:
        return await _written(client, step)

    for kind in _ORDER:
        some = [step for step in steps if step.key.kind == kind]
        broken = [step for step in done if step.outcome.error]
        if kind in _ROUTES and broken:
            reason = f"not written: {broken[0].key} could not be, which comes before routes"
            done += [step.failed(reason) if step.outcome.action != "none" else step for step in some]
        else:
            done += await _each(some, bring)
    return done


async def _planned(client: Client, item: Manifest) -> Step:
    document = item.document
    key = ObjectKey(item.kind, item.namespace, item.name)
    step = Step(key, document, AppliedObject(object=str(key), action="create"))
    try:
        before = await _there(client, key, document)
        after = decoded(await _apply(client, key, document, trial=True), dict[str, Any], str(key))
    except ApiError as error:
        return step.failed(_reason(error))
    if before is None:
        outcome = AppliedObject(object=str(key), action="create", diff=_diff(key, None, after))
        return Step(key, document, outcome)
    changes = _diff(key, before, after)
    outcome = AppliedObject(object=str(key), action="change" if changes else "none", diff=changes)
    metadata = before.get("metadata")
    version = metadata.get("resourceVersion", "") if isinstance(metadata, dict) else ""
    return Step(key, document, outcome, str(version))


async def _there(client: Client, key: ObjectKey, document: dict[str, Any]) -> dict[str, Any] | None:
    """The object that is there; None: none is.

    Raises:
        ApiError: it cannot be said.
    """
    try:
        return decoded(await client.get(_path(key, document)), dict[str, Any], str(key))
    except ApiError as error:
        if error.status != 404:
            raise
        return None


async def _written(client: Client, step: Step) -> Step:
    if step.outcome.action == "none":
        return step
    document = step.document
    if step.version:
        document = {**document, "metadata": {**document["metadata"], "resourceVersion": step.version}}
    try:
        # An object that is to be made has no version to ask for: the API server would merge both.
        if not step.version and await _there(client, step.key, document) is not None:
            return step.failed("somebody made it since it was shown; run this again to see what would change")
        await _apply(client, step.key, document)
    except ApiError as error:
        return step.failed(_reason(error))
    return step.done()


async def _apply(client: Client, key: ObjectKey, document: dict[str, Any], *, trial: bool = False) -> bytes:
    query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if trial else {})}
    return await client.patch(_path(key, document), document, kind=APPLY, query=query)


def _path(key: ObjectKey, document: dict[str, Any]) -> str:
    return path_of(key, document["apiVersion"])


def _reason(error: ApiError) -> str:
    """What the API server says, and what to do."""
    remedy = ""
    if error.status == 409:
        remedy = "; somebody else wrote it: see what is right, take it out there, and run this again"
    elif error.status == 404:
        remedy = "; install the CRDs (deploy/README.md), and see that the namespace is there"
    elif error.status == 403:
        remedy = "; whoever runs this needs the right to `get` and `patch` it"
    return f"{error}{remedy}"


async def _each(items: Iterable[_ItemT], job: Callable[[_ItemT], Awaitable[Step]]) -> list[Step]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(item: _ItemT) -> Step:
        async with limit:
            return await job(item)

    return list(await asyncio.gather(*map(one, items)))


def _diff(key: ObjectKey, before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    old, new = _lines(before), _lines(after)
    return "".join(difflib.unified_diff(old, new, f"{key} as it is", f"{key} as it will be"))


def _lines(document: dict[str, Any] | None) -> list[str]:
    if document is None:
        return []
    metadata = document.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    shown = {name: value for name, value in document.items() if name not in {"metadata", "status"}}
    shown["metadata"] = {name: named[name] for name in _SHOWN if named.get(name)}
    text: str = yaml.safe_dump(shown, width=float("inf"), allow_unicode=True)
    return text.splitlines(keepends=True)
