"""Whether a start is worth going on with: one that would serve nothing ends, and says why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from sluicegate.controller.sources.files.disk import is_stream, missing_path
from sluicegate.processes.live import Step

#: What to do about it, told with every reason.
REMEDY = "correct that, or start with --keep-going to wait for it"


def reason_to_end(paths: Sequence[str], step: Step) -> str | None:
    """Why a first step is not what was asked for; None where something is served.

    Args:
        paths: that were given.
        step: what they came to.
    """
    return next(_reasons(paths, step), None)


def _reasons(paths: Sequence[str], step: Step) -> Iterator[str]:
    for path in paths:
        if not is_stream(path) and not os.path.exists(path):
            yield f"{path}: {missing_path(path).text}"
    for item in step.diagnostics:
        if item.code == "refused":
            yield item.text
    listeners = step.translation.ir.listeners
    if listeners and not any(item.bound for item in step.translation.reports.values()):
        yield f"0 of {len(listeners):,} listeners could be bound"
    if listeners:
        return
    given = ", ".join(paths)
    if step.refresh.objects:
        yield f"{given}: no listener of a Gateway can be served"
    elif step.refresh.ignored:
        yield f"{given}: only objects of kinds that the gateway has no use for"
    else:
        yield f"{given}: no object that can be used"
