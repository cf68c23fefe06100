"""A dictionary that knows what changed since it was last published.

Publishing gives an immutable copy, or the last copy where nothing changed. Values that stay equal keep their identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Ledger(Generic[K, V]):
    """A dictionary with a list of what changed since the last `publish`."""

    def __init__(self) -> None:
        self._items: dict[K, V] = {}
        self._changed: set[K] = set()
        self._published: Mapping[K, V] = MappingProxyType({})

    def get(self, key: K) -> V | None:
        """Look up a value."""
        return self._items.get(key)

    def keys(self) -> Set[K]:
        """All keys."""
        return self._items.keys()

    def items(self) -> Mapping[K, V]:
        """The content of this moment, without a copy."""
        return MappingProxyType(self._items)

    def is_changed(self, key: K) -> bool:
        """Whether a value is another one than when it was last published."""
        return key in self._changed

    def put(self, key: K, value: V) -> None:
        """Set a value; an equal one stays as it is."""
        old = self._items.get(key)
        if old is value or (old is not None and old == value):
            return
        self._items[key] = value
        self._changed.add(key)

    def drop(self, key: K) -> None:
        """Remove a value; what is not there is no error."""
        if self._items.pop(key, None) is not None:
            self._changed.add(key)

    def replace(self, items: Mapping[K, V]) -> None:
        """Make the content equal to `items`."""
        for key in [key for key in self._items if key not in items]:
            self.drop(key)
        for key, value in items.items():
            self.put(key, value)

    def replace_part(self, old: Iterable[K], new: Mapping[K, V]) -> None:
        """Put in what one stage has now in place of what it had, by its keys."""
        for key in old:
            if key not in new:
                self.drop(key)
        for key, value in new.items():
            self.put(key, value)

    def publish(self) -> tuple[Mapping[K, V], frozenset[K]]:
        """Return the content as an immutable mapping, and the keys that changed since the last time."""
        if not self._changed:
            return self._published, frozenset()
        changed = frozenset(self._changed)
        self._changed = set()
        self._published = MappingProxyType(dict(self._items))
        return self._published, changed
