"""One call of the config stream: gRPC over HTTP/2 over TLS, as much of it as one call of one method needs.

With the `h2` library in place of gRPC's own, which would be a third of a data plane's memory. Rules:

- A connection has one call. What the controller sends is read while nobody waits for it too, so that its pings are
  answered while the engine is busy; what is not taken is bounded by the window, which is given back as it is taken.
- Silence is ended by a ping, and a connection by a ping without an answer.
- What waits to be sent has a limit, answers to pings among it: who floods us with them and reads nothing is left.
- What is not gRPC is an error with words of its own: another protocol, a status of HTTP, a compressed message.

Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of grpc), RFC 9113.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.parse
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

#: Bytes that a controller may send before any of them is taken.
WINDOW = 4 * 1024 * 1024
#: Bytes that are read from the connection at once.
READ = 64 * 1024
#: Bytes of a frame that is sent: the least that every side takes (RFC 9113 section 4.2).
MAX_FRAME = 16 * 1024
#: Bytes before a message: whether it is compressed, and its length.
PREFIX = 5
#: What is in a ping: eight bytes.
PING = b"sluicega"
#: Characters of a text of the controller that are shown.
SHOWN = 1_024

#: Canonical codes of gRPC, by number. Source: `google/rpc/code.proto`.
CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
UNAVAILABLE = "UNAVAILABLE"


class CallError(Exception):
    """The call ended; `code` is one of `CODES`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code


class Limits(NamedTuple):
    """Limits of a call.

    Attributes:
        connect: seconds for TCP and TLS.
        ping: seconds of silence before a ping.
        ping_limit: seconds for the answer to a ping, and for what is sent to be taken by the system.
        message: bytes of a message that is taken.
        unsent: bytes that wait to be sent; more end the call.
    """

    connect: float
    ping: float
    ping_limit: float
    message: int
    unsent: int


class Call:
    """A call with messages both ways; `open` makes one, `close` ends it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits) -> None:
        """Take a connection; see `open`."""
        self._reader = reader
        self._writer = writer
        self._limits = limits
        configuration = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._connection = h2.connection.H2Connection(configuration)
        self._stream = 0
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        #: Bytes that came, that wait to be taken as messages, and whose window was given back.
        self._came = self._waiting = self._given = 0
        self._unsent = bytearray()
        self._admitted = asyncio.Event()
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False
        self._heard = asyncio.get_running_loop().time()
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, address: str, path: str, metadata: Iterable[tuple[str, str]], ca: bytes, limits: Limits
    ) -> Call:
        """Connect and begin a call.

        Args:
            address: `host:port`; the certificate must carry the host.
            path: `/service/method`.
            metadata: fields of the request.
            ca: PEM of the authorities that the certificate may come from.
            limits: of the call.

        Raises:
            OSError: no connection came about (`ssl.SSLError` and `TimeoutError` are such).
            ValueError: an address or a CA that is none.
            CallError: the other side speaks no HTTP/2.
        """
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        context = ssl.create_default_context(cadata=ca.decode())
        # Strict since Python 3.13: an authority of somebody's own may lack the extensions that RFC 5280 asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(["h2"])
        # Not `wait_for`: before Python 3.12 it can lose a cancellation.
        async with asyncio.timeout(limits.connect):
            reader, writer = await asyncio.open_connection(
                host, int(port), ssl=context, server_hostname=host, limit=READ
            )
        call = cls(reader, writer, limits)
        session = writer.get_extra_info("ssl_object")
        if session is None or session.selected_alpn_protocol() != "h2":
            await call.close()
            raise CallError(UNAVAILABLE, "what answers there does not speak HTTP/2")
        call._begin(address, path, metadata)
        return call

    def _begin(self, address: str, path: str, metadata: Iterable[tuple[str, str]]) -> None:
        connection = self._connection
        connection.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: READ,
            },
        )
        connection.initiate_connection()
        connection.increment_flow_control_window(WINDOW)
        self._stream = connection.get_next_available_stream_id()
        fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", address),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "sluicegate"),
            *metadata,
        ]
        connection.send_headers(self._stream, fields)
        self._flush()
        self._task = asyncio.create_task(self._run())
        self._watch()

    async def admitted(self) -> None:
        """Wait until the other side lets us in: for the beginning of its answer.

        Raises:
            CallError: it ended the call.
            OSError: the connection broke.
        """
        await self._admitted.wait()
        if self._error is not None and not self._messages:
            raise self._error

    def send(self, message: bytes) -> None:
        """Send a message, as soon as the other side takes it."""
        self._unsent += b"\0" + len(message).to_bytes(4, "big") + message
        self._flush()

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._unsent) + self._writer.transport.get_write_buffer_size()

    async def receive(self) -> bytes | None:
        """The next message; None where the other side ended the call well.

        Raises:
            CallError: it ended the call otherwise.
            OSError: the connection broke.
        """
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        self._waiting -= PREFIX + len(message)
        self._flush()
        return message

    async def close(self) -> None:
        """End the call and the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with contextlib.suppress(h2.exceptions.H2Error):
                self._connection.close_connection()
            self._unsent.clear()
            self._flush()
        self._writer.close()

    async def _run(self) -> None:
        try:
            while not self._ended:
                data = await self._read()
                self._heard, self._pinged = asyncio.get_running_loop().time(), False
                for event in self._connection.receive_data(data):
                    self._take(event)
                self._flush()
        except (CallError, OSError) as error:
            self._error = self._error or error
        except (h2.exceptions.H2Error, ValueError) as error:
            self._error = self._error or CallError("INTERNAL", f"what came is no HTTP/2: {error}"[:SHOWN])
        finally:
            self._ended = True
            self._admitted.set()
            self._news.set()

    async def _read(self) -> bytes:
        data = await self._reader.read(READ)
        if not data:
            raise CallError(UNAVAILABLE, "the connection ended")
        return data

    def _watch(self) -> None:
        """End silence with a ping, and a connection where that brings nothing."""
        loop = asyncio.get_running_loop()
        due = self._heard + self._limits.ping + (self._limits.ping_limit if self._pinged else 0.0)
        if loop.time() >= due and self._pinged:
            self._error = CallError(UNAVAILABLE, "the controller does not answer a ping")
            self._writer.transport.abort()
            return
        if loop.time() >= due:
            self._pinged = True
            due += self._limits.ping_limit
            with contextlib.suppress(h2.exceptions.H2Error):
                self._connection.ping(PING)
            self._flush()
        self._timer = loop.call_at(due, self._watch)

    def _flush(self) -> None:
        """Send what may be sent: messages as far as the window goes, the window of what was taken, answers to pings."""
        connection, stream = self._connection, self._stream
        with contextlib.suppress(h2.exceptions.H2Error):  # of a call or connection that ended meanwhile
            owed = self._came - self._waiting - self._given
            if owed > 0:
                self._given += owed
                connection.acknowledge_received_data(owed, stream)
            while self._unsent and (room := connection.local_flow_control_window(stream)) > 0:
                size = min(room, MAX_FRAME, len(self._unsent))
                connection.send_data(stream, bytes(self._unsent[:size]))
                del self._unsent[:size]
        data = connection.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)
        if self.unsent > self._limits.unsent and self._error is None:
            self._error = CallError(UNAVAILABLE, "the controller does not read what is sent to it")
            self._writer.transport.abort()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self._came += event.flow_controlled_length
            self._collect(event.data)
        elif isinstance(event, h2.events.ResponseReceived):
            self._check_answer(event.headers)
            self._admitted.set()
        elif isinstance(event, h2.events.TrailersReceived):
            _end(dict(event.headers))
        elif isinstance(event, h2.events.StreamEnded):
            self._ended = True
        elif isinstance(event, h2.events.StreamReset):
            raise CallError(UNAVAILABLE, f"the controller reset the call (error {event.error_code:d} of HTTP/2)")
        elif isinstance(event, h2.events.ConnectionTerminated) and not self._ended:
            raise CallError(UNAVAILABLE, f"the controller ended the connection (error {event.error_code or 0:d})")

    def _check_answer(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """See that the answer is one of gRPC; one without messages has its status at once."""
        fields = dict(headers)
        if b"grpc-status" in fields:
            _end(fields)
        status, kind = fields.get(b":status", b""), fields.get(b"content-type", b"")
        if status != b"200" or not kind.startswith(b"application/grpc"):
            text = status.decode(errors="replace")
            raise CallError(UNAVAILABLE, f"what answers there is no controller: status {text} of HTTP")

    def _collect(self, data: bytes) -> None:
        """Take messages out of what has come."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= PREFIX:
            if buffer[0]:
                raise CallError("INTERNAL", "a message is compressed, which nobody asked for")
            size = int.from_bytes(buffer[1:PREFIX], "big")
            if size > self._limits.message:
                text = f"a message of {size:,} bytes; at most {self._limits.message:,} are taken"
                raise CallError("RESOURCE_EXHAUSTED", text)
            if len(buffer) < PREFIX + size:
                break
            self._messages.append(bytes(buffer[PREFIX : PREFIX + size]))
            self._waiting += PREFIX + size
            del buffer[: PREFIX + size]
            self._news.set()


def _end(fields: dict[bytes, bytes]) -> None:
    """The status of a call.

    Raises:
        CallError: it ended otherwise than well.
    """
    text = fields.get(b"grpc-status", b"2")
    number = int(text) if text.isdigit() else 2
    if number:
        code = CODES[number] if number < len(CODES) else "UNKNOWN"
        message = urllib.parse.unquote(fields.get(b"grpc-message", b"").decode(errors="replace"))
        raise CallError(code, message[:SHOWN])
