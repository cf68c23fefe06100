"""The controller's end of the stream: who dials, what of the configuration is theirs, and what they say of it.

Rules:
- Whoever is not a pod of a data plane that we provision gets a status code and nothing else. Tokens are looked at
  before anything that the caller sends is read.
- Tokens are looked at again while a session lasts: it ends where one is not accepted any more (its pod is gone, or it
  is too old: the pod comes back with a new one). An API server that does not answer ends none.
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
from dataclasses import dataclass, field
from typing import Any

from ..complain import Complain
from ..store.store import Event
from .heard import Heard
from .messages import Request, Response
from .projection import PlaneKey, Projector
from .protocol import MAX_TRANSACTION
from .reports import PodReport, Said
from .review import BusyError, Caller, RefusedTokenError, Reviewer
from .session import Budget, ProtocolError, Session
from .tickets import SharedKeys
from .transport import Certificates, Code, Context, ServerTimes, listen
from .wanted import Wanted

#: Requests before the first transaction: one for each section of any version.
MAX_SUBSCRIPTIONS = 64


class _EndError(Exception):
    """A session has to end, with a code for the other side."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(eq=False, slots=True)
class _Connection:
    """One pod on the stream."""

    plane: PlaneKey
    caller: Caller
    session: Session = field(default_factory=Session)
    budget: Budget = field(default_factory=lambda: Budget(time.monotonic()))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    end: _EndError | None = None

    def stop(self, code: Code, message: str) -> None:
        """Make it end."""
        self.end = _EndError(code, message)
        self.wake.set()


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
        self._reviewer = reviewer
        self._complain = complain
        self._changed = changed
        self._times = times if times is not None else ServerTimes()
        self._projector = Projector()
        self._wanted: Wanted | None = None
        #: The Gateways of the planes that there are.
        self._placed: Mapping[PlaneKey, frozenset[str]] | None = None
        self._translated = False
        self._generation = 0
        self._leading = asyncio.Event()
        self._following = asyncio.Event()
        self._following.set()
        self._connections: dict[PlaneKey, dict[str, _Connection]] = {}
        self._heard = Heard()
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

    async def run(self) -> None:
        """Serve while leading, until cancelled."""
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
            caller, token = await self._admit(context)
            await context.send_initial_metadata(())
            connection = _Connection((caller.namespace, caller.service_account), caller)
            await self._subscribe(connection, requests)
            self._enter(connection)
            review = asyncio.create_task(self._review_again(connection, token))
            try:
                await self._serve(connection, requests, context)
            finally:
                review.cancel()
                self._leave(connection)
        except _EndError as error:
            try:
                await asyncio.wait_for(context.abort(error.code, str(error)), self._times.end)
            except TimeoutError:
                # The status waits behind what is not read; a cancelled call is reset at once.
                raise asyncio.CancelledError from None

    async def _admit(self, context: Context) -> tuple[Caller, str]:
        """Who calls, and by which token; whoever has no data plane of ours is sent away."""
        if not self._leading.is_set() or not self._translated:
            raise _EndError(Code.UNAVAILABLE, "not serving yet")
        metadata = context.invocation_metadata() or ()
        values = [value for name, value in metadata if name == "authorization"]
        value = values[0] if len(values) == 1 and isinstance(values[0], str) else ""
        if not value.startswith("Bearer "):
            raise _EndError(Code.UNAUTHENTICATED, "a bearer token is required")
        token = value.removeprefix("Bearer ")
        try:
            caller = await self._reviewer.review(token)
        except RefusedTokenError:
            raise _EndError(Code.UNAUTHENTICATED, "the token is not accepted") from None
        except BusyError as error:
            self._complain("review_failed", str(error))
            raise _EndError(Code.UNAVAILABLE, "the token cannot be reviewed now") from None
        self._check_plane((caller.namespace, caller.service_account))
        return caller, token

    async def _review_again(self, connection: _Connection, token: str) -> None:
        """End a session whose token is not accepted any more."""
        while True:
            await asyncio.sleep(self._times.review * random.uniform(0.8, 1.0))  # noqa: S311 (not all at once)
            try:
                await self._reviewer.review(token)
            except RefusedTokenError:
                # Most are only too old, and the pod has a newer one: it may come back at once, and is looked at then.
                connection.stop(Code.UNAVAILABLE, "connect again: the token is not accepted any more")
                return
            except BusyError:
                continue  # not known now: the session was good, and goes on

    def _check_plane(self, key: PlaneKey) -> None:
        if key not in self._projector.planes:
            raise _EndError(Code.PERMISSION_DENIED, "no data plane")

    async def _subscribe(self, connection: _Connection, requests: AsyncIterator[Request]) -> None:
        async def read() -> None:
            for _ in range(MAX_SUBSCRIPTIONS):
                request = await anext(requests, None)
                if request is None:
                    raise ProtocolError("the stream ended before it said what is wanted")
                if connection.session.subscribe(request):
                    return
            raise ProtocolError(f"more than {MAX_SUBSCRIPTIONS} subscriptions")

        try:
            await asyncio.wait_for(read(), self._times.subscribe)
        except ProtocolError as error:
            raise _EndError(Code.INVALID_ARGUMENT, str(error)) from None
        except TimeoutError:
            raise _EndError(Code.DEADLINE_EXCEEDED, "nothing was subscribed to in time") from None

    def _enter(self, connection: _Connection) -> None:
        self._check_plane(connection.plane)
        pods = self._connections.setdefault(connection.plane, {})
        before = pods.get(connection.caller.pod_uid)
        if before is not None:
            before.stop(Code.ABORTED, "the pod has a newer connection")
        pods[connection.caller.pod_uid] = connection
        connection.session.begin(self._projector.planes[connection.plane])

    def _leave(self, connection: _Connection) -> None:
        pods = self._connections.get(connection.plane, {})
        if pods.get(connection.caller.pod_uid) is connection:
            del pods[connection.caller.pod_uid]
            asyncio.get_running_loop().call_later(self._times.keep, self._forget, connection)
        if not pods:
            self._connections.pop(connection.plane, None)

    async def _serve(self, connection: _Connection, requests: AsyncIterator[Request], context: Context) -> None:
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
                    await self._write(context, responses)
                limit = self._times.answer if connection.session.waiting else ends - time.monotonic()
                try:
                    await asyncio.wait_for(connection.wake.wait(), max(limit, 0.0))
                except TimeoutError:
                    if connection.session.waiting:
                        raise _EndError(Code.DEADLINE_EXCEEDED, "no answer to a transaction") from None
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reader

    async def _write(self, context: Context, responses: Iterable[Response]) -> None:
        async def write() -> None:
            for response in responses:
                await context.write(response)

        try:
            await asyncio.wait_for(write(), self._times.answer)
        except TimeoutError:
            raise _EndError(Code.DEADLINE_EXCEEDED, "what is sent is not read") from None

    def _check(self, connection: _Connection, reader: asyncio.Task[None], ends: float) -> None:
        """Whether the session may go on."""
        if connection.end is not None:
            raise connection.end
        if reader.done():
            error = reader.exception()
            text = str(error) if isinstance(error, ProtocolError) else "the stream ended"
            raise _EndError(Code.INVALID_ARGUMENT, text)
        self._check_plane(connection.plane)
        if time.monotonic() >= ends and not connection.session.waiting:
            raise _EndError(Code.UNAVAILABLE, "connect again")

    async def _read(self, connection: _Connection, requests: AsyncIterator[Request]) -> None:
        try:
            async for request in requests:
                if connection.session.take(request):
                    self._note(connection)
                connection.wake.set()
                wait = connection.budget.take(time.monotonic())
                if wait:
                    await asyncio.sleep(wait)
        finally:
            connection.wake.set()

    # --- What they say ------------------------------------------------------------------------------------------

    def _note(self, connection: _Connection) -> None:
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

    def _forget(self, connection: _Connection) -> None:
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
