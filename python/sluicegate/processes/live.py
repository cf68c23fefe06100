"""The pipeline with an engine at its end: a `step` goes from files to live.

Rules:
- A step that finds nothing new applies nothing.
- A step that raises leaves what is live as it was; the next one looks at all files again.
- Nothing here waits: a caller with an event loop runs `step` on a thread, one at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluicegate.controller.sources.files import Document
from sluicegate.controller.sources.files.reader import Progress
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Translation, Translator
from sluicegate.engine.delivery import Delivery
from sluicegate.engine.native import Report

from ..controller.api import Diagnostic
from ..controller.sources.files.source import Refresh, Source
from .backend_faults import faults_of
from .file_sources import told_of
from .translation_delivery import TranslationDelivery

if TYPE_CHECKING:
    from .ingress_files import FileIngresses


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to.

    Attributes:
        refresh: what the files gave.
        translation: of this moment, with what the engine reported.
        diagnostics: everything that is wrong, now.
        applied: what the engine said; None where there was nothing to apply, or it refused.
        seconds: from the look at the files to live.
        unusable: number of objects, and files, that cannot be used as they are.
    """

    refresh: Refresh
    translation: Translation
    diagnostics: tuple[Diagnostic, ...]
    applied: Report | None
    seconds: float
    unusable: int = 0


class Live:
    """Keeps an engine at what the files say; not thread-safe."""

    def __init__(
        self,
        source: Source,
        store: Store,
        translator: Translator,
        delivery: Delivery,
        ingresses: FileIngresses | None = None,
    ) -> None:
        """Put the stages together.

        Args:
            source: reads the files into `store`.
            store: collects the objects.
            translator: makes the configuration of them.
            delivery: to the engine that serves it.
            ingresses: puts what Ingresses come to into the store; None: they are not served.
        """
        self._source = source
        self._store = store
        self._translator = translator
        self._delivery = TranslationDelivery(delivery)
        self._ingresses = ingresses
        self._last: tuple[Refresh, Translation] | None = None
        self._whole = False

    def step(
        self, progress: Progress | None = None, changed: frozenset[str] | None = None, *, anew: bool = False
    ) -> Step:
        """Look at the files again and make live what changed; `changed` and `anew` as `Source.refresh` has them."""
        started = time.perf_counter()
        # After a step that failed nobody knows what of its changes was taken.
        whole, self._whole = self._whole, False
        refresh = self._source.refresh(progress, changed if whole else None, anew=anew)
        if self._ingresses is not None:
            self._ingresses.update()
        reports: list[Report] = []

        def take(translation: Translation) -> None:
            if report := self._delivery.deliver(translation):
                reports.append(report)

        translation = self._translator.translate(self._store.snapshot(), time.time(), take)
        report = reports[-1] if reports else None
        seconds = time.perf_counter() - started
        self._last = (refresh, translation)
        step = self._step(refresh, translation, report, seconds)
        self._whole = True
        return step

    def documents(self) -> list[Document]:
        """The manifests as they were written at the last step; any thread may ask."""
        return self._source.documents()

    def with_lines(self, items: Iterable[Diagnostic]) -> Iterable[Diagnostic]:
        """What is told of objects, with the lines of the fields; any thread may ask."""
        return self._source.with_lines(items)

    def again(self) -> Step | None:
        """The last step with what the engine says now of its listeners; None before the first."""
        return self._step(*self._last, None, 0.0) if self._last is not None else None

    def _step(self, refresh: Refresh, translation: Translation, report: Report | None, seconds: float) -> Step:
        known = self._delivery.reported(translation)
        told = told_of(known.diagnostics, self._source, self._ingresses)
        given = faults_of(self._translator.options.backends or {}, translation.snapshot)
        found = sorted((*self._delivery.refusals(known), *refresh.diagnostics, *told, *given), key=Diagnostic.order)
        bad = {item.object or item.path for item in refresh.diagnostics if item.severity == "error"}
        unusable = len(bad.union(map(str, self._translator.held)))
        return Step(refresh, known, tuple(found), report, seconds, unusable)
