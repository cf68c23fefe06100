"""From a translation to a live table: the smallest transaction, the engine's report, the statuses that follow."""

from __future__ import annotations

import msgspec

from sluicegate import ir
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.translate import ApplyReport, ListenerReport, State, Translation, ir_transaction, is_empty
from sluicegate.engine.native import Engine, Refused, Report


class _Refusal(msgspec.Struct, frozen=True):
    """Why the engine refused a resource, as it says it."""

    kind: str
    id: str
    reason: str

    def diagnostic(self) -> Diagnostic:
        return Diagnostic(
            severity="error",
            object=f"{self.kind} {self.id}".strip(),
            code="refused",
            message=f"the engine refuses it: {self.reason}",
            remedy="what was live before goes on serving; please report this",
        )


class Delivery:
    """Keeps an engine at the last translation that it took; not thread-safe.

    A transaction that the engine refuses leaves what is live as it was; the next one has all that differs.
    """

    def __init__(self, engine: Engine) -> None:
        """Deliver to an engine."""
        self._engine = engine
        self._applied: State | None = None
        self._generation = 0
        self._listeners: dict[str, ListenerReport] = {}
        #: Why the engine refused the last transaction.
        self.refusals: tuple[Diagnostic, ...] = ()

    def deliver(self, translation: Translation) -> Report | None:
        """Apply what differs; None where nothing does, or the engine refuses it (`refusals` says why)."""
        transaction = ir_transaction(self._applied, translation.ir, self._generation + 1)
        if is_empty(transaction):
            return None
        try:
            report = self._engine.apply(ir.encode(transaction))
        except Refused as error:
            self.refusals = _refusals(str(error))
            return None
        self.refusals = ()
        self._generation = report.generation
        self._applied = translation.ir
        self._listeners = {}
        self._take(report.listeners)
        return report

    def reported(self, translation: Translation) -> Translation:
        """The translation with what the engine last said of its listeners."""
        return translation.with_report(ApplyReport(self._generation, tuple(self._listeners.values())))

    def retry_binds(self) -> bool:
        """Try ports again that could not be bound; returns whether anything changed."""
        if not any(item.error for item in self._listeners.values()):
            return False
        before = dict(self._listeners)
        self._take(self._engine.retry_binds())
        return self._listeners != before

    def _take(self, listeners: object) -> None:
        reports = msgspec.convert(listeners, list[ListenerReport], from_attributes=True)
        self._listeners.update({item.id: item for item in reports})


def _refusals(text: str) -> tuple[Diagnostic, ...]:
    try:
        found = msgspec.json.decode(text, type=list[_Refusal])
    except msgspec.DecodeError:
        found = [_Refusal("transaction", "", text)]
    return tuple(item.diagnostic() for item in found)
