"""What is worth telling people: one `Problem` for each thing, with place, cause and remedy.

Stages make findings (`Problem` without a place); the translator adds the place when the list is asked for, so that an
object that only moved in its file is not translated again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ..api import ObjectKey, Origin

Severity = Literal["error", "warning", "info"]

_RANK: dict[str, int] = {"error": 0, "warning": 1, "info": 2}


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that the author of an object should know.

    Attributes:
        severity: `error` (something asked for does not work), `warning` (works, but not as written) or `info`.
        key: the object.
        field: path in the object, such as `spec.rules[0].backendRefs[0].name`; empty for the whole object.
        code: stable word for programs, such as `backend-not-found`.
        message: what is wrong.
        remedy: what to do.
        origin: where the object is written; absent in findings.
    """

    severity: Severity
    key: ObjectKey
    field: str
    code: str
    message: str
    remedy: str
    origin: Origin | None = None

    def order(self) -> tuple[str, int, int, ObjectKey, str, str, str]:
        """Sort by place, then by weight: a stable order for people."""
        path, line = self.origin if self.origin is not None else ("", 0)
        return (path, line, _RANK[self.severity], self.key, self.field, self.code, self.message)


class Findings:
    """Collects findings about one object."""

    def __init__(self, key: ObjectKey) -> None:
        self._key = key
        self._items: list[Problem] = []

    def error(self, field: str, code: str, message: str, remedy: str) -> None:
        """Note something that does not work."""
        self._add("error", field, code, message, remedy)

    def warning(self, field: str, code: str, message: str, remedy: str) -> None:
        """Note something that does not work as written."""
        self._add("warning", field, code, message, remedy)

    def info(self, field: str, code: str, message: str, remedy: str) -> None:
        """Note something that people may want to know."""
        self._add("info", field, code, message, remedy)

    def done(self) -> tuple[Problem, ...]:
        """All findings so far."""
        return tuple(self._items)

    def _add(self, severity: Severity, field: str, code: str, message: str, remedy: str) -> None:
        found = Problem(severity=severity, key=self._key, field=field, code=code, message=message, remedy=remedy)
        if found not in self._items:  # what holds for several listeners is told once
            self._items.append(found)
