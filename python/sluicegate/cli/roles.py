"""What the commands that serve have in common: run until a signal, and say what cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from sluicegate.words import one_line

from .exit_status import ExitStatus


class Role(NamedTuple):
    """What a command runs.

    Attributes:
        start: reads the settings and gives what runs until a signal; its result is the exit status.
        refusals: what it raises for something that cannot be used, besides `ValueError` and `OSError`.
    """

    start: Callable[[], Coroutine[Any, Any, int]]
    refusals: tuple[type[Exception], ...] = ()


def run(load: Callable[[], Role]) -> int:
    """Run a role; returns the exit status. `load` imports what it needs, which may not be installed."""
    try:
        role = load()
    except ModuleNotFoundError as error:
        return refuse(f"{error}; install the extra: pip install 'sluicegate[kubernetes]'")
    import asyncio  # which a role may want without TLS

    from sluicegate.processes import signals

    refusals: tuple[type[Exception], ...] = (ValueError, OSError, *role.refusals)
    try:
        return asyncio.run(role.start())
    except refusals as error:  # a setting that cannot be used is a ValueError too
        return refuse(str(error))
    finally:
        # All is closed: a signal that comes now has nothing to end but a clean exit.
        signals.ignore((*signals.ENDING, *signals.HARMLESS))


def refuse(message: str) -> int:
    """Say why nothing was done; returns the exit status."""
    sys.stderr.write(f"error: {one_line(message)}\n")
    return ExitStatus.USAGE
