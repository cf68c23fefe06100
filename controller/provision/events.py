"""Events on objects: what an operator must know, where `kubectl describe` shows it.

What is told:
- a condition that is bad (`Accepted`, `SupportedVersion`, `Programmed`, `ResolvedRefs`: False) once it has been so for
  a while: an address that takes a second is no news;
- a Gateway that becomes programmed, and what the writer of data planes did or could not do.

The same event again within an hour counts up the one that is there (`series`). Everything is bounded: what waits, what
is remembered, and how many are written in a second.
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from .. import caught
from ..api import ObjectKey
from ..complain import Complain
from ..leader.writes import Writes
from ..sources.kubernetes.client import ApiError, Client
from ..sources.kubernetes.resources import BY_KIND
from ..store.store import Event
from ..translate import Condition, Status, Translation
from ..translate.conditions import ConditionType, Reason

#: Seconds that a condition must stay bad.
SETTLE = 5.0
#: Seconds between looks at what has settled.
LOOK = 1.0
#: Seconds in which the same event is counted rather than written anew.
REPEAT = 3_600.0
#: Events that wait to be written; the oldest give way.
MAX_WAITING = 512
#: Events that are remembered.
MAX_REMEMBERED = 4_096
#: Objects whose bad conditions wait to settle.
MAX_SETTLING = 10_000
#: Events at once, and in a second after that.
BURST, RATE = 50, 5.0
#: What the API takes of `note` and of `reportingInstance`.
MAX_NOTE, MAX_INSTANCE = 1_024, 128
#: Where events about objects without namespace live.
DEFAULT_NAMESPACE = "default"
TYPES = frozenset(
    {ConditionType.ACCEPTED, ConditionType.SUPPORTED_VERSION, ConditionType.PROGRAMMED, ConditionType.RESOLVED_REFS}
)
#: The writer of data planes tells what it could not do by itself, at once.
TOLD_ELSEWHERE = frozenset({Reason.NO_RESOURCES})


@dataclass(frozen=True, slots=True)
class _Told:
    """One thing to tell; equal ones are repeats."""

    key: ObjectKey
    kind: str
    reason: str
    note: str


@dataclass(slots=True)
class _Written:
    path: str
    count: int
    at: float


class Virtual(Protocol):
    """Knows objects that are served and stored nowhere."""

    def subject(self, key: ObjectKey) -> ObjectKey:
        """The object that people know: what a virtual one comes from, all others themselves."""
        ...

    def reference(self, key: ObjectKey) -> tuple[str, str] | None:
        """`apiVersion` and uid of what a virtual object comes from; None: it is gone."""
        ...


class EventWriter:
    """Writes Events of `events.k8s.io/v1`."""

    def __init__(
        self,
        client: Client,
        controller_name: str,
        pod_name: str,
        complain: Complain,
        virtual: Virtual | None = None,
    ) -> None:
        """Make a writer that waits until it leads.

        Args:
            client: of the API server.
            controller_name: `reportingController`.
            pod_name: `reportingInstance`.
            complain: takes a code and a message.
            virtual: knows objects that no translation has; None: there are none.
        """
        self._client = client
        self._controller_name = controller_name
        self._instance = (pod_name or "sluicegate")[:MAX_INSTANCE]
        self._complain = complain
        self._virtual = virtual
        self._leading = False
        self._translation: Translation | None = None
        self._settled = False
        self._bad: dict[ObjectKey, tuple[_Told, ...]] = {}
        self._due: dict[ObjectKey, float] = {}
        self._known_bad: dict[ObjectKey, frozenset[_Told]] = {}
        self._waiting: deque[_Told] = deque(maxlen=MAX_WAITING)
        self._written: OrderedDict[_Told, _Written] = OrderedDict()
        self._tokens = float(BURST)
        self._refilled = 0.0
        self._ready = asyncio.Event()
        self._under_way = Writes()
        self.writes = 0
        self.dropped = 0

    @property
    def depth(self) -> int:
        """Events that wait to be written."""
        return len(self._waiting)

    def lead(self, leading: bool) -> None:
        """Begin or stop to write."""
        self._leading = leading
        if not leading:
            self._waiting.clear()
            self._under_way.stop()
        else:
            self._ready.set()

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Events are about what translations say, not about what is seen."""

    def handle(self, event: Event) -> None:
        """Events are about what translations say, not about what happens."""

    def want(self, translation: Translation) -> None:
        """Take what objects have come to."""
        # What comes after statuses that were not settled is no change: a new leader only learns how things are.
        first, self._settled = not self._settled, translation.settled
        before, self._translation = self._translation, translation
        for key in translation.changed_since(before):
            status = translation.statuses.get(key)
            try:
                if status is None:
                    self._forget(key)
                else:
                    self._compare(key, before.statuses.get(key) if before is not None else None, status, first=first)
            except Exception as error:  # about one object: the others have their say
                text = f"an event about {key} is lost: {caught.note('write', error)}"
                self._complain("event_failed", text, object=str(key))
        if self._due:
            self._ready.set()

    def tell(self, key: ObjectKey, kind: str, reason: str, note: str) -> None:
        """Tell something about an object.

        Args:
            key: the object.
            kind: `Normal` or `Warning`.
            reason: a word in CamelCase.
            note: a sentence for people.
        """
        if not self._leading:
            return
        if len(self._waiting) == MAX_WAITING:
            self.dropped += 1
        self._waiting.append(_Told(key, kind, reason, note[:MAX_NOTE]))
        self._ready.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self._settle()
            while self._waiting and self._leading:
                await self._wait_for_token()
                if self._waiting:
                    await self._under_way.run(self._write_one(self._waiting.popleft()))
                self._settle()
            if self._due:
                await asyncio.sleep(LOOK)
            else:
                self._ready.clear()
                await self._ready.wait()

    def _compare(self, key: ObjectKey, old: Status | None, new: Status, *, first: bool) -> None:
        subject = self._virtual.subject(key) if self._virtual is not None else key
        found = [item for item in _conditions(new) if _is_bad(item)]
        bad = tuple(_Told(subject, "Warning", item.reason, _note(item)) for item in found)
        if key.kind == "Gateway" and not first and _programmed(new) and old is not None and not _programmed(old):
            self.tell(key, "Normal", Reason.PROGRAMMED, "The Gateway is programmed")
        if not bad:
            self._forget(key)
        elif bad != self._bad.get(key) and (key in self._due or len(self._due) < MAX_SETTLING):
            self._bad[key] = bad
            self._due[key] = asyncio.get_running_loop().time() + SETTLE

    def _forget(self, key: ObjectKey) -> None:
        self._bad.pop(key, None)
        self._due.pop(key, None)
        self._known_bad.pop(key, None)

    def _settle(self) -> None:
        """Tell the conditions that stayed bad."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, due in self._due.items() if due <= now]:
            del self._due[key]
            found = self._bad[key]
            known = self._known_bad.get(key, frozenset())
            self._known_bad[key] = frozenset(found)
            for item in found:
                if item not in known:
                    self.tell(item.key, item.kind, item.reason, item.note)

    async def _wait_for_token(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            self._tokens = min(BURST, self._tokens + (now - self._refilled) * RATE)
            self._refilled = now
            if self._tokens >= 1:
                self._tokens -= 1
                return
            await asyncio.sleep((1 - self._tokens) / RATE)

    async def _write_one(self, told: _Told) -> None:
        """Write an event; one that cannot be is lost, and the others are written."""
        try:
            await self._write(told)
        except Exception as error:
            text = f"an event about {told.key} is lost: {caught.note('write', error)}"
            self._complain("event_failed", text, object=str(told.key))

    async def _write(self, told: _Told) -> None:
        about = self._about(told.key)
        if about is None:
            return  # gone meanwhile
        now = asyncio.get_running_loop().time()
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        written = self._written.get(told)
        try:
            if written is not None and now - written.at < REPEAT:
                written.count, written.at = written.count + 1, now
                self._written.move_to_end(told)
                series = {"count": written.count, "lastObservedTime": stamp}
                await self._client.patch(written.path, {"series": series})
            else:
                await self._create(told, *about, stamp, now)
        except ApiError as error:
            self._written.pop(told, None)
            if error.status not in {0, 404}:  # nobody was told because nobody was there
                text = f"an event about {told.key} cannot be written: {error}"
                self._complain("event_failed", text, object=str(told.key))
            return
        self.writes += 1

    def _about(self, key: ObjectKey) -> tuple[str, str] | None:
        """`apiVersion` and uid of an object; None: it is gone."""
        item = self._translation.snapshot.get(key) if self._translation is not None else None
        if item is not None:
            return BY_KIND[key.kind].version, item.metadata.uid
        return self._virtual.reference(key) if self._virtual is not None else None

    async def _create(self, told: _Told, version: str, uid: str, stamp: str, now: float) -> None:
        key = told.key
        name = f"{key.name[:200].rstrip('.-')}.{os.urandom(8).hex()}"
        collection = BY_KIND["Event"].collection_in(key.namespace or DEFAULT_NAMESPACE)
        body = {
            "apiVersion": BY_KIND["Event"].version,
            "kind": "Event",
            "metadata": {"name": name, "namespace": key.namespace or DEFAULT_NAMESPACE},
            "eventTime": stamp,
            "reportingController": self._controller_name,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "type": told.kind,
            "reason": told.reason,
            "note": told.note,
            "regarding": {
                "apiVersion": version,
                "kind": key.kind,
                "name": key.name,
                **({"namespace": key.namespace} if key.namespace else {}),
                **({"uid": uid} if uid else {}),
            },
        }
        await self._client.request("POST", collection, body=body)
        self._written[told] = _Written(f"{collection}/{name}", 1, now)
        if len(self._written) > MAX_REMEMBERED:
            self._written.popitem(last=False)


def _conditions(status: Status) -> Iterable[Condition]:
    """Conditions of an object as a whole: those of single listeners are summed up in them."""
    own = getattr(status, "conditions", ())
    entries = (*getattr(status, "parents", ()), *getattr(status, "ancestors", ()))
    return (*own, *(condition for entry in entries for condition in entry.conditions))


def _is_bad(condition: Condition) -> bool:
    return condition.type in TYPES and condition.status == "False" and condition.reason not in TOLD_ELSEWHERE


def _programmed(status: Status) -> bool:
    return any(item.type == ConditionType.PROGRAMMED and item.status == "True" for item in _conditions(status))


def _note(condition: Condition) -> str:
    return f"{condition.type} is False: {condition.message}"[:MAX_NOTE]
