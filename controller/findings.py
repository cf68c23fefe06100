"""All that is wrong, in one form: what could not be read and what does not work, with its file, line and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sluicegate.controller.api import Origin
from sluicegate.controller.sources.files import Fault
from sluicegate.controller.sources.files.disk import printable
from sluicegate.controller.translate import Problem, Severity

from .sources.files.source import Source


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that the author of a manifest should know.

    Attributes:
        path: file; `-` for standard input.
        line: 1-based; 0 where the whole file is meant.
        severity: `error` (does not work), `warning` (works, but not as written) or `info`.
        object: such as `HTTPRoute/default/shop`; empty where no object could be read.
        field: such as `spec.rules[0].backendRefs[0].name`; empty for the whole object.
        code: stable word for programs.
        message: what is wrong.
        remedy: what to do; empty where the message says it.
    """

    path: str
    line: int
    severity: Severity
    object: str
    field: str
    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        about = "".join(f"{part}: " for part in (self.object, self.field) if part)
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}: {self.severity}: {about}{self.message}{remedy}"


def findings(source: Source, faults: Iterable[Fault], problems: Iterable[Problem]) -> list[Finding]:
    """Put everything into one list, in the order of files and lines.

    Args:
        source: knows the lines of fields.
        faults: what could not be read.
        problems: what the translator found.
    """
    return sorted([*_of_faults(faults), *_of_problems(source, problems)])


def _of_faults(faults: Iterable[Fault]) -> Iterator[Finding]:
    for fault in faults:
        yield Finding(
            path=printable(fault.path),
            line=fault.line,
            severity=fault.severity,
            object=fault.object,
            field=fault.field,
            code=fault.code,
            message=printable(fault.reason),
        )


def _of_problems(source: Source, problems: Iterable[Problem]) -> Iterator[Finding]:
    by_origin: dict[Origin | None, list[Problem]] = {}
    for problem in problems:
        by_origin.setdefault(problem.origin, []).append(problem)
    for origin, items in by_origin.items():
        lines = source.lines_of(origin, [item.field for item in items]) if origin is not None else [0] * len(items)
        for problem, line in zip(items, lines, strict=True):
            yield Finding(
                path=origin.path if origin is not None else "",
                line=line,
                severity=problem.severity,
                object=str(problem.key),
                field=problem.field,
                code=problem.code,
                message=problem.message,
                remedy=problem.remedy,
            )
