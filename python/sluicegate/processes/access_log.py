"""Switches and reopens the access log of an engine when signals ask for it."""

from __future__ import annotations

import asyncio

from sluicegate.engine.native import Engine
from sluicegate.observe.log import Log

from .job import Job


class AccessLog:
    """The access log; each call to the engine is made on a thread, since a disk may be slow."""

    def __init__(self, engine: Engine, name: str, log: Log) -> None:
        """Stand before an engine.

        Args:
            engine: has the log.
            name: the setting `access_log`.
            log: takes what was done, and what could not be.
        """
        self._engine = engine
        self._name = name
        self._log = log
        self._asked = asyncio.Event()
        self._switches = 0
        self._reopenings = 0

    def switch(self) -> None:
        """Switch it off or on; the file is opened anew when it goes on."""
        self._switches += 1
        self._asked.set()

    def reopen(self) -> None:
        """Open the file anew."""
        self._reopenings += 1
        self._asked.set()

    def job(self) -> Job:
        """Does what was asked."""
        return Job("the access log", self._run)

    async def _run(self) -> None:
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
                self._log.information("access_log", f"access log {'on' if enabled else 'off'}")

    async def _open(self, *, told: bool) -> None:
        try:
            opened = await asyncio.to_thread(self._engine.reopen_access_log)
        except OSError as error:
            text = f"the access log {self._name} cannot be opened again: {error}; lines go to the file that is open"
            self._log.warning("access_log_failed", f"{text}: correct the path or its permissions, and send SIGHUP")
            return
        if told:
            text = f"{self._name} is opened again" if opened else "SIGHUP: no access log in a file, nothing to reopen"
            self._log.information("access_log_reopened", text)
