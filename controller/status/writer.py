"""Writes status off the translate loop: newest wins for each object, a bounded number at a time, nothing without need.

Rules:
- The status that is there comes from the watch, so a decision needs no read; a write carries the version that it was
  decided on. A conflict waits for the watch to tell what is there now.
- Only the leader writes, and what is under way ends with its leadership. Whoever becomes leader looks at everything
  once.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from .. import caught
from ..api import ObjectKey
from ..api.kinds import BY_NAME, STATUS_KINDS
from ..complain import Complain
from ..leader.writes import Writes
from ..sources.kubernetes.client import ApiError, Client, decoded
from ..sources.kubernetes.resources import path_of
from ..store.store import Delete, Event
from ..translate import Translation
from .lanes import Lanes
from .merge import merged_status
from .pace import Pace

#: Writes at once.
WORKERS = 8
#: Seconds before a write that failed is tried again, the first and the longest; it keeps no worker.
FIRST_RETRY, LONGEST_RETRY = 1.0, 15.0


class _Live(msgspec.Struct):
    """An object as the API has it, as far as status goes; `api_version` is the one that it was read in.

    The status is JSON: as a dictionary it would be a third of what a controller has of a route. Empty: there is none.
    """

    api_version: str
    version: str
    generation: int
    status: bytes


class _Metadata(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion")


class _Written(msgspec.Struct):
    """The answer to a write."""

    metadata: _Metadata
    status: msgspec.Raw = msgspec.Raw(b"")


class StatusWriter:
    """Keeps the status in the API at what the translation says."""

    def __init__(self, client: Client, controller_name: str, complain: Complain) -> None:
        """Make a writer that waits until it leads."""
        self._client = client
        self._controller_name = controller_name
        self._complain = complain
        self._live: dict[ObjectKey, _Live] = {}
        self._wanted: Translation | None = None
        self._lanes = Lanes()
        self._ready = asyncio.Event()
        self._under_way = Writes()
        self._leading = False
        self._pace = Pace[ObjectKey]()
        self._postponed: set[ObjectKey] = set()
        #: Writes in a row that failed, by object.
        self._failures: dict[ObjectKey, int] = {}
        self.writes = 0

    @property
    def depth(self) -> int:
        """Objects that wait to be written or are being written."""
        return len(self._lanes)

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Take an object as the watch tells it."""
        if kind not in STATUS_KINDS:
            return
        metadata = document.get("metadata") or {}
        key = ObjectKey(kind, metadata.get("namespace", ""), metadata.get("name", ""))
        version, known = str(metadata.get("resourceVersion", "")), self._live.get(key)
        if version and known is not None and known.version == version:
            return  # what was written here, or listed again
        generation, status = metadata.get("generation"), document.get("status")
        live = self._live[key] = _Live(
            str(document.get("apiVersion", "")),
            version,
            generation if isinstance(generation, int) else 0,
            _packed(status if isinstance(status, dict) else None),
        )
        # A status that was written here is often told before the write is answered: that is no route that comes.
        self._push(key, comes=known is None or known.generation != live.generation)

    def handle(self, event: Event) -> None:
        """Forget what is deleted."""
        if isinstance(event, Delete):
            self._live.pop(event.key, None)
            self._pace.forget(event.key)
            self._failures.pop(event.key, None)
            self._lanes.drop(event.key)

    def want(self, translation: Translation) -> None:
        """Say what the statuses should be from now on."""
        before, self._wanted = self._wanted, translation
        for key in translation.changed_since(before):
            self._push(key)

    def lead(self, leading: bool) -> None:
        """Begin or stop to write."""
        self._leading = leading
        if leading:
            for key in self._live:
                self._push(key)
        else:
            self._lanes.clear()
            self._under_way.stop()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:  # where one raises, all end and begin again
            for _ in range(WORKERS):
                group.create_task(self._work())

    def _push(self, key: ObjectKey, *, comes: bool = False) -> None:
        if self._leading:
            self._lanes.push(key, asyncio.get_running_loop().time(), comes=comes)
            self._ready.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = self._lanes.take(loop.time())
            if key is None:
                self._ready.clear()
                await self._ready.wait()
                continue
            began = loop.time()
            try:
                await self._under_way.run(self._write(key))
            except Exception as error:  # of one object: the others are written
                self._retry_later(key, caught.note("write", error))
            finally:
                now = loop.time()
                due = self._lanes.written(key, now - began, now)
                if due > now:
                    loop.call_at(due, self._ready.set)

    async def _write(self, key: ObjectKey) -> None:
        live = self._live.get(key)
        status = self._wanted.statuses.get(key) if self._wanted is not None else None
        if live is None or (status is None and not live.status):
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        there: dict[str, Any] = msgspec.json.decode(live.status) if live.status else {}
        wanted = merged_status(there, status, self._controller_name, now, live.generation)
        if wanted is None or self._is_postponed(key):
            return
        body = {"metadata": {"resourceVersion": live.version}, "status": _with_removals(there, wanted)}
        try:
            answer = await self._client.patch(f"{path_of(key, live.api_version)}/status", body)
            written = decoded(answer, _Written, str(key))
        except ApiError as error:
            if error.status in {404, 409}:
                return  # gone, or changed since: the watch tells, and the object is looked at again
            hint = "; the CRDs may be of an older version: update them" if error.status == 422 else ""
            self._retry_later(key, f"{error}{hint}")
            return
        self.writes += 1
        self._failures.pop(key, None)
        current = self._live.get(key)
        if current is not None and current.version == live.version:
            # Before the watch tells it: the next decision is made on what was written.
            self._live[key] = _Live(
                live.api_version, written.metadata.resource_version, live.generation, _said(written.status)
            )

    def _retry_later(self, key: ObjectKey, reason: str) -> None:
        text = f"the status of {key} cannot be written: {reason}; it is tried again"
        self._complain("status_failed", text, object=str(key))
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_RETRY * 2 ** min(failures, 10), LONGEST_RETRY)
        asyncio.get_running_loop().call_later(delay, self._push, key)

    def _is_postponed(self, key: ObjectKey) -> bool:
        """Whether a write comes too soon after the last one; it is then made as soon as it may be."""
        if not BY_NAME[key.kind].counted:
            return False
        loop = asyncio.get_running_loop()
        due = self._pace.ask(key, loop.time())
        if due is not None and key not in self._postponed:
            self._postponed.add(key)
            loop.call_at(due, self._resume, key)
        return due is not None

    def _resume(self, key: ObjectKey) -> None:
        self._postponed.discard(key)
        self._push(key)


def _said(status: msgspec.Raw) -> bytes:
    data = bytes(status)
    return b"" if data == b"null" else data


def _packed(status: dict[str, Any] | None) -> bytes:
    """A status as JSON; empty where there is none, or one that nobody could have written as JSON."""
    try:
        return msgspec.json.encode(status) if status else b""
    except (UnicodeEncodeError, OverflowError):
        return b""


def _with_removals(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A merge patch leaves what it does not name: name what goes."""
    return {**dict.fromkeys(before.keys() - after.keys()), **after}
