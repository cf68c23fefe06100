"""The pipeline with an engine at its end: a `step` goes from files to live.

Rules:
- A step that finds nothing new applies nothing.
- A transaction that the engine refuses leaves what is live as it was; the next step tries again with all that differs.
- Nothing here waits: a caller with an event loop runs `step` on a thread, one at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec

from sluicegate import ir
from sluicegate.controller.store import Store
from sluicegate.controller.translate import (
    ApplyReport,
    ListenerReport,
    State,
    Translation,
    Translator,
    ir_transaction,
    is_empty,
)
from sluicegate.engine import Engine, Refused, Report
from sluicegate.manifests.reader import Progress

from .findings import Finding, findings
from .source import Refresh, Source


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to.

    Attributes:
        refresh: what the files gave.
        translation: of this moment, with what the engine reported.
        findings: everything that is wrong, now.
        applied: what the engine said; None where there was nothing to apply, or it refused.
        seconds: from the look at the files to live.
    """

    refresh: Refresh
    translation: Translation
    findings: tuple[Finding, ...]
    applied: Report | None
    seconds: float


class Live:
    """Keeps an engine at what the files say; not thread-safe."""

    def __init__(self, source: Source, store: Store, translator: Translator, engine: Engine) -> None:
        """Put the stages together.

        Args:
            source: reads the files into `store`.
            store: collects the objects.
            translator: makes the configuration of them.
            engine: serves it.
        """
        self._source = source
        self._store = store
        self._translator = translator
        self._engine = engine
        self._applied: State | None = None
        self._generation = 0
        self._listeners: dict[str, ListenerReport] = {}
        self._last: tuple[Refresh, Translation] | None = None
        self._refused: tuple[Finding, ...] = ()

    def step(self, progress: Progress | None = None, changed: frozenset[str] | None = None) -> Step:
        """Look at the files again and make live what changed; `changed` as `Source.refresh` has it."""
        started = time.perf_counter()
        refresh = self._source.refresh(progress, changed)
        translation = self._translator.translate(self._store.snapshot())
        transaction = ir_transaction(self._applied, translation.ir, self._generation + 1)
        report = None if is_empty(transaction) else self._apply(transaction, translation)
        seconds = time.perf_counter() - started
        self._last = (refresh, translation)
        return self._step(refresh, translation, report, seconds)

    def retry_binds(self) -> Step | None:
        """Try ports again that could not be bound; None where that changed nothing."""
        if self._last is None or not any(item.error for item in self._listeners.values()):
            return None
        before = dict(self._listeners)
        self._take(self._engine.retry_binds())
        return None if self._listeners == before else self._step(*self._last, None, 0.0)

    def _apply(self, transaction: ir.Transaction, translation: Translation) -> Report | None:
        try:
            report = self._engine.apply(ir.encode(transaction))
        except Refused as error:
            self._refused = tuple(_refusals(str(error)))
            return None
        self._refused = ()
        self._generation = report.generation
        self._applied = translation.ir
        self._listeners = {}
        self._take(report.listeners)
        return report

    def _take(self, listeners: object) -> None:
        reports = msgspec.convert(listeners, list[ListenerReport], from_attributes=True)
        self._listeners.update({item.id: item for item in reports})

    def _step(self, refresh: Refresh, translation: Translation, report: Report | None, seconds: float) -> Step:
        known = translation.with_report(ApplyReport(self._generation, tuple(self._listeners.values())))
        found = findings(self._source, refresh.faults, known.problems)
        return Step(refresh, known, (*self._refused, *found), report, seconds)


class _Refusal(msgspec.Struct, frozen=True):
    kind: str
    id: str
    reason: str


def _refusals(text: str) -> list[Finding]:
    try:
        refused = msgspec.json.decode(text, type=list[_Refusal])
    except msgspec.DecodeError:
        refused = [_Refusal("transaction", "", text)]
    return [
        Finding(
            path="",
            line=0,
            severity="error",
            object=f"{item.kind} {item.id}".strip(),
            field="",
            code="refused",
            message=f"the engine refuses it: {item.reason}",
            remedy="what was live before goes on serving; please report this",
        )
        for item in refused
    ]
