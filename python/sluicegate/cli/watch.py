"""Do something again whenever files change."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

from sluicegate.processes.serve.follow import changes

from .exit_status import ExitStatus
from .interrupts import end_by_signals


def watched(paths: Sequence[str], job: Callable[[], object]) -> int:
    """Do a job at once, and again after each change, until Ctrl-C or SIGTERM.

    Args:
        paths: files and directories, as the commands take them.
        job: what is done; it writes what it finds.
    """
    end_by_signals()
    try:
        asyncio.run(_again(paths, job))
    except KeyboardInterrupt:
        sys.stdout.write("\n")
    return ExitStatus.OK


async def _again(paths: Sequence[str], job: Callable[[], object]) -> None:
    before: object = None
    async for _ in changes(paths, _warn):
        now = _stamps(paths)
        if now == before:
            continue  # where the system cannot watch, and after changes that came to nothing
        if before is not None:
            sys.stdout.write("\n")
        before = now
        job()
        sys.stdout.write("Waiting for changes; Ctrl-C ends it\n")
        sys.stdout.flush()


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")


def _stamps(paths: Sequence[str]) -> list[tuple[str, int, int, int]]:
    """What tells one state of the files from another."""
    found = []
    for path in paths:
        folders = os.walk(path, followlinks=True) if os.path.isdir(path) else [("", [], [path])]
        for folder, _, names in folders:
            for name in names:
                place = os.path.join(folder, name)
                try:
                    status = os.stat(place)
                except OSError:
                    continue
                found.append((place, status.st_ino, status.st_mtime_ns, status.st_size))
    return sorted(found)
