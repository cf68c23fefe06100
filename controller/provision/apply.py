"""Writes what is planned: server-side apply, only on a difference, only by the leader; deletes what is not wanted.

Rules:
- What is there comes from the watches (of the kinds that are made); nothing is written before each
  kind was listed once.
- The objects of a data plane are applied in order, and one that fails stops those behind it: pods must not run with
  somebody else's ServiceAccount. A Service only stops itself: in the shared mode others have theirs.
- Two never write at once: what is under way ends with the leadership (`objects`: how one object is written).
- A bounded number of data planes at a time; one that failed is tried again, later each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .. import caught
from ..api import ObjectKey
from ..api.kinds import PROVISIONED_KINDS
from ..complain import Complain
from ..leader.queue import WorkQueue
from ..sources.kubernetes.client import ApiError, Client
from ..store.store import Delete, Event, Init, InitDone
from ..translate.infrastructure.plane import DataPlane, key_of
from .compare import Live, live_of, name_of
from .objects import Objects, ProvisionError
from .troubles import Tell, Troubles

#: Data planes, or objects to delete, at once.
WORKERS = 8
#: Seconds before a delete that failed is tried again.
DELETE_RETRY = 5.0
#: Characters of a failure that a condition shows.
MAX_MESSAGE = 1_024


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
        self._controller_name = controller_name
        self._complain = complain
        self._objects = Objects(client, controller_name, self._look_at, lambda: self._leading, tell)
        self._listing: dict[str, set[ObjectKey]] = {}
        self._unlisted = set(PROVISIONED_KINDS)
        self._planes: Mapping[str, DataPlane] = {}
        self._owner: dict[ObjectKey, str] = {}
        self._known = False
        self._troubles = Troubles(self._push, complain, changed, tell)
        self._queue: WorkQueue[str | ObjectKey] = WorkQueue()
        self._leading = False

    @property
    def failures(self) -> Mapping[ObjectKey, str]:
        """Why data planes could not be provisioned, by Gateway; any thread may ask."""
        return self._troubles.failures

    @property
    def writes(self) -> int:
        """How many applies there were."""
        return self._objects.writes

    @property
    def deletes(self) -> int:
        """How many deletes there were."""
        return self._objects.deletes

    @property
    def depth(self) -> int:
        """Data planes and objects that wait or are worked on."""
        return len(self._queue)

    @property
    def settled(self) -> asyncio.Event:
        """Set while nothing waits and nothing is worked on."""
        return self._queue.settled

    def lead(self, leading: bool) -> None:
        """Begin or stop to write."""
        self._leading = leading
        if leading:
            self._push_all()
            return
        self._queue.stop()
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
                self._objects.forget(event.key, working=self._queue.working > 0)
                self._look_at(event.key)
        elif isinstance(event, Init):
            if event.kind in PROVISIONED_KINDS:
                self._listing[event.kind] = set()
        elif isinstance(event, InitDone) and event.kind in PROVISIONED_KINDS:
            # Not the watch's business: what an apply answered was perhaps never told by it.
            listed = self._listing.pop(event.kind, set())
            for key in [key for key in self._objects.live if key.kind == event.kind and key not in listed]:
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
            for item in (*_keys_of(before.get(key)), *(before[key].retained if key in before else ())):
                self._owner.pop(item, None)
        for key in changed:
            plane = planes.get(key)
            for item in (*_keys_of(plane), *(plane.retained if plane is not None else ())):
                self._owner[item] = key
            if plane is None or plane.kept:
                self._troubles.forget(key)
        if first:
            self._push_all()
            return
        gone = set(changed)
        for item, live in self._objects.live.items():
            if live.plane in gone:
                self._look_at(item)
        for key in changed:
            self._push(key)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._queue.run(WORKERS, self._work, self._failed)

    def _put(self, key: ObjectKey, live: Live) -> None:
        """Remember an object that is ours; others only count when one of ours needs their name."""
        if live.controller == self._controller_name or key in self._owner:
            self._objects.live[key] = live
        else:
            self._objects.live.pop(key, None)

    def _look_at(self, key: ObjectKey) -> None:
        """Something about an object changed: put on the queue what follows from it."""
        if key in self._owner:
            self._push(self._owner[key])
        elif key in self._objects.live:
            self._push(key)

    def _push_all(self) -> None:
        for plane in self._planes:
            self._push(plane)
        for key in self._objects.live:
            if key not in self._owner:
                self._push(key)

    def _push(self, item: str | ObjectKey) -> None:
        if self._leading and self._known and not self._unlisted:
            self._queue.push(item)

    async def _work(self, item: str | ObjectKey) -> None:
        try:
            await (self._remove(item) if isinstance(item, ObjectKey) else self._provision(item))
        finally:
            if self._queue.working == 1:  # this one alone: no answer is under way that an event could be older than
                self._objects.rest()

    def _failed(self, item: str | ObjectKey, error: Exception) -> None:
        text = f"{item}: {caught.note('write', error)}; it is tried again"
        self._complain("infra_failed", text, object=str(item))
        if isinstance(item, ObjectKey):
            asyncio.get_running_loop().call_later(DELETE_RETRY, self._look_at, item)
        else:
            self._troubles.add(item, {})

    async def _provision(self, name: str) -> None:
        plane = self._planes.get(name)
        if plane is None or plane.kept:
            return
        messages: dict[ObjectKey, str] = {}
        try:
            for manifest in plane.objects:
                service = plane.services.get(key_of(manifest)) if manifest["kind"] == "Service" else None
                try:
                    await self._objects.bring(manifest, plane)
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

    async def _remove(self, key: ObjectKey) -> None:
        """Delete an object if nobody wants it any more."""
        live = self._objects.live.get(key)
        if live is None or live.controller != self._controller_name or live.terminating or key in self._owner:
            return
        plane = self._planes.get(live.plane)
        if plane is not None and plane.kept:
            return
        try:
            await self._objects.delete(key, live)
        except ApiError as error:
            text = f"{name_of(key)} cannot be deleted: {error}; it is tried again"
            self._complain("infra_failed", text, object=str(key))
            asyncio.get_running_loop().call_later(DELETE_RETRY, self._look_at, key)


def _keys_of(plane: DataPlane | None) -> list[ObjectKey]:
    return [key_of(item) for item in plane.objects] if plane is not None else []
