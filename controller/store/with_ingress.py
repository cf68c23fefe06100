"""A store whose Ingresses are kept apart: what they are made of, which the translator does not know.

It is ready, and has changed, where both have.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..api import READ_KINDS, Object, ObjectKey
from .store import Apply, Event, Init, InitDone, Store, kind_of


class StoreWithIngress(Store):
    """Collects events of both.

    Attributes:
        apart: the store of the kinds that are kept apart.
    """

    def __init__(self, apart: Iterable[str], kinds: Iterable[str] = READ_KINDS) -> None:
        """Make an empty store.

        Args:
            apart: kinds that are kept apart.
            kinds: all others that are waited for.
        """
        super().__init__(kinds)
        self._apart = frozenset(apart)
        self.apart = Store(self._apart)

    @property
    def ready(self) -> bool:
        """Whether `InitDone` came for every expected kind."""
        return super().ready and self.apart.ready

    @property
    def changed(self) -> bool:
        """Whether something changed since the last snapshot of either."""
        return super().changed or self.apart.changed

    def handle(self, event: Event) -> list[ObjectKey]:
        """Take one event; returns what is gone by it."""
        return self.apart.handle(event) if kind_of(event) in self._apart else super().handle(event)

    def load(self, objects: Iterable[Object]) -> None:
        """Replace everything."""
        kinds = (*READ_KINDS, *sorted(self._apart))
        for kind in kinds:
            self.handle(Init(kind))
        for item in objects:
            self.handle(Apply(item))
        for kind in kinds:
            self.handle(InitDone(kind))
