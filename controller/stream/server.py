"""The controller's end of the stream: who dials, what of the configuration is theirs, and what they say of it.

Rules:
- Whoever is not a pod of a data plane that we provision gets a status code and nothing else.
- Only the leader listens. Data planes serve on without us and try again.
- Everything is bounded: connections, calls, message sizes, one session for each pod (the newest), one transaction under
  way for each, the time for each answer, the length of a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from ..complain import Complain
from ..store.store import Event
from .connection import Admission, Connection, EndError, subscribe, write
from .figures import Figures, question
from .heard import Heard
from .messages import Request, Response
from .onlookers import LOOK, Onlookers
from .plane import PlaneKey
from .projection import Projector
from .protocol import FIGURES, MAX_TRANSACTION, section_of
from .reports import PodReport, Said
from .review import Reviewer
from .session import ProtocolError, Session
from .tickets import SharedKeys
from .transport import Certificates, Code, Context, ServerTimes, address_of, listen
from .wanted import Wanted

#: Seconds for a look at the figures beyond what pods are waited for: the thread of the stream may be busy.
PATIENCE = 2.0


class StreamServer:
    """Serves the stream; a writer of the loop that wants a `Wanted`."""

    def __init__(
        self,
        address: str,
        identity: Certificates,
        reviewer: Reviewer,
        complain: Complain,
        changed: Callable[[], None] = lambda: None,
        times: ServerTimes | None = None,
    ) -> None:
        """Make a server that does not listen yet.

        Args:
            address: `host:port` to listen on; port 0 lets the system choose.
            identity: the certificate.
            reviewer: looks at tokens.
            complain: takes a code and a message.
            changed: called when data planes said something new, or settled.
            times: limits.
        """
        self._address = address
        self._identity = identity
        self._complain = complain
        self._changed = changed
        self._times = times if times is not None else ServerTimes()
        self._admission = Admission(reviewer, complain, self._times.review)
        self._projector = Projector()
        self._wanted: Wanted | None = None
        #: The Gateways of the planes that there are.
        self._placed: Mapping[PlaneKey, frozenset[str]] | None = None
        self._translated = False
        self._generation = 0
        self._leading = asyncio.Event()
        self._following = asyncio.Event()
        self._following.set()
        self._connections: dict[PlaneKey, dict[str, Connection]] = {}
        self._heard = Heard()
        self._onlookers = Onlookers(self._routes_of)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = 0
        self.listening = asyncio.Event()
        self.settled = asyncio.Event()

    # --- For the loop -----------------------------------------------------------------------------------------

    def lead(self, leading: bool) -> None:
        """Begin or stop to serve."""
        if leading:
            self._following.clear()
            self._leading.set()
        else:
            self._leading.clear()
            self._following.set()
            self.settled.clear()
            self._publish()

    def seen(self, kind: str, document: dict[str, Any]) -> None:
        """Nothing of the API is of interest here."""

    def handle(self, event: Event) -> None:
        """Of the API only the Secret with the CA is of interest here."""
        self._identity.handle(event)

    def want(self, value: Wanted) -> None:
        """Give every data plane what is its own from now on."""
        self._wanted = value
        self._generation += 1
        first, self._translated = not self._translated, True
        before = self._projector.planes.keys() - value.gateways.keys() if self._placed is not value.gateways else ()
        changed = self._projector.update(value.state, value.gateways)
        for (section, name), reason in self._projector.faults.items():
            self._complain("fault", f"{section} {name}: {reason}; data planes keep what they have of it")
        planes = self._projector.planes
        for key in [key for key in self._connections if key not in planes] if before else ():
            for connection in self._connections[key].values():
                connection.stop(Code.PERMISSION_DENIED, "no such data plane any more")
        for key in before:
            self._heard.leave(key)
        resized = self._weigh([*changed, *before])
        for key, sections in changed.items():
            for connection in self._connections.get(key, {}).values():
                connection.session.touch(sections)
                connection.wake.set()
        placed, self._placed = self._placed is not value.gateways, value.gateways
        for key in planes if placed else changed:
            if not self._heard.knows(key) or "listeners" in changed.get(key, ()):
                table = planes[key].tables["listeners"]
                self._heard.place(key, {name: item.version for name, item in table.items()})
        if placed or first or resized or any("listeners" in sections for sections in changed.values()):
            self._publish()

    def _weigh(self, keys: Iterable[PlaneKey]) -> bool:
        """Note which of some planes are larger than a pod takes; returns whether that is another one than before."""
        told = dict(self._heard.too_large)
        for key in keys:
            plane = self._projector.planes.get(key)
            if plane is None or plane.cost <= MAX_TRANSACTION:
                self._heard.too_large.pop(key, None)
                continue
            largest = ", ".join(f"{name} ({size:,} bytes)" for name, size in plane.largest())
            text = f"more than the {MAX_TRANSACTION:,} bytes that a data plane takes; most of it are {largest}"
            self._heard.too_large[key] = text
            if key not in told:
                name = "/".join(key)
                self._complain("too_large", f"the configuration of {name} has {text}; its pods keep what they have")
        return told != self._heard.too_large

    def share(self, keys: SharedKeys) -> None:
        """Give the data planes other keys of session tickets."""
        self._projector.shared = keys
        if self._wanted is not None:
            self.want(self._wanted)

    def said(self) -> Said:
        """What the data planes last said; any thread may ask."""
        return self._heard.said

    @property
    def connected(self) -> dict[PlaneKey, int]:
        """Number of connected pods of each data plane."""
        return {key: len(found) for key, found in self._connections.items()}

    @property
    def generation(self) -> int:
        """Number of the newest configuration."""
        return self._generation

    def sessions(self) -> list[tuple[PlaneKey, str, Session]]:
        """Each connected pod: its data plane, its name, what is known of it; any thread may ask."""
        found = list(self._connections.items())
        return [(key, item.caller.pod, item.session) for key, pods in found for item in list(pods.values())]

    def unfit(self) -> dict[PlaneKey, str]:
        """Data planes whose configuration is too large for a pod, and by how much."""
        return dict(self._heard.too_large)

    def figures(self, wanted: frozenset[str] | None) -> Figures | None:
        """What the pods that are connected count, of some routes or of all; None: there are none.

        Any thread but that of the stream may ask. The pods are asked, and waited for a moment.
        """
        if self._loop is None or not self._leading.is_set():
            return None
        looking = asyncio.run_coroutine_threadsafe(self._look(wanted), self._loop)
        try:
            return looking.result(LOOK + PATIENCE)
        except TimeoutError:
            looking.cancel()
            return None

    async def _look(self, wanted: frozenset[str] | None) -> Figures | None:
        found = (item for pods in self._connections.values() for item in pods.values() if item.session.accepted)
        return await self._onlookers.look([(item.plane, item.asked) for item in found], wanted)

    def _routes_of(self, key: PlaneKey) -> frozenset[str]:
        plane = self._projector.planes.get(key)
        tables = [plane.tables[section] for section in ("http_rules", "l4_rules")] if plane is not None else []
        return frozenset(item.resource.route for table in tables for item in table.values())

    async def run(self) -> None:
        """Serve while leading, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._leading.wait()
            # While nobody listens no data plane can say anything; what else there is to say must not wait for ever.
            unheard = asyncio.create_task(self._settle(self._times.unheard))
            try:
                await self._serve_stream()
            finally:
                unheard.cancel()

    async def _serve_stream(self) -> None:
        """Listen until another leads."""
        await self._identity.ready.wait()
        while self._leading.is_set():
            try:
                server, self.port = await listen(self._address, self._identity, self._times, self._exchange)
            except RuntimeError as error:
                self._complain("stream_bind", f"{self._address} cannot be bound for the config stream: {error}")
                await asyncio.sleep(2.0)
                continue
            self.listening.set()
            self._publish()
            self._changed()
            settle = asyncio.create_task(self._settle(self._times.settle))
            try:
                await self._following.wait()
            finally:
                settle.cancel()
                self.listening.clear()
                await server.stop(0)
                self._heard.clear()
                self._publish()

    async def _settle(self, seconds: float) -> None:
        """A new leader waits for the data planes that are there before it says what they do not."""
        await asyncio.sleep(seconds)
        self.settled.set()
        self._publish()
        self._changed()

    # --- Calls ------------------------------------------------------------------------------------------------

    async def _exchange(self, requests: AsyncIterator[Request], context: Context) -> None:
        try:
            self._check_serving()
            caller, token = await self._admission.admit(context)
            self._check_plane((caller.namespace, caller.service_account))
            await context.send_initial_metadata(())
            connection = Connection((caller.namespace, caller.service_account), caller)
            await subscribe(connection, requests, self._times.subscribe)
            self._enter(connection)
            review = asyncio.create_task(self._admission.review_again(connection, token, address_of(context)))
            asking = asyncio.create_task(self._ask(connection, context))
            try:
                await self._serve(connection, requests, context)
            finally:
                review.cancel()
                asking.cancel()
                self._leave(connection)
        except EndError as error:
            try:
                await asyncio.wait_for(context.abort(error.code, str(error)), self._times.end)
            except TimeoutError:
                # The status waits behind what is not read; a cancelled call is reset at once.
                raise asyncio.CancelledError from None

    def _check_serving(self) -> None:
        if not self._leading.is_set() or not self._translated:
            raise EndError(Code.UNAVAILABLE, "not serving yet")

    def _check_plane(self, key: PlaneKey) -> None:
        if key not in self._projector.planes:
            raise EndError(Code.PERMISSION_DENIED, "no data plane")

    def _enter(self, connection: Connection) -> None:
        self._check_plane(connection.plane)
        pods = self._connections.setdefault(connection.plane, {})
        before = pods.get(connection.caller.pod_uid)
        if before is not None:
            before.stop(Code.ABORTED, "the pod has a newer connection")
        pods[connection.caller.pod_uid] = connection
        connection.session.begin(self._projector.planes[connection.plane])

    def _leave(self, connection: Connection) -> None:
        pods = self._connections.get(connection.plane, {})
        if pods.get(connection.caller.pod_uid) is connection:
            del pods[connection.caller.pod_uid]
            asyncio.get_running_loop().call_later(self._times.keep, self._forget, connection)
        if not pods:
            self._connections.pop(connection.plane, None)

    async def _serve(self, connection: Connection, requests: AsyncIterator[Request], context: Context) -> None:
        # Not all at once: they would all come back at once.
        ends = time.monotonic() + self._times.session * random.uniform(0.8, 1.0)  # noqa: S311
        reader = asyncio.create_task(self._read(connection, requests))
        try:
            while True:
                self._check(connection, reader, ends)
                connection.wake.clear()
                responses = None
                if connection.plane not in self._heard.too_large:
                    responses = connection.session.next(self._projector.planes[connection.plane], self._generation)
                if responses is not None:
                    connection.budget.ask(len(responses))
                    await self._write(connection, context, responses)
                limit = self._times.answer if connection.session.waiting else ends - time.monotonic()
                try:
                    await asyncio.wait_for(connection.wake.wait(), max(limit, 0.0))
                except TimeoutError:
                    if connection.session.waiting:
                        raise EndError(Code.DEADLINE_EXCEEDED, "no answer to a transaction") from None
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reader

    async def _write(self, connection: Connection, context: Context, responses: Iterable[Response]) -> None:
        async with connection.writing:
            await write(context, responses, self._times.answer)

    async def _ask(self, connection: Connection, context: Context) -> None:
        """Ask a pod what it counted, each time that somebody looks."""
        try:
            while True:
                await connection.asked.due.wait()
                connection.asked.due.clear()
                await self._write(connection, context, [question(connection.asked.routes)])
        except EndError as error:
            connection.stop(error.code, str(error))

    def _check(self, connection: Connection, reader: asyncio.Task[None], ends: float) -> None:
        """Whether the session may go on."""
        if connection.end is not None:
            raise connection.end
        if reader.done():
            error = reader.exception()
            text = str(error) if isinstance(error, ProtocolError) else "the stream ended"
            raise EndError(Code.INVALID_ARGUMENT, text)
        self._check_plane(connection.plane)
        if time.monotonic() >= ends and not connection.session.waiting:
            raise EndError(Code.UNAVAILABLE, "connect again")

    async def _read(self, connection: Connection, requests: AsyncIterator[Request]) -> None:
        try:
            async for request in requests:
                if section_of(request.type_url) == FIGURES:
                    self._onlookers.take(connection.caller.pod_uid, connection.asked, request)
                elif connection.session.take(request):
                    self._note(connection)
                connection.wake.set()
                wait = connection.budget.take(time.monotonic())
                if wait:
                    await asyncio.sleep(wait)
        finally:
            connection.wake.set()

    # --- What they say ------------------------------------------------------------------------------------------

    def _note(self, connection: Connection) -> None:
        session, caller = connection.session, connection.caller
        if self._connections.get(connection.plane, {}).get(caller.pod_uid) is not connection:
            return
        held = tuple(session.held.values())
        for found, what in ((session.refusals, "its configuration"), (held, "a part of its configuration")):
            if found:
                text = "; ".join(f"{item.kind} {item.id}: {item.reason}" for item in found)
                self._complain("refused", f"pod {caller.namespace}/{caller.pod} refuses {what}: {text}")
        report = PodReport(caller.pod, session.report, session.refusals, held)
        self._heard.take(connection.plane, caller.pod_uid, report)
        self._publish()
        self._changed()

    def _forget(self, connection: Connection) -> None:
        """A pod is away for good."""
        uid = connection.caller.pod_uid
        if uid in self._connections.get(connection.plane, {}):
            return
        # A younger connection that ended has a call of its own.
        if self._heard.forget(connection.plane, uid):
            self._publish()
            self._changed()

    def _publish(self) -> None:
        heard = self._translated and self._leading.is_set() and self.listening.is_set()
        if heard and self._heard.is_whole(self._projector.planes):
            self.settled.set()
        self._heard.publish(settled=self.settled.is_set())
        if self.settled.is_set():
            self._count_pods()

    def _count_pods(self) -> None:
        """Tell the pods of each plane how many they are; one that has just gone counts for a while."""
        for key, plane in self._projector.planes.items():
            changed = plane.count_pods(key, max(1, self._heard.count(key)))
            for connection in self._connections.get(key, {}).values() if changed else ():
                connection.session.touch(changed)
                connection.wake.set()
