"""Writes what is planned: server-side apply, only on a difference, only by the leader; deletes what is not wanted.

Rules:
- What is there comes from the watches (of the kinds that are made); nothing is written before each
  kind was listed once.
- The objects of a data plane are applied in order, and one that fails stops those behind it: pods must not run with
  somebody else's ServiceAccount. A Service only stops itself: in the shared mode others have theirs.
- An object of the same name that is not ours stays untouched, and the Gateway's condition says so. Ours is what carries
  our label and controller name, or is owned by the Gateway.
- Two never write at once: what is under way ends with the leadership, and every apply carries the version that it was
  decided on, so that one which arrives late changes nothing. What somebody else changed is put back, and told.
- A bounded number of data planes at a time; one that failed is tried again, later each time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from .. import caught
from ..api import ObjectKey
from ..api.kinds import PROVISIONED_KINDS
from ..complain import Complain
from ..sources.kubernetes.client import APPLY, ApiError, Client, decoded
from ..sources.kubernetes.resources import path_of
from ..sources.kubernetes.writes import Writes
from ..store.store import Delete, Event, Init, InitDone
from ..translate.infrastructure.plane import MANAGER, DataPlane, Manifest, key_of
from .compare import Live, difference, digest_of, live_of, name_of, owner_of, says, was_applied, with_replicas
from .troubles import Tell, Troubles

#: Data planes, or objects to delete, at once.
WORKERS = 8
#: Seconds before a delete that failed is tried again.
DELETE_RETRY = 5.0
#: Applies of one object that others may forestall, one after the other.
CONFLICTS = 3
#: A version that no object has: applied with it, what is not there is made, and what is there is a conflict.
NOT_THERE = "1"
#: Characters of a failure that a condition shows.
MAX_MESSAGE = 1_024
#: Characters of a value that an event shows.
MAX_VALUE = 60
#: What to do in place of changing a field of an object of ours.
REMEDIES = {("Deployment", "spec.replicas"): "set deployment.replicas of its GatewayParameters, or leave it out there"}


class ProvisionError(Exception):
    """Why an object could not be written; the message is for the Gateway's condition."""


class InfraWriter:
    """Keeps data planes in the API at what is planned."""

    def __init__(
        self,
        client: Client,
        controller_name: str,
        complain: Complain,
        *,
        changed: Callable[[], None] | None = None,
        tell: Tell | None = None,
    ) -> None:
        """Make a writer that waits until it leads.

        Args:
            client: of the API server.
            controller_name: whose objects are ours.
            complain: takes a code and a message.
            changed: called when `failures` changed.
            tell: takes events about Gateways.
        """
        self._client = client
        self._controller_name = controller_name
        self._complain = complain
        self._tell = tell
        self._live: dict[ObjectKey, Live] = {}
        self._listing: dict[str, set[ObjectKey]] = {}
        self._unlisted = set(PROVISIONED_KINDS)
        self._planes: Mapping[str, DataPlane] = {}
        self._owner: dict[ObjectKey, str] = {}
        self._known = False
        #: What the API made of what was applied: it may write a value in another way (a quantity).
        self._applied: dict[ObjectKey, tuple[str, Manifest]] = {}
        self._troubles = Troubles(self._push, complain, changed, tell)
        self._queue: dict[str | ObjectKey, None] = {}
        self._busy: set[str | ObjectKey] = set()
        #: What was deleted while something is worked on.
        self._gone: set[ObjectKey] = set()
        self._ready = asyncio.Event()
        self._writes = Writes()
        self._leading = False
        #: Set while nothing waits and nothing is worked on.
        self.settled = asyncio.Event()
        self.settled.set()
        self.writes = 0
        self.deletes = 0

    @property
    def failures(self) -> Mapping[ObjectKey, str]:
        """Why data planes could not be provisioned, by Gateway; any thread may ask."""
        return self._troubles.failures

    @property
    def depth(self) -> int:
        """Data planes and objects that wait or are worked on."""
        return len(self._queue) + len(self._busy)

    def lead(self, leading: bool) -> None:
        """Begin or stop to write."""
        self._leading = leading
        if leading:
            self._push_all()
            return
        self._queue.clear()
        self._writes.stop()
        if not self._busy:
            self.settled.set()
        self._troubles.clear()

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Take an object as the watch tells it."""
        if kind not in PROVISIONED_KINDS:
            return
        metadata = document.get("metadata") or {}
        key = ObjectKey(kind, metadata.get("namespace", ""), metadata.get("name", ""))
        if kind in self._listing:
            self._listing[kind].add(key)
        self._put(key, live_of(document))
        self._look_at(key)

    def handle(self, event: Event) -> None:
        """Take an event of any watched kind."""
        if isinstance(event, Delete):
            if event.key.kind in PROVISIONED_KINDS:
                self._live.pop(event.key, None)
                self._applied.pop(event.key, None)
                if self._busy:
                    self._gone.add(event.key)
                self._look_at(event.key)
        elif isinstance(event, Init):
            if event.kind in PROVISIONED_KINDS:
                self._listing[event.kind] = set()
        elif isinstance(event, InitDone) and event.kind in PROVISIONED_KINDS:
            # Not the watch's business: what an apply answered was perhaps never told by it.
            listed = self._listing.pop(event.kind, set())
            for key in [key for key in self._live if key.kind == event.kind and key not in listed]:
                self.handle(Delete(key))
            if event.kind in self._unlisted:
                self._unlisted.discard(event.kind)
                if not self._unlisted:
                    self._push_all()

    def want(self, planes: Mapping[str, DataPlane]) -> None:
        """Say what is planned from now on, by `namespace/name`."""
        first, self._known = not self._known, True
        before, self._planes = self._planes, planes
        if planes is before and not first:
            return
        changed = [key for key in before.keys() | planes.keys() if before.get(key) is not planes.get(key)]
        for key in changed:
            for item in (*_objects(before.get(key)), *(before[key].retained if key in before else ())):
                self._owner.pop(item, None)
        for key in changed:
            plane = planes.get(key)
            for item in (*_objects(plane), *(plane.retained if plane is not None else ())):
                self._owner[item] = key
            if plane is None or plane.kept:
                self._troubles.forget(key)
        if first:
            self._push_all()
            return
        gone = set(changed)
        for item, live in self._live.items():
            if live.plane in gone:
                self._look_at(item)
        for key in changed:
            self._push(key)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:  # where one raises, all end and begin again
            for _ in range(WORKERS):
                group.create_task(self._work())

    def _put(self, key: ObjectKey, live: Live) -> None:
        """Remember an object that is ours; others only count when one of ours needs their name."""
        if live.controller == self._controller_name or key in self._owner:
            self._live[key] = live
        else:
            self._live.pop(key, None)

    def _look_at(self, key: ObjectKey) -> None:
        """Something about an object changed: put on the queue what follows from it."""
        if key in self._owner:
            self._push(self._owner[key])
        elif key in self._live:
            self._push(key)

    def _push_all(self) -> None:
        for plane in self._planes:
            self._push(plane)
        for key in self._live:
            if key not in self._owner:
                self._push(key)

    def _push(self, item: str | ObjectKey) -> None:
        if self._leading and self._known and not self._unlisted:
            self._queue[item] = None
            self.settled.clear()
            self._ready.set()

    async def _work(self) -> None:
        while True:
            item = next((item for item in self._queue if item not in self._busy), None)
            if item is None:
                self._ready.clear()
                await self._ready.wait()
                continue
            del self._queue[item]
            self._busy.add(item)
            try:
                await self._writes.run(self._remove(item) if isinstance(item, ObjectKey) else self._provision(item))
            except Exception as error:  # of one data plane: the others are written
                text = f"{item}: {caught.note('write', error)}; it is tried again"
                self._complain("infra_failed", text, object=str(item))
                if isinstance(item, ObjectKey):
                    asyncio.get_running_loop().call_later(DELETE_RETRY, self._look_at, item)
                else:
                    self._troubles.add(item, {})
            finally:
                self._busy.discard(item)
                if not self._busy:
                    self._gone.clear()
                if self._queue:
                    self._ready.set()
                elif not self._busy:
                    self.settled.set()

    async def _provision(self, name: str) -> None:
        plane = self._planes.get(name)
        if plane is None or plane.kept:
            return
        messages: dict[ObjectKey, str] = {}
        try:
            for manifest in plane.objects:
                service = plane.services.get(key_of(manifest)) if manifest["kind"] == "Service" else None
                try:
                    await self._bring(manifest, plane)
                except ProvisionError as failure:
                    found = plane.gateways if service is None else (service,)
                    messages.update(dict.fromkeys(found, str(failure)[:MAX_MESSAGE]))
                    if service is None:
                        break
                if not self._leading or self._planes.get(name) is not plane:
                    return  # what is newer is on the queue
        except ApiError as error:
            text = f"{name} cannot be provisioned now: {error}; it is tried again"
            self._complain("infra_failed", text, object=name)
            self._troubles.postpone(name)
            return
        if messages:
            self._troubles.add(name, messages)
        else:
            self._troubles.forget(name)

    async def _bring(self, manifest: Manifest, plane: DataPlane) -> None:
        """Bring one object to what its manifest says.

        Raises:
            ProvisionError: it cannot be.
            ApiError: not now.
        """
        key = key_of(manifest)
        live = self._live.get(key) or await self._find(key)
        for _ in range(CONFLICTS):
            if live is not None and not await self._is_to_be_written(key, live, manifest):
                return
            if not self._leading:
                return  # since it was looked for
            try:
                await self._apply(key, live, manifest, plane)
            except ApiError as error:
                if error.status != 409:
                    raise
                live = await self._find(key)  # another one wrote it, and the watch has not told yet
            else:
                return
        raise ApiError(409, f"{name_of(key)} is written by others all the time")

    async def _is_to_be_written(self, key: ObjectKey, live: Live, manifest: Manifest) -> bool:
        """Whether an object that is there is ours and says something else."""
        owner = owner_of(manifest)
        if live.controller != self._controller_name and (not owner or live.owner != owner):
            whose = f"belongs to controller {live.controller}" if live.controller else "is not Sluicegate's"
            raise ProvisionError(f"{name_of(key)} exists and {whose}: rename or delete it, or rename the Gateway")
        if live.terminating:
            return False  # its Delete event brings us back
        if owner and live.owner != owner:
            await self._delete(key, live)  # of a Gateway of the same name that is no more
            return False
        return not says(live, manifest) and self._applied.get(key) != (digest_of(manifest), live.document)

    async def _apply(self, key: ObjectKey, live: Live | None, manifest: Manifest, plane: DataPlane) -> None:
        query = {"fieldManager": MANAGER, "force": "true"}
        self._gone.discard(key)
        body = with_replicas(manifest, live, plane.objects)
        version = live.version if live is not None else NOT_THERE
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        try:
            answer = await self._client.patch(path_of(key), body, kind=APPLY, query=query)
        except ApiError as error:
            if _is_passing(error):
                raise
            raise ProvisionError(f"{name_of(key)} cannot be written: {error}") from None
        self.writes += 1
        self._tell_reverted(key, live, manifest, plane)
        if key in self._gone:  # the watch told of its end, or of the one before it, before this answer came
            self._look_at(key)
            return
        after = live_of(decoded(answer, dict[str, Any], name_of(key)))
        self._applied[key] = (digest_of(manifest), after.document)
        self._live[key] = after
        if live is None and key.kind == "Deployment" and self._tell is not None:
            for gateway in plane.gateways:
                self._tell(gateway, "Normal", "Provisioned", f"Created {name_of(key)}")

    def _tell_reverted(self, key: ObjectKey, live: Live | None, manifest: Manifest, plane: DataPlane) -> None:
        """Tell who changed an object that was as we wanted it: it is as it was before."""
        if live is None or self._tell is None or not was_applied(live, manifest):
            return
        found = difference(live, manifest)
        if found is None:
            return
        field, was, wanted = found
        remedy = REMEDIES.get((key.kind, field), "change the Gateway or its GatewayParameters instead")
        text = f"{name_of(key)}: {field} was {_short(was)} and is {_short(wanted)} again; {remedy}"
        for gateway in plane.gateways:
            self._tell(gateway, "Warning", "Reverted", text)

    async def _find(self, key: ObjectKey) -> Live | None:
        """Look for an object that no watch told: it may not be ours, and then has not our label."""
        try:
            return live_of(decoded(await self._client.get(path_of(key)), dict[str, Any], name_of(key)))
        except ApiError as error:
            if error.status == 404:
                return None
            if _is_passing(error):
                raise
            raise ProvisionError(f"{name_of(key)} cannot be read: {error}") from None

    async def _remove(self, key: ObjectKey) -> None:
        """Delete an object if nobody wants it any more."""
        live = self._live.get(key)
        if live is None or live.controller != self._controller_name or live.terminating or key in self._owner:
            return
        plane = self._planes.get(live.plane)
        if plane is not None and plane.kept:
            return
        try:
            await self._delete(key, live)
        except ApiError as error:
            text = f"{name_of(key)} cannot be deleted: {error}; it is tried again"
            self._complain("infra_failed", text, object=str(key))
            asyncio.get_running_loop().call_later(DELETE_RETRY, self._look_at, key)

    async def _delete(self, key: ObjectKey, live: Live) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": live.uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._client.request("DELETE", path_of(key), body=body)
        except ApiError as error:
            if error.status not in {404, 409}:
                raise
            # Gone, or another object of the same name: what is remembered is not there, and no event may come of it.
            if self._live.get(key) is live:
                del self._live[key]
                self._applied.pop(key, None)
                self._look_at(key)
            return
        self.deletes += 1


def _objects(plane: DataPlane | None) -> list[ObjectKey]:
    return [key_of(item) for item in plane.objects] if plane is not None else []


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


def _is_passing(error: ApiError) -> bool:
    """Whether the same request may work later without anybody's doing."""
    return error.status in {0, 409, 429} or error.status >= 500
