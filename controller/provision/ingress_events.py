"""Events on Ingresses that are served: what of them does not hold, one Event for each Ingress.

What holds with a difference is in the report of `sluicegate migrate`, and in none here: it would be most of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..api import ObjectKey
from ..store.store import Event
from ..translate import Translation
from .events import MAX_NOTE, EventWriter

if TYPE_CHECKING:
    from ..ingress import Loss

#: What an Event says in a word.
REASON = "NotConverted"
_TOLD = frozenset({"no-equivalent", "unknown-annotation", "invalid"})


class IngressEvents:
    """Tells what Ingresses lose, once for as long as it stays so."""

    def __init__(
        self,
        events: EventWriter,
        losses: Callable[[], Mapping[ObjectKey, tuple[Loss, ...]]],
        selected: Callable[[], frozenset[ObjectKey]],
    ) -> None:
        """Make one that waits until it leads.

        Args:
            events: writes them.
            losses: of Ingresses.
            selected: says which Ingresses are served.
        """
        self._events = events
        self._losses = losses
        self._selected = selected
        self._told: dict[ObjectKey, str] = {}
        self._leading = False

    def lead(self, leading: bool) -> None:
        """Begin or stop to tell."""
        self._leading = leading
        self._told.clear()
        self._tell()

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """It is about what Ingresses come to, not about what is seen."""

    def handle(self, event: Event) -> None:
        """It is about what Ingresses come to, not about what happens."""

    def want(self, translation: Translation) -> None:
        """Tell what is new."""
        self._tell()

    def _tell(self) -> None:
        if not self._leading:
            return
        found = {key: note for key, losses in self._losses().items() if (note := _note(losses))}
        selected = self._selected()
        for key, note in found.items():
            if key in selected and self._told.get(key) != note:
                self._events.tell(key, "Warning", REASON, note)
        self._told = found

    async def run(self) -> None:
        """Nothing goes on by itself: the events are written by their writer."""


def _note(losses: tuple[Loss, ...]) -> str:
    """All that does not hold, as far as an Event has room for it; empty: everything does."""
    lost = [item for item in losses if item.fate in _TOLD]
    if not lost:
        return ""
    told = "; ".join(f"{item.subject}: {item.message}" for item in lost)
    if len(told) > MAX_NOTE:
        end = f" ... ({len(lost)} in all)"
        told = f"{told[: MAX_NOTE - len(end)]}{end}"
    return told
