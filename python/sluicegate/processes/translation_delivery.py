"""From a translation to a live table: the smallest transaction, and the statuses that follow from the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sluicegate import ir
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.translate import ApplyReport, State, Translation, ir_transaction, is_empty
from sluicegate.controller.translate.apply_report import KeysAway
from sluicegate.engine.delivery import Delivery
from sluicegate.engine.native import Report
from sluicegate.ir import Refusal


class TranslationDelivery:
    """Keeps an engine at the last translation that it took; `deliver` on one thread at a time.

    A transaction that the engine refuses leaves what is live as it was; the next one has all that differs.
    """

    def __init__(self, delivery: Delivery, away: Callable[[], Iterable[tuple[str, bool]]] = tuple) -> None:
        """Deliver to an engine that has no configuration yet.

        Args:
            delivery: to the engine.
            away: identity providers whose keys the engine cannot fetch, and whether older ones verify.
        """
        self._delivery = delivery
        self._away = away
        self._applied: State | None = None

    def refusals(self, translation: Translation) -> tuple[Diagnostic, ...]:
        """Why the engine refused a translation that was delivered last; empty where it took it."""
        return () if translation.ir is self._applied else tuple(map(_diagnostic, self._delivery.refusals))

    def deliver(self, translation: Translation) -> Report | None:
        """Apply what differs; None where nothing does.

        Raises:
            RefusedError: the engine does not take it.
        """
        transaction = ir_transaction(self._applied, translation.ir, self._delivery.generation + 1)
        if is_empty(transaction):
            self._applied = translation.ir  # the same, made anew
            return None
        report = self._delivery.apply(lambda _: ir.encode(transaction))
        self._applied = translation.ir
        return report

    def reported(self, translation: Translation) -> Translation:
        """The translation with what the engine last said of its listeners, and of providers of keys that are away."""
        listeners = tuple(self._delivery.listeners.values())
        away = tuple(KeysAway(source, verify) for source, verify in self._away())
        return translation.with_report(ApplyReport(self._delivery.generation, listeners, away=away))


def _diagnostic(item: Refusal) -> Diagnostic:
    return Diagnostic(
        severity="error",
        object=f"{item.kind} {item.id}".strip(),
        code="refused",
        message=f"the engine refuses it: {item.reason}",
        remedy="what was live before goes on serving; please report this",
    )
