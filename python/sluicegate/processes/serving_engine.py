"""The engine of a process that serves: what it has to tell, ports that were taken, its access log, its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from sluicegate.controller import caught
from sluicegate.engine.delivery import Delivery
from sluicegate.engine.native import Engine, Report
from sluicegate.observe.admin import FrontThread
from sluicegate.observe.aside import Aside, Make
from sluicegate.observe.log import Log

from .access_log import AccessLog
from .job import Job, tell_fault
from .provider_keys import ProviderKeys
from .settings import EngineSettings
from .start_error import StartError

#: Seconds between attempts to bind ports that could not be bound.
RETRY_BINDS = 2.0
#: Seconds between looks at what the engine has to tell.
POLL_EVENTS = 1.0
#: Seconds between looks at who has given no keys.
LOOK_AT_KEYS = 5.0
#: Where an engine answers probes that is asked through a page's listener.
BEHIND = "127.0.0.1:0"


#: Makes what answers for the page of the admin listener, of what gives what it shows (`viewed`), and of the metrics.
Page = Callable[[Callable[[], Any], Callable[[], str]], Make]


class Drain(NamedTuple):
    """The way out of clients.

    Attributes:
        settle: seconds in which new connections are still taken: readiness has just failed, and who was asked to go
            comes back on a new one.
        requests: seconds for open requests.
        limit: seconds for all of it.
        always: settle even where no connection is open: balancers may still send some.
    """

    settle: float
    requests: float
    limit: float
    always: bool


class ServingEngine:
    """An engine, and what every process with one does beside serving.

    Attributes:
        engine: serves.
        delivery: gives it its transactions.
        access_log: switches and reopens its log.
        keys: of identity providers, as far as these are away.
        look: what its page shows; None: nothing yet.
    """

    def __init__(
        self, settings: EngineSettings, drain: Drain, log: Log, state_directory: str, page: Page | None = None
    ) -> None:
        """Start an engine that has no configuration yet.

        Args:
            settings: of the process.
            drain: its end.
            log: takes what it has to tell.
            state_directory: what it keeps for the next start; empty: nowhere.
            page: makes the page of the admin listener; None: there is none.

        Raises:
            ValueError: a setting that the engine does not take.
            OSError: the system refuses what it needs.
        """
        self._has_page = page is not None and settings.admin != "off"
        behind = {"admin": BEHIND} if self._has_page else {}
        self.engine = Engine({**settings.engine_settings(state_directory), **behind})
        self._front: FrontThread | None = None
        self._page: Aside | None = None
        self._front_fault = ""
        self.look: Callable[[], object] = lambda: None
        self.delivery = Delivery(self.engine, self._tell_applied)
        self.access_log = AccessLog(self.engine, settings.access_log, log)
        self._admin = settings.admin
        self._drain = drain
        self._log = log
        self.keys = ProviderKeys()
        self._bound: Callable[[], Awaitable[None]] = _nothing
        self._keys_changed: Callable[[], Awaitable[None]] = _nothing
        self._control_side = (0, 0)
        self._unusable = 0
        if page is not None and self._has_page:
            self._open_front(page)

    @property
    def admin_address(self) -> str | None:
        """`address:port` of the admin listener, if it could be bound."""
        if not self._has_page:
            return self.engine.admin_address
        return self._front.address if self._front is not None else None

    def _open_front(self, page: Page) -> None:
        behind = self.engine.admin_address
        if behind is None:
            return  # the engine says why
        make = page(self._look, self.engine.metrics)
        self._page = Aside(make, lambda error: tell_fault(self._log, "the page", error))
        try:
            self._front = FrontThread(self._admin, self._page, behind)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._front_fault = f"admin listener {self._admin}: {reason}; page, metrics and probes are not served"

    def _look(self) -> object:
        return self.look()

    def when_bound(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have something done where a port that was taken could be bound, or cannot be for another reason."""
        self._bound = call

    def when_keys_change(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have something done where a provider of keys goes away, or is back."""
        self._keys_changed = call

    def set_unusable(self, number: int) -> None:
        """Say for `/metrics` how many objects and files cannot be used as they are."""
        self._unusable = number
        self._tell_control_side()

    def check_admin(self) -> None:
        """Look whether probes and Prometheus find the admin listener.

        Raises:
            StartError: its port is taken.
        """
        if self._admin == "off" or self.admin_address is not None:
            return
        told = [self._front_fault] if self._front_fault else []
        told += [event.message for event in self.engine.poll_events() if event.code == "admin_unavailable"]
        said = "; ".join(told) or f"{self._admin} cannot be bound"
        raise StartError(f"{said}; stop what listens there, or choose another address with --admin, or --admin off")

    def jobs(self, stopping: asyncio.Event) -> Iterator[Job]:
        """What goes on beside serving; once it stops, ports are not tried any more."""
        yield Job("events of the engine", self._poll_events)
        yield Job("keys of identity providers", self._look_at_keys)
        yield Job("ports that were taken", lambda: self._retry_binds(stopping))

    def tell_events(self) -> None:
        """Tell what the engine has to tell, such as an admin port that is taken."""
        if self._front_fault:
            self._log.warning("admin_unavailable", self._front_fault)
            self._front_fault = ""
        for event in self.engine.poll_events():
            self._log.state(event.about, event.code, event.message)

    async def drain(self) -> bool:
        """Ask clients to go, and wait for them; returns whether all connections ended by themselves."""
        drain = self._drain
        taken = f"{'' if drain.always else 'up to '}{drain.settle:g} s more"
        text = f"draining: new connections for {taken}, up to {drain.requests:g} s for open requests"
        self._log.information("draining", text)
        return await self.engine.drain_async(drain.limit, drain.settle, settle_alone=drain.always)

    async def shutdown(self) -> None:
        """Stop everything."""
        if self._page is not None:
            self._page.close()
        if self._front is not None:
            await asyncio.to_thread(self._front.stop)
        await self.engine.shutdown_async()

    def _tell_applied(self, report: Report) -> None:
        text = f"configuration {report.generation} is live after {report.apply_seconds * 1000:.1f} ms in the engine"
        self._log.debug("applied", text, generation=report.generation, seconds=report.apply_seconds)

    async def _poll_events(self) -> None:
        while True:
            self.tell_events()
            self._tell_control_side()
            await asyncio.sleep(POLL_EVENTS)

    def _tell_control_side(self) -> None:
        now = (self._unusable, caught.total())
        if now != self._control_side:
            self._control_side = now
            self.engine.control_side(*now)

    async def _look_at_keys(self) -> None:
        while True:
            if self.keys.look(self.engine.key_sets()):
                await self._keys_changed()
            await asyncio.sleep(LOOK_AT_KEYS)

    async def _retry_binds(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            if self.delivery.has_unbound and await asyncio.to_thread(self.delivery.retry_binds):
                await self._bound()
            await asyncio.sleep(RETRY_BINDS)


async def _nothing() -> None:
    """Nobody wants to know."""
