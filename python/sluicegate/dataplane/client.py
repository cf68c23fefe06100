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
import contextlib
import os
import random
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

# Before gRPC is loaded: the system's resolver (search domains), and no log lines of its own.
os.environ.setdefault("GRPC_DNS_RESOLVER", "native")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc
import grpc.aio

from sluicegate.ir import RefusedError

from ..controller import caught
from ..controller.stream.protocol import (
    GENERATION,
    MAX_METADATA,
    MAX_REQUEST,
    MAX_RESPONSE,
    METHOD,
    SECTIONS,
    SERVICE,
    Message,
    PlaneReport,
    Request,
    Response,
    acknowledgement,
    refusal,
    report_request,
    section_of,
    subscription,
)
from .holdings import Change, Held, Holdings

#: Bytes of a token or CA file that are read.
MAX_FILE = 256 * 1024
#: Bytes of one transaction while it comes in.
MAX_TRANSACTION = 256 * 1024 * 1024
#: Requests that wait to be sent: answers and reports; more means that the controller does not read.
MAX_UNSENT = 1_024


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


Complain = Callable[[str, str], None]


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
        """
        self._address = address
        self._token_file = token_file
        self._ca_file = ca_file
        self._holdings = holdings
        self._engine = engine
        self._complain = complain
        self._times = times if times is not None else ClientTimes()
        self._wait = self._times.first_wait
        self._unsent: asyncio.Queue[Message] | None = None
        self._reported: PlaneReport | None = None
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
            except grpc.aio.AioRpcError as error:
                text = f"{error.code().name}: {error.details()}"
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    limit = self._times.turned_away_wait
                _let_go(error)
            except (OSError, ValueError) as error:
                text = str(error) or "no answer in time"
                _let_go(error)
            except Exception as error:  # a fault of ours, or of gRPC: it must not end what serves
                text = caught.note("stream", error)
                _let_go(error)
            finally:
                self.connected.clear()
                self.lost.set()
                self._unsent = None
            self._complain(
                "stream_broken",
                f"no configuration from {self._address} ({text}); what is there serves on, trying again",
            )
            await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            self._wait = min(self._wait * 2, limit)

    def report(self) -> None:
        """Say what is bound, where that is news to the controller."""
        report = self._engine.report()
        if self._unsent is not None and report != self._reported:
            self._reported = report
            self._send(report_request(report))

    async def _connect(self) -> None:
        ca, token = _read(self._ca_file, "CA"), _read(self._token_file, "token").strip()
        if not token or not token.isascii() or not token.decode().isprintable():
            raise ValueError(f"{self._token_file} holds no token")
        credentials = grpc.ssl_channel_credentials(root_certificates=ca)
        metadata = (("authorization", f"Bearer {token.decode()}"),)
        async with grpc.aio.secure_channel(self._address, credentials, options=_options(self._times)) as channel:
            exchange: Any = channel.stream_stream(
                f"/{SERVICE}/{METHOD}",
                request_serializer=Request.SerializeToString,
                response_deserializer=Response.FromString,
            )
            self._unsent = asyncio.Queue(MAX_UNSENT)
            self._reported = None
            for section in SECTIONS:
                self._send(subscription(section, self._holdings.versions(section)))
            self._send(subscription(GENERATION, ()))
            admitted = asyncio.Event()
            call = exchange(self._requests(self._unsent, admitted), metadata=metadata, wait_for_ready=False)
            try:
                # Nothing is said before the controller let us in.
                await asyncio.wait_for(call.initial_metadata(), self._times.admit)
                admitted.set()
                await self._follow(call)
            finally:
                call.cancel()

    async def _requests(self, unsent: asyncio.Queue[Message], admitted: asyncio.Event) -> AsyncIterator[Message]:
        await admitted.wait()
        while True:
            yield await unsent.get()

    def _send(self, request: Message) -> None:
        if self._unsent is None:
            return
        try:
            self._unsent.put_nowait(request)
        except asyncio.QueueFull:
            raise ValueError("the controller does not read what is sent to it") from None

    async def _follow(self, call: AsyncIterable[Message]) -> None:
        change, size = Change(), 0
        responses = aiter(call)
        response = await asyncio.wait_for(anext(responses, None), self._times.admit)
        while response is not None:
            section = section_of(response.type_url)
            if section == GENERATION:
                await self._apply(change, response.nonce)
                change, size = Change(), 0
            elif section in SECTIONS:
                size += _collect(change, section, response)
                if size > MAX_TRANSACTION:
                    raise ValueError(f"a transaction of more than {MAX_TRANSACTION:,} bytes")
                self._send(acknowledgement(section, response.nonce))
            response = await anext(responses, None)

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


def _let_go(error: BaseException) -> None:
    """Empty the frames that an error holds: one of them has a task that holds the error.

    In this circle are the call and its channel, which goes on dialling until the collector comes by: seldom, here.
    """
    traceback.clear_frames(error.__traceback__)


def _collect(change: Change, section: str, response: Message) -> int:
    """Take the resources of a response; returns their bytes."""
    size = 0
    for entry in response.resources:
        data = entry.resource.value
        size += len(data)
        change.put(section, entry.name, Held(entry.version, msgspec.Raw(data)))
    for name in response.removed_resources:
        change.remove(section, name)
    return size


def _read(path: str, what: str) -> bytes:
    with contextlib.suppress(FileNotFoundError), Path(path).open("rb") as file:
        data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ValueError(f"{path} is larger than {MAX_FILE:,} bytes, which is no {what}")
        return data
    raise ValueError(f"there is no {what} at {path}")


def _options(times: ClientTimes) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", MAX_RESPONSE),
        ("grpc.max_send_message_length", MAX_REQUEST),
        ("grpc.max_metadata_size", MAX_METADATA),
        ("grpc.keepalive_time_ms", int(times.ping * 1000)),
        ("grpc.keepalive_timeout_ms", int(times.ping_limit * 1000)),
        ("grpc.http2.ping_timeout_ms", int(times.ping_limit * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        # A connection of its own each time, and no waiting of gRPC's own.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.min_reconnect_backoff_ms", int(times.connect * 1000)),
        ("grpc.initial_reconnect_backoff_ms", int(times.connect * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(times.connect * 1000)),
        # A proxy of the environment is not meant for this.
        ("grpc.enable_http_proxy", 0),
    ]
