"""What is known at one moment: an immutable view of all objects.

Rules:
- A snapshot never changes and shares everything that did not change with the one before.
- Objects are compared by identity: the store keeps the old object when an event says nothing new.
- `changes_since` is cheap for the next snapshot of the same store (it was counted while the events came) and right for
  any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType

from ..api import Object, ObjectKey, Origin

#: Objects of one kind by (namespace, name).
Table = Mapping[tuple[str, str], Object]
#: Keys (namespace, name) that differ, by kind.
Changes = Mapping[str, Set[tuple[str, str]]]

_EMPTY: Table = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All objects of one moment.

    Attributes:
        tables: objects by kind and (namespace, name).
        moved: places of objects that moved in their file without changing.
        serial: number of this snapshot in its store; unique in the process together with `store`.
        base: serial of the snapshot before, and what differs from it.
    """

    tables: Mapping[str, Table]
    moved: Mapping[ObjectKey, Origin]
    store: object
    serial: int
    base: int
    changes: Changes

    def table(self, kind: str) -> Table:
        """Objects of one kind; empty where there is none."""
        return self.tables.get(kind, _EMPTY)

    def get(self, key: ObjectKey) -> Object | None:
        """One object."""
        return self.table(key.kind).get((key.namespace, key.name))

    def origin(self, key: ObjectKey) -> Origin | None:
        """Where an object is written; None where it does not exist."""
        moved = self.moved.get(key)
        if moved is not None:
            return moved
        found = self.get(key)
        return None if found is None else found.origin

    def changes_since(self, other: Snapshot | None) -> Changes:
        """Keys that were added, removed or replaced between `other` and this snapshot, by kind."""
        if other is not None and other.store is self.store and other.serial == self.base:
            return self.changes
        before = other.tables if other is not None else {}
        return {
            kind: changed
            for kind in self.tables.keys() | before.keys()
            if (changed := _difference(before.get(kind, _EMPTY), self.table(kind)))
        }


def _difference(old: Table, new: Table) -> set[tuple[str, str]]:
    if old is new:
        return set()
    changed = {key for key, value in new.items() if old.get(key) is not value}
    changed.update(key for key in old if key not in new)
    return changed
