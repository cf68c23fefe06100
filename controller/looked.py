"""Tables that note what is looked up in them: what a conversion used, and what it missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Looked(Mapping[K, V]):
    """A table.

    Attributes:
        seen: what was looked up, and what was found; None: nothing.
        whole: all of it was gone through.
    """

    def __init__(self, table: Mapping[K, V]) -> None:
        """Stand before a table."""
        self._table = table
        self.seen: dict[K, V | None] = {}
        self.whole = False

    def __getitem__(self, key: K) -> V:
        found = self.seen[key] = self._table.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[K]:
        self.whole = True
        return iter(self._table)

    def __len__(self) -> int:
        self.whole = True
        return len(self._table)

    @property
    def missed(self) -> frozenset[K]:
        """What was looked up and is not there."""
        return frozenset(key for key, found in self.seen.items() if found is None)

    def is_touched(self, changed: Set[K]) -> bool:
        """Whether something was looked up that has changed; `changed`: keys of the table."""
        return bool(changed) and (self.whole or not self.seen.keys().isdisjoint(changed))


def changes(before: Mapping[K, V], now: Mapping[K, V]) -> Set[K]:
    """Keys of what is in one of two tables alone, or is another one; what says the same is the same."""
    if before is now:
        return frozenset()
    found = {key for key, item in now.items() if (old := before.get(key)) is not item and old != item}
    return found | (before.keys() - now.keys())
