"""Signals, the same in every process that serves.

SIGTERM and SIGINT end it in order, a second one at once. SIGHUP is what programs that rotate logs send: the access log
is opened anew, and what is read from files is read again. SIGUSR1 switches the access log. Neither of the two ever ends
a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

ENDING = (signal.SIGTERM, signal.SIGINT)
HARMLESS = (signal.SIGHUP, signal.SIGUSR1)


def ignore(numbers: tuple[signal.Signals, ...]) -> None:
    """Have no effect of signals: before there are handlers, and once all is closed."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def handle(end: Callable[[], None], hang_up: Callable[[], None], switch_log: Callable[[], None]) -> None:
    """Have the running event loop call back.

    Args:
        end: for SIGTERM and SIGINT.
        hang_up: for SIGHUP.
        switch_log: for SIGUSR1.
    """
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    loop.add_signal_handler(signal.SIGUSR1, switch_log)
    # SIGIO: see `disk.is_open_for_writing` of `controller.sources.files`.
    for number in (signal.SIGPIPE, signal.SIGIO):
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
