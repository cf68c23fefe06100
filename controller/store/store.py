"""Events in, snapshots out: the one place that collects objects from any source.

Every source (files, API watch, tests) sends the same events for each kind: `Init`, then `Apply` for every object that
exists, then `InitDone`; afterwards `Apply` and `Delete`. Rules:
- Between `Init` and `InitDone` the old objects of that kind stay visible; `InitDone` replaces them at once, so that a
  broken watch never empties the gateway.
- `ready` says whether every expected kind was initialised once: a gateway must not serve half of its routes.
- `Keep` stands for an `Apply` of an object that cannot be read: a list that has it does not end its last good version.
  A policy that has none is closed.
- An `Apply` that says nothing new keeps the old object, so that identity means "unchanged" everywhere behind.
- An object that cannot be taken costs itself only: its last good version stays, and `faults` says why.
- Virtual objects (`names.VIRTUAL`) are of no source: no list has them, and no list ends them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .. import caught
from ..api import READ_KINDS, Object, ObjectKey, Origin, RefusedPolicy
from ..api.names import VIRTUAL
from .snapshot import Snapshot, Table


@dataclass(frozen=True, slots=True)
class Init:
    """The source begins to list all objects of a kind."""

    kind: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An object exists with this content."""

    object: Object


@dataclass(frozen=True, slots=True)
class Keep:
    """An object exists, but what it says now cannot be read.

    Attributes:
        key: of the object.
        closed: what counts of a policy that has no last good version.
    """

    key: ObjectKey
    closed: RefusedPolicy | None = None


@dataclass(frozen=True, slots=True)
class InitDone:
    """The list of a kind is complete; what was not in it is gone."""

    kind: str


@dataclass(frozen=True, slots=True)
class Delete:
    """An object is gone."""

    key: ObjectKey


Event = Init | Apply | Keep | InitDone | Delete


def kind_of(event: Event) -> str:
    """The kind that an event is about."""
    if isinstance(event, Apply):
        return event.object.key.kind
    return event.key.kind if isinstance(event, (Delete, Keep)) else event.kind


_serials = itertools.count(1)


class Store:
    """Collects events; not thread-safe: it lives on the loop of the control plane."""

    def __init__(self, kinds: Iterable[str] = READ_KINDS) -> None:
        """Make an empty store that is ready once each of `kinds` was initialised."""
        self._tables: dict[str, dict[tuple[str, str], Object]] = {}
        self._waiting = set(kinds)
        self._pending: dict[str, dict[tuple[str, str], Object]] = {}
        self._moved: dict[ObjectKey, Origin] = {}
        self._changes: dict[str, set[tuple[str, str]]] = {}
        #: How often something of a kind has changed.
        self._versions: Counter[str] = Counter()
        self._moves_changed = False
        self._last: Snapshot | None = None
        #: Objects whose last `Apply` could not be taken, and what came of it.
        self.faults: dict[ObjectKey, str] = {}

    @property
    def ready(self) -> bool:
        """Whether `InitDone` came for every expected kind."""
        return not self._waiting

    @property
    def changed(self) -> bool:
        """Whether the next snapshot is another one; what says nothing new, such as our own status, changes nothing."""
        return bool(self._changes) or self._moves_changed

    def handle(self, event: Event) -> list[ObjectKey]:
        """Take one event; returns what is gone by it: the object of a `Delete`, and what was not in a list."""
        if isinstance(event, Apply):
            self._apply(event.object)
        elif isinstance(event, Keep):
            self._keep(event)
        elif isinstance(event, Delete):
            return [event.key] if self._delete(event.key) else []
        elif isinstance(event, Init):
            self._pending[event.kind] = {}
        else:
            return self._init_done(event.kind)
        return []

    def load(self, objects: Iterable[Object]) -> None:
        """Replace everything: what a source does that knows all objects at once."""
        for kind in READ_KINDS:
            self.handle(Init(kind))
        for item in objects:
            self.handle(Apply(item))
        for kind in READ_KINDS:
            self.handle(InitDone(kind))

    def get(self, key: ObjectKey) -> Object | None:
        """An object at this moment."""
        return self._tables.get(key.kind, {}).get((key.namespace, key.name))

    def versions(self, kinds: Iterable[str]) -> tuple[int, ...]:
        """Of each kind a number that is another one whenever something of it has changed."""
        return tuple(self._versions[kind] for kind in kinds)

    def table(self, kind: str) -> Table:
        """The objects of a kind at this moment, for somebody else than who takes snapshots."""
        return dict(self._tables.get(kind, {}))

    def snapshot(self) -> Snapshot:
        """The objects of this moment; the same snapshot again where nothing changed."""
        last = self._last
        if last is not None and not self.changed:
            return last
        tables: dict[str, Table] = dict(last.tables) if last is not None else {}
        for kind in self._changes:
            tables[kind] = dict(self._tables[kind])
        self._last = Snapshot(
            tables=tables,
            moved=dict(self._moved) if self._moves_changed or last is None else last.moved,
            store=self,
            serial=next(_serials),
            base=last.serial if last is not None else 0,
            changes={kind: frozenset(keys) for kind, keys in self._changes.items()},
        )
        self._changes = {}
        self._moves_changed = False
        return self._last

    def _apply(self, item: Object) -> None:
        kind = item.key.kind
        key = (item.key.namespace, item.key.name)
        pending = self._pending.get(kind)
        if pending is not None and not _is_virtual(key):
            pending[key] = item
            return
        self._put(kind, key, item)

    def _put(self, kind: str, key: tuple[str, str], item: Object) -> None:
        try:
            self._take(kind, key, item)
        except Exception as error:  # of one object: what else a list has is taken
            self.faults[item.key] = caught.note("store", error)
        else:
            self.faults.pop(item.key, None)

    def _take(self, kind: str, key: tuple[str, str], item: Object) -> None:
        table = self._tables.setdefault(kind, {})
        old = table.get(key)
        if old is not None and old.same_content(item):
            if self._moved.get(item.key, old.origin) != item.origin:
                self._moved[item.key] = item.origin
                self._moves_changed = True
            return
        table[key] = item
        self._forget_place(item.key)
        self._changes.setdefault(kind, set()).add(key)
        self._versions[kind] += 1

    def _keep(self, event: Keep) -> None:
        key, closed = event.key, event.closed
        pair = (key.namespace, key.name)
        pending, known = self._pending.get(key.kind), self._tables.get(key.kind, {}).get(pair)
        is_good = known is not None and not isinstance(known, RefusedPolicy)
        kept = known if is_good or closed is None else closed
        if kept is not None and pending is not None:
            pending[pair] = kept
        elif kept is not None:
            self._put(key.kind, pair, kept)

    def _delete(self, key: ObjectKey) -> bool:
        pair = (key.namespace, key.name)
        pending = self._pending.get(key.kind)
        if pending is not None and not _is_virtual(pair):
            pending.pop(pair, None)
            return False
        self.faults.pop(key, None)
        if self._tables.get(key.kind, {}).pop(pair, None) is None:
            return False
        self._forget_place(key)
        self._changes.setdefault(key.kind, set()).add(pair)
        self._versions[key.kind] += 1
        return True

    def _forget_place(self, key: ObjectKey) -> None:
        if self._moved.pop(key, None) is not None:
            self._moves_changed = True

    def _init_done(self, kind: str) -> list[ObjectKey]:
        listed = self._pending.pop(kind, {})
        known = self._tables.get(kind, {})
        gone = [ObjectKey(kind, *key) for key in known if key not in listed and not _is_virtual(key)]
        for key in gone:
            self._delete(key)
        for pair, item in listed.items():
            self._put(kind, pair, item)
        self._waiting.discard(kind)
        return gone


def _is_virtual(key: tuple[str, str]) -> bool:
    """Whether an object is of no source; of its namespace and name."""
    return key[1].startswith(VIRTUAL)
