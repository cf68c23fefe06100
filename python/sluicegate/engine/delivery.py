"""From a transaction to a live table: one call into the engine at a time, and what it last said.

The same for files, a cluster and the config stream. A transaction that the engine refuses leaves what is live as it
was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import msgspec

from sluicegate.ir import ListenerReport, Refusal, RefusedError

from .native import Engine, Refused, Report

_REFUSALS = msgspec.json.Decoder(tuple[Refusal, ...])


class Delivery:
    """Gives an engine its transactions; may be called on any thread.

    Attributes:
        generation: of the last transaction that was taken; 0: none was.
        listeners: what the engine last said of each of its listeners, by id.
        refusals: why the last transaction was refused; empty where it was taken.
    """

    def __init__(self, engine: Engine, applied: Callable[[Report], None] = lambda _: None) -> None:
        """Deliver to an engine that has no configuration yet.

        Args:
            engine: serves.
            applied: told of each transaction that was taken, on the thread of `apply`.
        """
        self._engine = engine
        self._applied = applied
        self._calls = threading.Lock()
        self.generation = 0
        self.listeners: Mapping[str, ListenerReport] = {}
        self.refusals: tuple[Refusal, ...] = ()

    @property
    def has_unbound(self) -> bool:
        """Whether there is a port to try again."""
        return any(item.error for item in self.listeners.values())

    def apply(self, transaction: Callable[[int], bytes]) -> Report:
        """Apply a transaction, all of it or nothing; blocks.

        Args:
            transaction: makes it, with the generation that it is to have.

        Raises:
            RefusedError: the engine does not take it.
        """
        with self._calls:
            try:
                report = self._engine.apply(transaction(self.generation + 1))
            except Refused as error:
                self.refusals = _refusals(str(error))
                raise RefusedError(self.refusals) from None
            self.refusals = ()
            self.generation = report.generation
            self.listeners = _by_id(report.listeners)
            self._applied(report)
            return report

    def retry_binds(self) -> bool:
        """Try ports again that could not be bound; blocks. Returns whether anything changed."""
        with self._calls:
            if not self.has_unbound:
                return False
            before, self.listeners = self.listeners, {**self.listeners, **_by_id(self._engine.retry_binds())}
            return self.listeners != before


def _by_id(reports: Iterable[ListenerReport]) -> dict[str, ListenerReport]:
    return {item.id: item for item in reports}


def _refusals(text: str) -> tuple[Refusal, ...]:
    try:
        return _REFUSALS.decode(text)
    except msgspec.DecodeError:
        return (Refusal("transaction", "", text),)
