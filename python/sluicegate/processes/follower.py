"""What both roles that follow a cluster have: the control loop, the election of the one that writes, and their end."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator

from sluicegate.controller.api.kinds import LEASE
from sluicegate.controller.leader.lease import Election
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.observe.log import Log

from . import interpreter
from .job import Job
from .loop import Loop


class Follower:
    """Follows a cluster."""

    def __init__(
        self,
        client: Client,
        loop: Loop,
        lead: Callable[[bool], None],
        log: Log,
        *,
        namespace: str,
        identity: str = "",
    ) -> None:
        """Put it together.

        Args:
            client: of the API server.
            loop: from the watches to the writers.
            lead: told when leading begins and ends, before the loop.
            log: takes what happens.
            namespace: of the Lease.
            identity: of this candidate; empty: this process of this machine.
        """
        self._loop = loop
        self._lead = lead
        self._log = log
        name = identity or f"{socket.gethostname()}_{os.getpid()}"
        self._election = Election(client, namespace, LEASE, name, self._changed, log.warning)

    def jobs(self, does: str, version: str) -> Iterator[Job]:
        """What goes on.

        Args:
            does: for the line that says that all was read, such as `serves the Gateways of ...`.
            version: of this program.
        """
        started = time.perf_counter()

        async def announce() -> None:
            await self._loop.ready.wait()
            seconds = time.perf_counter() - started
            interpreter.settle()
            text = f"Sluicegate {version} {does}, ready after {seconds:.2f} s"
            self._log.information("ready", text, version=version, seconds=round(seconds, 3))

        yield from self._loop.jobs()
        yield Job("the election", lambda: self._election.run(self._loop.ready))
        yield Job("the announcement", announce)

    async def leave(self) -> None:
        """Give the Lease back, so that another replica takes over at once."""
        await self._election.release()

    def _changed(self, leading: bool) -> None:
        self._lead(leading)
        self._loop.lead(leading)
