"""A data plane's end of the stream: connect, resume, apply, report; again and again, for as long as it runs.

Rules:
- The CA and the token are read at each connection: both are renewed in their files.
- What a transaction brings is applied when it is whole, off the event loop; it is acknowledged when it serves.
- A connection without an answer to a ping is dead, one that does not come about in time too. The wait before the next
  one grows, with jitter, up to a limit; it is short again after a connection that brought something.
- Whatever the controller does or does not, the engine serves on.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable
from typing import Protocol

import msgspec

from sluicegate.ir import RefusedError

from ..controller import caught, plain_file
from ..controller.complain import Complain
from ..controller.stream.figures import Figures, answer, asked_for
from ..controller.stream.messages import Request, Response
from ..controller.stream.protocol import (
    FIGURES,
    GENERATION,
    MAX_RESPONSE,
    MAX_TRANSACTION,
    METHOD,
    SECTIONS,
    SERVICE,
    PlaneReport,
    acknowledgement,
    cost_of,
    refusal,
    report_request,
    section_of,
    subscription,
)
from .channel import UNAVAILABLE, Call, CallError, Limits
from .holdings import Change, Held, Holdings

#: Bytes of a token or CA file that are read.
MAX_FILE = 256 * 1024
#: Bytes that wait to be sent: the versions of what is there, answers, reports, and answers of HTTP/2 to pings and
#: settings; more means that nobody reads them.
MAX_UNSENT = 64 * 1024 * 1024


class ClientTimes(msgspec.Struct, frozen=True):
    """Seconds.

    Attributes:
        first_wait, longest_wait: between connections. Short: behind the controller's Service is one replica that
            serves and others that refuse at once, and each connection may meet any.
        turned_away_wait: after a controller that was there and did not let us in.
        connect: for TCP and TLS.
        admit: until the controller lets us in, and until its first message.
        ping: of silence before a ping.
        ping_limit: for the answer to a ping.
    """

    first_wait: float = 0.05
    longest_wait: float = 0.5
    turned_away_wait: float = 5.0
    connect: float = 3.0
    admit: float = 15.0
    ping: float = 20.0
    ping_limit: float = 10.0


class Engine(Protocol):
    """What a transaction is applied to."""

    async def apply(self, change: Change) -> None:
        """Apply a change and take it over into the holdings.

        Raises:
            RefusedError: nothing of it was applied.
        """

    def report(self) -> PlaneReport:
        """What is bound, of the holdings as they are."""


class StreamClient:
    """Keeps a data plane at what the controller says."""

    def __init__(
        self,
        address: str,
        token_file: str,
        ca_file: str,
        holdings: Holdings,
        engine: Engine,
        complain: Complain,
        times: ClientTimes | None = None,
        figures: Callable[[frozenset[str]], Figures] | None = None,
    ) -> None:
        """Make a client that is not connected.

        Args:
            address: `host:port` of the controller; its certificate must carry the host.
            token_file: a ServiceAccount token for the audience of the stream.
            ca_file: PEM, the controller's CA.
            holdings: what the engine has.
            engine: takes transactions.
            complain: takes a code and a message about what does not work.
            times: limits.
            figures: gives what the engine counted, of some routes and in all; called on a thread. None: nobody is told.
        """
        self._address = address
        self._token_file = token_file
        self._ca_file = ca_file
        self._holdings = holdings
        self._engine = engine
        self._complain = complain
        self._times = times if times is not None else ClientTimes()
        self._wait = self._times.first_wait
        self._call: Call | None = None
        self._reported: PlaneReport | None = None
        self._figures = figures
        self._counting: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        self.lost = asyncio.Event()
        self.transactions = 0

    async def run(self) -> None:
        """Follow the controller until cancelled."""
        while True:
            limit = self._times.longest_wait
            try:
                await self._connect()
                text = "the controller ended the stream"
            except CallError as error:
                text = str(error)
                if error.code != UNAVAILABLE:
                    limit = self._times.turned_away_wait
            except (OSError, ValueError) as error:
                text = str(error) or "no answer in time"
            except Exception as error:  # a fault of ours: it must not end what serves
                text = caught.note("stream", error)
            finally:
                self.connected.clear()
                self.lost.set()
                self._call = None
            self._complain(
                "stream_broken",
                f"no configuration from {self._address} ({text}); what is there serves on, trying again",
            )
            await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            self._wait = min(self._wait * 2, limit)

    def report(self) -> None:
        """Say what is bound, where that is news to the controller."""
        report = self._engine.report()
        if self._call is not None and report != self._reported:
            self._reported = report
            self._send(report_request(report))

    async def _connect(self) -> None:
        ca, token = _read(self._ca_file, "CA"), _read(self._token_file, "token").strip()
        if not token or not token.isascii() or not token.decode().isprintable():
            raise ValueError(f"{self._token_file} holds no token")
        times = self._times
        limits = Limits(times.connect, times.ping, times.ping_limit, MAX_RESPONSE, MAX_UNSENT)
        metadata = [("authorization", f"Bearer {token.decode()}")]
        call = await Call.open(self._address, f"/{SERVICE}/{METHOD}", metadata, ca, limits)
        try:
            # Nothing is said before the controller let us in.
            async with asyncio.timeout(times.admit):
                await call.admitted()
            self._call, self._reported = call, None
            for section in SECTIONS:
                self._send(subscription(section, self._holdings.versions(section)))
            self._send(subscription(GENERATION, ()))
            await self._follow(call)
        except Exception as error:
            # What came of a transaction: an error of TLS while the connection is closed would keep it with this one.
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            if self._counting is not None:
                self._counting.cancel()
            await call.close()

    def _send(self, request: Request) -> None:
        if self._call is not None:
            self._call.send(request.to_bytes())

    async def _follow(self, call: Call) -> None:
        change, size = Change(), 0
        async with asyncio.timeout(self._times.admit):
            data = await call.receive()
        while data is not None:
            response = Response.from_bytes(data)
            section = section_of(response.type_url)
            if section == GENERATION:
                await self._apply(change, response.nonce)
                change, size = Change(), 0
            elif section in SECTIONS:
                size += _collect(change, section, response)
                if size > MAX_TRANSACTION:
                    raise ValueError(f"a transaction of more than {MAX_TRANSACTION:,} bytes")
                self._send(acknowledgement(section, response.nonce))
            elif section == FIGURES:
                self._count(asked_for(response))
            data = await call.receive()

    def _count(self, routes: frozenset[str]) -> None:
        """Tell what the engine counted, beside what else comes; one answer is made at a time."""
        if self._figures is not None and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._tell_figures(self._figures, routes))

    async def _tell_figures(self, figures: Callable[[frozenset[str]], Figures], routes: frozenset[str]) -> None:
        call = self._call
        try:
            found = await asyncio.to_thread(figures, routes)
        except Exception as error:  # a fault of ours: whoever looks sees less
            self._complain("figures", caught.note("stream", error))
            return
        if self._call is call:
            self._send(answer(found))

    async def _apply(self, change: Change, nonce: str) -> None:
        try:
            if not change.is_empty() or not self.transactions:
                await self._engine.apply(change)
        except RefusedError as error:
            self._complain("refused", f"the engine refuses the new configuration, the old one serves on: {error}")
            self._send(refusal(nonce, error.reasons))
        else:
            self.transactions += 1
            self.report()
            self._send(acknowledgement(GENERATION, nonce))
        self._wait = self._times.first_wait
        self.lost.clear()
        self.connected.set()


def _collect(change: Change, section: str, response: Response) -> int:
    """Take the resources of a response, and the names of those that are gone; returns the bytes that they cost."""
    size = 0
    for entry in response.resources:
        data = entry.resource.value if entry.resource is not None else b""
        size += cost_of(entry.name, entry.version, data)
        change.put(section, entry.name, Held(entry.version, msgspec.Raw(data)))
    for name in response.removed_resources:
        size += cost_of(name, "", b"")
        change.remove(section, name)
    return size


def _read(path: str, what: str) -> bytes:
    try:
        return plain_file.read(path, MAX_FILE, what)
    except FileNotFoundError:
        raise ValueError(f"there is no {what} at {path}") from None
