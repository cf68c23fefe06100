"""What is served, told at the start, and what each change comes to."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

import msgspec
from msgspec.structs import asdict

from sluicegate.controller.api import Diagnostic
from sluicegate.controller.translate import Translation
from sluicegate.observe.log import Log
from sluicegate.processes.live import Step
from sluicegate.words import count

from .lines import Changed, Ready, Served
from .summary import ListenerLine, listeners_of, text_lines, try_lines

#: Diagnostics told after one change; the rest is counted. Stops a broken directory from flooding a log.
MAX_TOLD = 200


class Reporter:
    """Writes the summary once and changes afterwards."""

    def __init__(self, log: Log, terminal: TextIO | None = None) -> None:
        """Make a reporter.

        Args:
            log: takes what is told.
            terminal: where progress is shown, if it is one; standard error.
        """
        self._log = log
        self._terminal = terminal if terminal is not None else sys.stderr
        #: What was told and is not solved; where it stands may change meanwhile.
        self._diagnostics: dict[Diagnostic, Diagnostic] = {}
        self._listeners: list[ListenerLine] = []
        self.progress_shown = False

    def progress(self, path: str, number: int, known: int) -> None:
        """Show how far reading is, where somebody looks on."""
        if not self._log.is_json and self._terminal.isatty() and number % 100 == 0:
            self._show(f"\r\x1b[Kreading {number:,} of {known:,} files: {path}")
            self.progress_shown = True

    def ready(self, step: Step, *, version: str, admin: str | None, seconds: float, hints: Iterable[str]) -> None:
        """Write the summary."""
        self._listeners = listeners_of(step.translation, _bound(step.translation))
        self._diagnostics = {_what(item): item for item in step.diagnostics}
        self._clear_progress()
        hints = list(hints)
        self._log.summary(
            "ready",
            "\n".join(self._summary(step, f"Sluicegate {version} is ready after {seconds:.2f} s", admin, hints)),
            **asdict(
                Ready(
                    version=version,
                    admin=admin,
                    seconds=round(seconds, 3),
                    generation=step.applied.generation if step.applied is not None else 0,
                    **asdict(self._served(step, hints)),
                )
            ),
        )

    def not_started(self, step: Step, *, version: str, hints: Iterable[str]) -> dict[str, object]:
        """Show people what there is, where the process ends all the same; returns what programs are to know."""
        self._listeners = listeners_of(step.translation, _bound(step.translation))
        self._clear_progress()
        hints = list(hints)
        if not self._log.is_json:
            lines = self._summary(step, f"Sluicegate {version} does not start", None, hints, tries=False)
            self._log.news("error", "not_started", "\n".join(lines))
        return asdict(self._served(step, hints))

    def _served(self, step: Step, hints: list[str]) -> Served:
        return Served(
            objects=step.refresh.objects,
            ignored=step.refresh.ignored,
            listeners=self._listeners,
            problems=list(step.diagnostics),
            hints=hints,
        )

    def _summary(
        self, step: Step, headline: str, admin: str | None, hints: Iterable[str], *, tries: bool = True
    ) -> Iterator[str]:
        bound, known = sum(bool(item.bound) for item in self._listeners), len(self._listeners)
        listeners = count(known, "listener") if bound == known else f"{bound:,} of {count(known, 'listener')}"
        routes = len({route.route for item in self._listeners for route in item.routes})
        yield f"{headline}: {listeners}, {count(routes, 'route')}, {count(step.refresh.objects, 'object')}"
        yield from text_lines(self._listeners, step.diagnostics)
        for kind, number in sorted(step.refresh.ignored.items()):
            yield f"  not read: {number} of {kind}, a kind that the gateway has no use for"
        if admin is not None:
            yield f"Admin: http://{admin}/ (a page for people; healthz, readyz, metrics, config)"
        yield from hints
        if tries:
            yield from (f"Try: {command}" for command in try_lines(self._listeners))

    def _clear_progress(self) -> None:
        if self.progress_shown:
            self._show("\r\x1b[K")

    def changed(self, step: Step) -> None:
        """Tell what a change came to: new problems, problems that are gone, and that it is live."""
        before, self._diagnostics = self._diagnostics, {_what(item): item for item in step.diagnostics}
        new = [item for item in step.diagnostics if _what(item) not in before]
        gone = sorted((item for what, item in before.items() if what not in self._diagnostics), key=Diagnostic.order)
        if self._log.is_json:
            self._tell_change(step, new, gone)
            return
        for item in new[:MAX_TOLD]:
            self._log.news(item.severity, item.code, str(item))
        if len(new) > MAX_TOLD:
            self._log.news("warning", "problems", f"... and {len(new) - MAX_TOLD:,} more problems")
        solved = {item.object or item.path for item in gone}
        solved -= {item.object or item.path for item in step.diagnostics}
        for name in sorted(solved)[:MAX_TOLD]:
            self._log.news("info", "solved", f"solved: {name}")
        if len(solved) > MAX_TOLD:
            self._log.news("info", "solved", f"solved: {len(solved) - MAX_TOLD:,} more")
        if step.applied is not None:
            changed = sorted(str(key) for key in step.refresh.changed)
            shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3:,} more" if len(changed) > 3 else "")
            self._log.news("info", "changed", f"live after {step.seconds * 1000:.0f} ms: {shown or 'as before'}")

    def _tell_change(self, step: Step, new: list[Diagnostic], gone: list[Diagnostic]) -> None:
        """One event for programs, as severe as the worst new problem."""
        applied = step.applied
        if applied is None and not new and not gone:
            return
        severities = {item.severity for item in new}
        self._log.news(
            next((item for item in ("error", "warning") if item in severities), "info"),
            "changed",
            "",
            **asdict(
                Changed(
                    generation=applied.generation if applied is not None else None,
                    seconds=round(step.seconds, 6),
                    apply_seconds=round(applied.apply_seconds, 6) if applied is not None else None,
                    objects=sorted(str(key) for key in step.refresh.changed),
                    problems=new,
                    solved=gone,
                    listeners=listeners_of(step.translation, _bound(step.translation)) if applied else None,
                )
            ),
        )

    def _show(self, text: str) -> None:
        self._terminal.write(text)
        self._terminal.flush()


def _what(item: Diagnostic) -> Diagnostic:
    """What is told, wherever it stands now: lines further up come and go."""
    return msgspec.structs.replace(item, line=0)


def _bound(translation: Translation) -> dict[str, tuple[tuple[str, ...], str | None]]:
    return {
        item.id: (item.bound, f"{item.error.message}; {item.error.hint}" if item.error is not None else None)
        for item in translation.reports.values()
    }
