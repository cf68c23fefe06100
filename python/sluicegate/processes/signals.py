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

from sluicegate.engine.native import Engine

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
    with contextlib.suppress(OSError):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class AccessLogSignals:
    """Switches and reopens the access log of an engine; each call on a thread, since a disk may be slow."""

    def __init__(
        self, engine: Engine, access_log: str, tell: Callable[[str, str], None], warn: Callable[[str, str], None]
    ) -> None:
        """Stand before an engine.

        Args:
            engine: has the log.
            access_log: the setting of that name.
            tell: takes a code and what was done.
            warn: takes a code and what could not be done.
        """
        self._engine = engine
        self._name = access_log
        self._tell = tell
        self._warn = warn
        self._asked = asyncio.Event()
        self._switches = 0
        self._reopenings = 0

    def switch(self) -> None:
        """Switch the log off or on; the file is opened anew when it goes on."""
        self._switches += 1
        self._asked.set()

    def reopen(self) -> None:
        """Open the file anew."""
        self._reopenings += 1
        self._asked.set()

    async def run(self) -> None:
        """Do what was asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            switches, self._switches = self._switches, 0
            reopenings, self._reopenings = self._reopenings, 0
            enabled = self._engine.access_log ^ bool(switches % 2)
            if reopenings:
                await self._open(told=True)
            elif switches and enabled:
                await self._open(told=False)
            if switches:
                self._engine.access_log = enabled
                self._tell("access_log", f"access log {'on' if enabled else 'off'}")

    async def _open(self, *, told: bool) -> None:
        try:
            opened = await asyncio.to_thread(self._engine.reopen_access_log)
        except OSError as error:
            text = f"the access log {self._name} cannot be opened again: {error}; lines go to the file that is open"
            self._warn("access_log_failed", f"{text}: correct the path or its permissions, and send SIGHUP")
            return
        if told:
            text = f"{self._name} is opened again" if opened else "SIGHUP: no access log in a file, nothing to reopen"
            self._tell("access_log_reopened", text)
