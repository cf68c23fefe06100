"""Tells people or programs what happens: text on standard output and error, or one JSON object a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

import msgspec

from sluicegate.controller import caught
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.translate import Translation
from sluicegate.processes.live import Step

from .summary import ListenerLine, listeners_of, text_lines, try_line

#: Diagnostics told after one change; the rest is counted. Stops a broken directory from flooding a log.
MAX_TOLD = 200


class Reporter:
    """Writes the summary once and changes afterwards."""

    def __init__(self, output: str, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Make a reporter.

        Args:
            output: `text` or `json`.
            out: standard output.
            err: standard error.
        """
        self._json = output == "json"
        self._out = out if out is not None else sys.stdout
        self._err = err if err is not None else sys.stderr
        self._diagnostics: frozenset[Diagnostic] = frozenset()
        self._listeners: list[ListenerLine] = []
        self._version = ""
        self.progress_shown = False

    def progress(self, path: str, number: int, known: int) -> None:
        """Show how far reading is, where somebody looks on."""
        if not self._json and self._err.isatty() and number % 100 == 0:
            self._err.write(f"\r\x1b[Kreading {number:,} of {known:,} files: {path}")
            self._err.flush()
            self.progress_shown = True

    def ready(self, step: Step, *, version: str, admin: str | None, seconds: float, hints: Iterable[str]) -> None:
        """Write the summary."""
        self._version = version
        self._listeners = listeners_of(step.translation, _bound(step.translation))
        self._diagnostics = frozenset(step.diagnostics)
        if self.progress_shown:
            self._err.write("\r\x1b[K")
        if self._json:
            self._event(
                "ready",
                version=version,
                admin=admin,
                seconds=round(seconds, 3),
                generation=step.applied.generation if step.applied is not None else 0,
                objects=step.refresh.objects,
                ignored=step.refresh.ignored,
                listeners=self._listeners,
                problems=step.diagnostics,
                hints=list(hints),
            )
            return
        bound = sum(bool(item.bound) for item in self._listeners)
        routes = len({route.route for item in self._listeners for route in item.routes})
        counts = f"{_count(bound, 'listener')}, {_count(routes, 'route')}, {_count(step.refresh.objects, 'object')}"
        self._line(f"Sluicegate {version} is ready after {seconds:.2f} s: {counts}")
        for line in text_lines(self._listeners, step.diagnostics):
            self._line(line)
        for kind, number in sorted(step.refresh.ignored.items()):
            self._line(f"  not read: {number} of {kind}, a kind that the gateway has no use for")
        if admin is not None:
            self._line(f"Admin: http://{admin}/ (healthz, readyz, metrics, config)")
        for hint in hints:
            self._line(hint)
        command = try_line(self._listeners)
        if command is not None:
            self._line(f"Try: {command}")

    def changed(self, step: Step) -> None:
        """Tell what a change came to: new problems, problems that are gone, and that it is live."""
        now = frozenset(step.diagnostics)
        new = [item for item in step.diagnostics if item not in self._diagnostics]
        gone = sorted(self._diagnostics - now, key=Diagnostic.order)
        self._diagnostics = now
        if self._json:
            applied = step.applied
            if applied is not None or new or gone:
                self._event(
                    "changed",
                    generation=applied.generation if applied is not None else None,
                    seconds=round(step.seconds, 6),
                    apply_seconds=round(applied.apply_seconds, 6) if applied is not None else None,
                    objects=sorted(str(key) for key in step.refresh.changed),
                    problems=new,
                    solved=gone,
                    listeners=listeners_of(step.translation, _bound(step.translation)) if applied else None,
                )
            return
        for item in new[:MAX_TOLD]:
            self._complain(str(item))
        if len(new) > MAX_TOLD:
            self._complain(f"... and {len(new) - MAX_TOLD:,} more problems")
        gone_objects = {item.object for item in gone} - {item.object for item in now}
        for name in sorted(name for name in gone_objects if name)[:MAX_TOLD]:
            self._complain(f"solved: {name}")
        if step.applied is not None:
            changed = sorted(str(key) for key in step.refresh.changed)
            shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3:,} more" if len(changed) > 3 else "")
            self._complain(f"live after {step.seconds * 1000:.0f} ms: {shown or 'as before'}")

    def warning(self, message: str, code: str = "warning") -> None:
        """Tell something that is not about an object."""
        if self._json:
            self._event("warning", code=code, message=message)
        else:
            self._complain(f"warning: {message}")

    def information(self, message: str, code: str) -> None:
        """Tell what the gateway does."""
        if self._json:
            self._event(code, message=message)
        else:
            self._complain(message)

    def _event(self, event: str, **values: Any) -> None:  # noqa: ANN401 (what JSON has)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._line(msgspec.json.encode({"event": event, "time": stamp, **values}).decode())

    def _line(self, text: str) -> None:
        _write(self._out, text)

    def _complain(self, text: str) -> None:
        _write(self._err, text)


def _write(stream: TextIO, text: str) -> None:
    """Write a line, if it can be: a full disk, or an encoding without a character, must not stop traffic."""
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except (OSError, ValueError) as error:
        caught.note("log", error)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _bound(translation: Translation) -> dict[str, tuple[tuple[str, ...], str | None]]:
    return {
        item.id: (item.bound, f"{item.error.message}; {item.error.hint}" if item.error is not None else None)
        for item in translation.reports.values()
    }
