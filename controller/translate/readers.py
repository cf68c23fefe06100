"""Who looked at what: an index from noted reads to those whose result depends on them."""

from __future__ import annotations

from collections.abc import Iterable, Set

from ..api import ObjectKey
from .topology import Read


class Readers:
    """Objects by what their results looked at."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._readers: dict[Read, set[ObjectKey]] = {}
        self._reads: dict[ObjectKey, frozenset[Read]] = {}

    def replace(self, key: ObjectKey, reads: frozenset[Read]) -> None:
        """Note what the result for an object looked at; nothing: it has no result any more."""
        old = self._reads.pop(key, frozenset())
        for read in old - reads:
            found = self._readers[read]
            found.discard(key)
            if not found:
                del self._readers[read]
        for read in reads - old:
            self._readers.setdefault(read, set()).add(key)
        if reads:
            self._reads[key] = reads

    def of(self, reads: Set[Read] | Iterable[Read]) -> set[ObjectKey]:
        """Those that looked at any of these."""
        found: set[ObjectKey] = set()
        for read in reads:
            found |= self._readers.get(read, set())
        return found
